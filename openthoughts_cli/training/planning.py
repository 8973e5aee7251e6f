"""A run worked out before anything is trained or paid: its rows, batches, benchmarks and money."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from openthoughts_cli.chat.renderer import load_renderer
from openthoughts_cli.config.benchmark import NLL
from openthoughts_cli.config.train import TrainConfig
from openthoughts_cli.data.subset import Subset, load_subset
from openthoughts_cli.engine import default_model
from openthoughts_cli.engine.base import Engine, ModelInfo
from openthoughts_cli.engine.meter import Price
from openthoughts_cli.errors import NetworkError, UsageError
from openthoughts_cli.evals.benchmark import Benchmark, benchmark
from openthoughts_cli.evals.plan import check_available
from openthoughts_cli.events import Listener, Notice
from openthoughts_cli.runs.wandb import check_wandb
from openthoughts_cli.training.examples import TrainingRows, render_rows
from openthoughts_cli.training.plan import Plan, make_plan
from openthoughts_cli.training.prepare import Prepared, prepare
from openthoughts_cli.training.receipt import Past, past_of

if TYPE_CHECKING:
    from openthoughts_cli.chat.renderer import Renderer
    from openthoughts_cli.data.rows import Row

__all__ = ["Planned", "Surroundings", "plan_run"]

_PRICES_S = 4.0


@dataclass(frozen=True, slots=True)
class Planned:
    """A run ready to start, and what it will do and cost. `made`: the benchmarks that sample."""

    prepared: Prepared
    plan: Plan
    price: Price | None
    made: Mapping[str, Benchmark]


class Surroundings:
    """Where planning takes things from: disk, engine and network, anew each time.

    A sweep hands its cells one that remembers, so that what they share is read once.
    """

    def load_subset(self, name: str) -> Subset:
        """As `data.subset.load_subset`."""
        return load_subset(name)

    def rows(self, subset: Subset) -> list[Row]:
        """The subset's rows, checked against its digest."""
        return subset.rows()

    def load_renderer(self, model: str, listener: Listener) -> Renderer:
        """As `chat.renderer.load_renderer`."""
        return load_renderer(model, listener=listener)

    def render(
        self,
        rows: Sequence[Row],
        renderer: Renderer,
        *,
        max_tokens: int,
        keep_control_tokens: bool,
    ) -> TrainingRows:
        """As `training.examples.render_rows`."""
        return render_rows(
            rows, renderer, max_tokens=max_tokens, keep_control_tokens=keep_control_tokens
        )

    async def describe(self, engine: Engine, model: str) -> ModelInfo:
        """What the engine says of a model that is to be trained."""
        return await engine.describe(model, train=True)

    def benchmarks(self, config: TrainConfig) -> dict[str, Benchmark]:
        """The config's benchmarks that sample, by name, with the prompts it names."""
        sampled = {name: plan for name, plan in config.evals.items() if name != NLL}
        return {name: benchmark(name).configured(plan) for name, plan in sampled.items()}

    def price(
        self, engine: Engine, model: str, listener: Listener
    ) -> tuple[Price | None, str | None]:
        """The model's price and the date of the list; (None, None) when it is free or unknown."""
        return _price(engine, model, listener)

    def past(self, model: str, engine_kind: str) -> Past:
        """What earlier runs of the model measured."""
        return past_of(model, engine_kind)


async def plan_run(
    config: TrainConfig,
    engine: Engine,
    *,
    surroundings: Surroundings,
    skip_unavailable: bool,
    refuse_stopped: Callable[[], None],
    listener: Listener,
) -> Planned:
    """Everything that a run needs, and its plan.

    Args:
        config: with `model` and `engine.kind` resolved.
        skip_unavailable: leave out benchmarks that cannot run here, instead of refusing.
        refuse_stopped: called between the parts; raises to end.

    Raises:
        OtError: what makes the run impossible.
    """
    # before anything that needs a network or minutes
    for name in filter(None, (config.subset, config.held_out)):
        surroundings.load_subset(name)
    check_wandb(config.wandb)
    model = await surroundings.describe(engine, config.model or default_model(engine.kind))
    refuse_stopped()
    config, made = await asyncio.to_thread(
        _available, config, surroundings, skip_unavailable, listener
    )
    refuse_stopped()
    prepared = prepare(config, model, listener=listener, surroundings=surroundings)
    price, as_of = await asyncio.to_thread(surroundings.price, engine, model.name, listener)
    if engine.costs_money and config.max_usd is not None and price is None:
        raise UsageError(
            f"max_usd cannot be kept: no price is known for {model.name}",
            hint="leave max_usd away and confirm with --yes, or choose a model with a price",
        )
    past = surroundings.past(model.name, engine.kind)
    plan = make_plan(
        prepared,
        engine_kind=engine.kind,
        costs_money=engine.costs_money,
        made=made,
        price=price,
        prices_as_of=as_of,
        tokens_per_answer=past.tokens_per_answer,
        train_tokens_per_s=past.train_tokens_per_s,
        seconds_beside_training=past.seconds_beside_training,
    )
    return Planned(prepared, plan, price, made)


def _available(
    config: TrainConfig, surroundings: Surroundings, skip_unavailable: bool, listener: Listener
) -> tuple[TrainConfig, dict[str, Benchmark]]:
    """The config with the benchmarks that can run here; the others are refused or left out."""
    made = surroundings.benchmarks(config)
    problems = check_available({name: config.evals[name] for name in made}, made)
    if not problems:
        return config, made
    reasons = "; ".join(f"{p.benchmark}: {p.error.message}" for p in problems)
    if not skip_unavailable:
        first = problems[0].error
        raise type(first)(
            f"{len(problems)} of the run's benchmarks cannot run here: {reasons}",
            hint="mend that, name other benchmarks under evals:, or leave these out with "
            "--skip-unavailable",
        )
    listener(Notice(f"benchmarks left out: {reasons}", "warning"))
    for problem in problems:
        del made[problem.benchmark]
    kept = {name: plan for name, plan in config.evals.items() if name == NLL or name in made}
    return config.model_copy(update={"evals": kept}), made


def _price(engine: Engine, model: str, listener: Listener) -> tuple[Price | None, str | None]:
    """The published list is read when it answers within seconds; else the snapshot serves."""
    if not engine.costs_money:
        return None, None
    from openthoughts_cli.engine.tinker.prices import PublishedPrice, fetch_prices, price_of

    found: list[Mapping[str, PublishedPrice]] = []

    def ask() -> None:
        with contextlib.suppress(NetworkError):
            found.append(fetch_prices(timeout_s=_PRICES_S))

    # A thread of its own, since looking a host up may take longer than any time limit.
    thread = threading.Thread(target=ask, name="prices", daemon=True)
    thread.start()
    thread.join(_PRICES_S)
    price, as_of = price_of(model, found[0] if found else None)
    if not found and price is not None:
        listener(Notice(f"the published prices cannot be reached: those of {as_of} are used"))
    return price, as_of
