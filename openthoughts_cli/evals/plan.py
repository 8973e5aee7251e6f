"""What an evaluation will ask and at most cost, and what cannot run here, before anything starts."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from openthoughts_cli.config.benchmark import NLL, BenchmarkConfig
from openthoughts_cli.config.eval import EvalConfig
from openthoughts_cli.engine.base import Engine
from openthoughts_cli.engine.meter import Price
from openthoughts_cli.errors import OtError, UsageError
from openthoughts_cli.evals.benchmark import Benchmark, benchmark
from openthoughts_cli.evals.run import PromptRenderer

__all__ = [
    "EvalPlan",
    "PlannedBenchmark",
    "Unavailable",
    "check_available",
    "plan_evaluation",
    "plan_nll",
    "plan_sampled",
    "require_available",
    "show_prompt",
]


@dataclass(frozen=True, slots=True)
class Unavailable:
    """A benchmark that cannot run here, and why."""

    benchmark: str
    error: OtError


@dataclass(frozen=True, slots=True)
class PlannedBenchmark:
    """One benchmark on one set of weights. For `nll`, `items` are rows and nothing is sampled.

    `read_tokens` counts a prompt once for each of its answers, as the service may bill it;
    `most_sampled_tokens` is an upper bound.
    """

    name: str
    items: int
    answers: int
    read_tokens: int
    most_sampled_tokens: int


@dataclass(frozen=True, slots=True)
class EvalPlan:
    """All of an `ot eval`: the same benchmarks on each of the targets."""

    model: str
    engine: str
    targets: tuple[str, ...]
    benchmarks: tuple[PlannedBenchmark, ...]
    costs_money: bool
    max_usd: float | None
    price: Price | None
    prices_as_of: str | None

    @property
    def most_usd(self) -> float | None:
        """Upper bound in dollars; 0 where nothing costs, None when no price is known."""
        if not self.costs_money:
            return 0.0
        if self.price is None:
            return None
        once = sum(
            self.price.usd(prefill=item.read_tokens, sample=item.most_sampled_tokens)
            for item in self.benchmarks
        )
        return once * len(self.targets)

    def to_json(self) -> dict[str, Any]:
        """As one record."""
        return {
            "model": self.model,
            "engine": self.engine,
            "targets": list(self.targets),
            "benchmarks": [dataclasses.asdict(item) for item in self.benchmarks],
            "costs_money": self.costs_money,
            "max_usd": self.max_usd,
            "most_usd": self.most_usd,
            "prices_as_of": self.prices_as_of,
        }


def plan_sampled(
    kind: Benchmark, settings: BenchmarkConfig, renderer: PromptRenderer, context_tokens: int
) -> PlannedBenchmark:
    """What one evaluation of a benchmark asks; loads its problems where that is not done yet."""
    problems = kind.load_once(settings).problems
    prompts = [len(renderer.prompt(kind.prompt(problem))) for problem in problems]
    return PlannedBenchmark(
        name=kind.name,
        items=len(problems),
        answers=len(problems) * settings.n,
        read_tokens=sum(prompts) * settings.n,
        most_sampled_tokens=settings.n
        * sum(min(settings.max_tokens, max(context_tokens - tokens, 0)) for tokens in prompts),
    )


def plan_nll(settings: BenchmarkConfig, row_tokens: Sequence[int]) -> PlannedBenchmark:
    """What one NLL evaluation reads, of held-out rows with that many tokens each.

    Which rows a limit takes is decided later by their ids; their tokens are taken as average.
    """
    items = len(row_tokens) if settings.limit is None else min(settings.limit, len(row_tokens))
    mean = sum(row_tokens) / len(row_tokens) if row_tokens else 0.0
    return PlannedBenchmark(NLL, items, 0, round(items * mean), 0)


def check_available(
    settings: Mapping[str, BenchmarkConfig], made: Mapping[str, Benchmark] | None = None
) -> list[Unavailable]:
    """Which of the benchmarks cannot run here: data missing or gated, no sandbox, a bad prompt.

    Nothing is sampled; `nll` needs rows, not data of its own, and is not looked at.

    Args:
        made: the configured benchmarks where there are some already; they remember their problems.
    """
    problems: list[Unavailable] = []
    for name, config in settings.items():
        if name == NLL:
            continue
        try:
            kind = made[name] if made else benchmark(name).configured(config)
            kind.check(config)
        except OtError as error:
            problems.append(Unavailable(name, error))
    return problems


def require_available(
    settings: Mapping[str, BenchmarkConfig], made: Mapping[str, Benchmark] | None = None
) -> None:
    """Raise when any of them cannot run; one error that names all.

    Raises:
        OtError: of the first one's kind.
    """
    problems = check_available(settings, made)
    if len(problems) == 1:
        raise problems[0].error
    if problems:
        first = problems[0].error
        reasons = "; ".join(f"{problem.benchmark}: {problem.error.message}" for problem in problems)
        hints: Sequence[str] = [problem.error.hint for problem in problems if problem.error.hint]
        raise type(first)(
            f"{len(problems)} benchmarks cannot run here: {reasons}", hint="\n".join(hints) or None
        )


def plan_evaluation(
    config: EvalConfig,
    benchmarks: Mapping[str, Benchmark],
    engine: Engine,
    context_tokens: int,
    renderer: PromptRenderer,
    *,
    targets: Sequence[str],
    row_tokens: Sequence[int],
) -> EvalPlan:
    """The plan of an `ot eval`, with prices where the engine costs money.

    Args:
        config: with its model and benchmarks decided.
        benchmarks: the sampled ones, configured.
        row_tokens: tokens of each held-out row, for `nll`.

    Raises:
        UsageError: `max_usd` for a model without a known price.
        OtError: as `plan_sampled`.
    """
    price, as_of = None, None
    if engine.costs_money:
        from openthoughts_cli.engine.tinker.prices import price_of

        price, as_of = price_of(str(config.model))
        if price is None and config.max_usd is not None:
            raise UsageError(
                f"max_usd cannot be kept: no price is known for {config.model}",
                hint="leave max_usd out and confirm with --yes",
            )
    return EvalPlan(
        model=str(config.model),
        engine=engine.kind,
        targets=tuple(targets),
        benchmarks=tuple(
            plan_nll(settings, row_tokens)
            if name == NLL
            else plan_sampled(benchmarks[name], settings, renderer, context_tokens)
            for name, settings in config.benchmarks.items()
        ),
        costs_money=engine.costs_money,
        max_usd=config.max_usd,
        price=price,
        prices_as_of=as_of,
    )


def show_prompt(name: str, settings: BenchmarkConfig, index: int) -> str:
    """The user's message for problem `index` (from 0) of those that `settings` choose.

    Raises:
        UsageError: there is no such problem.
    """
    chosen = benchmark(name).configured(settings)
    problems = chosen.load(settings).problems
    if not 0 <= index < len(problems):
        raise UsageError(
            f"{name} has problems 0 to {len(problems) - 1}, and --index is {index}",
            hint="give --index one of these",
        )
    return chosen.prompt(problems[index])
