"""`ot eval` as one function: resolve the weights, plan, agree, measure, record."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from openthoughts_cli.chat.renderer import load_renderer
from openthoughts_cli.config.benchmark import NLL
from openthoughts_cli.config.eval import EvalConfig
from openthoughts_cli.digests import digest_value
from openthoughts_cli.engine import default_model, open_engine, resolve_engine
from openthoughts_cli.engine.base import Engine, Sampler
from openthoughts_cli.engine.meter import Meter, Price, metered
from openthoughts_cli.errors import (
    BudgetError,
    ConflictError,
    OtError,
    UsageError,
)
from openthoughts_cli.evals.benchmark import Benchmark, benchmark
from openthoughts_cli.evals.held_out import HeldOut, held_out_rows
from openthoughts_cli.evals.measure import lineage_of, measure
from openthoughts_cli.evals.plan import EvalPlan, plan_nll, plan_sampled, require_available
from openthoughts_cli.evals.records import Scores
from openthoughts_cli.evals.target import Target, targets_of
from openthoughts_cli.events import EvalProgress, Event, Listener, RunFinished, fan_out, silent
from openthoughts_cli.places import runs_dir
from openthoughts_cli.runs.environment import describe_environment
from openthoughts_cli.runs.layout import RunDirectory, find_run, list_runs, new_run_id
from openthoughts_cli.runs.lock import locked
from openthoughts_cli.runs.log import RunLog, next_attempt, run_status
from openthoughts_cli.waiting import run_to_end

if TYPE_CHECKING:
    from openthoughts_cli.chat.renderer import Renderer

__all__ = ["Confirm", "EvalOutcome", "EvalResult", "run_eval"]

Confirm: TypeAlias = Callable[[EvalPlan], None]
"""Shown the plan before anything is asked; raises to refuse."""


@dataclass(frozen=True, slots=True)
class EvalResult:
    """One benchmark on one set of weights: its scores, and where they are recorded."""

    target: str
    scores: Scores
    directory: Path

    def __repr__(self) -> str:
        return f"<{self.target}: {self.scores!r}>"


@dataclass(frozen=True, slots=True)
class EvalOutcome:
    """All scores of an `ot eval`. `status` "planned" is a dry run: nothing was asked.

    `failures` are the benchmarks that failed while others gave scores.
    """

    status: Literal["planned", "done"]
    plan: EvalPlan
    directory: Path | None = None
    results: tuple[EvalResult, ...] = ()
    failures: tuple[str, ...] = ()
    spent_usd: float = 0.0

    def __repr__(self) -> str:
        lines = [f"{len(self.results)} results", *(repr(result) for result in self.results)]
        lines += [f"failed: {failure}" for failure in self.failures]
        return f"<EvalOutcome {self.status}: " + "\n  ".join(lines) + ">"


def run_eval(
    config: EvalConfig,
    *,
    confirm: Confirm | None = None,
    dry_run: bool = False,
    listener: Listener = silent,
) -> EvalOutcome:
    """Measure a base model, a run's checkpoint or all of them on the configured benchmarks.

    The records of a run's weights stand in the run's own directory, those of a base model in one of
    their own; the same call continues an evaluation that was interrupted.

    Args:
        confirm: called with the plan before anything is asked or paid; raises to refuse.
        dry_run: make the plan and stop.

    Raises:
        UsageError: no benchmark is named.
        OtError: of the kind that says what is wrong; what was recorded is kept.
    """
    return run_to_end(_Job(config, confirm, dry_run, listener).go())


class _Job:
    def __init__(
        self, config: EvalConfig, confirm: Confirm | None, dry_run: bool, listener: Listener
    ) -> None:
        self._confirm = confirm
        self._dry_run = dry_run
        self._listener = listener
        self._run = None if config.run is None else find_run(config.run)
        self._config = self._resolved(config)
        self._benchmarks: dict[str, Benchmark] = {}
        self._failures: list[str] = []
        self._first_failure: OtError | None = None

    def _resolved(self, config: EvalConfig) -> EvalConfig:
        """With engine and model decided; a run's own stand where nothing was said."""
        engine, model = config.engine, config.model
        benchmarks = config.benchmarks
        if self._run is not None:
            from openthoughts_cli.config.train import TrainConfig

            if self._run.read_record().get("kind") == "eval":
                raise UsageError(
                    f"{self._run.run_id} is an evaluation, not a training run",
                    hint="give --run a run of ot train",
                )
            trained = TrainConfig.model_validate(self._run.read_config())
            engine = trained.engine if engine.kind == "auto" else engine
            model = model or str((self._run.read_record().get("model") or {}).get("name") or "")
            model = model or trained.model
            benchmarks = benchmarks or trained.evals
        elif config.checkpoint is not None and model is None:
            targets_of(None, config.checkpoint)  # refuses what is no path
            raise UsageError(
                f"whose weights {config.checkpoint} were trained from is not known",
                hint="name the base model with --model, or the run with --run",
            )
        if not benchmarks:
            raise UsageError(
                "no benchmark is named", hint="name one with -b, e.g. -b arithmetic; see --list"
            )
        engine = resolve_engine(engine, listener=self._listener)
        return config.model_copy(
            update={
                "engine": engine,
                "model": model or default_model(engine.kind),
                "benchmarks": benchmarks,
            }
        )

    async def go(self) -> EvalOutcome:
        config = self._config
        sampled = {name: c for name, c in config.benchmarks.items() if name != NLL}
        self._benchmarks = {name: benchmark(name).configured(c) for name, c in sampled.items()}
        _refuse_one_name_twice(self._benchmarks)
        await asyncio.to_thread(require_available, sampled, self._benchmarks)
        home = self._home()
        targets = targets_of(self._run, config.checkpoint)
        held_out = held_out_rows(config, self._run) if NLL in config.benchmarks else None
        async with open_engine(config.engine, store=home.store, listener=self._listener) as engine:
            context_tokens = (await engine.describe(self._model)).context_tokens
            renderer = load_renderer(self._model, listener=self._listener)
            plan, price = self._plan(engine, context_tokens, renderer, targets, held_out)
            if self._dry_run:
                return EvalOutcome("planned", plan)
            if self._confirm is not None:
                self._confirm(plan)
            meter = Meter(config.max_usd)
            paid = engine if price is None else metered(engine, price, meter)
            with locked(home):
                results = await self._measure(
                    paid, renderer, targets, held_out, home, None if price is None else meter
                )
        if self._first_failure is not None and not results:
            raise self._first_failure
        failures = tuple(self._failures)
        return EvalOutcome("done", plan, home.path, tuple(results), failures, meter.spent_usd)

    @property
    def _model(self) -> str:
        assert self._config.model is not None  # set by _resolved
        return self._config.model

    async def _sampler(self, engine: Engine, target: Target) -> Sampler:
        if target.sampler_path is None:
            return await engine.create_sampler(self._model)
        return await engine.create_sampler(sampler_path=target.sampler_path)

    def _plan(
        self,
        engine: Engine,
        context: int,
        renderer: Renderer,
        targets: Sequence[Target],
        held_out: HeldOut | None,
    ) -> tuple[EvalPlan, Price | None]:
        price, as_of = None, None
        if engine.costs_money:
            from openthoughts_cli.engine.tinker.prices import price_of

            price, as_of = price_of(self._model)
            if price is None and self._config.max_usd is not None:
                raise UsageError(
                    f"max_usd cannot be kept: no price is known for {self._model}",
                    hint="leave max_usd away and confirm with --yes",
                )
        planned = tuple(
            plan_nll(settings, _row_tokens(held_out, renderer))
            if name == NLL
            else plan_sampled(self._benchmarks[name], settings, renderer, context)
            for name, settings in self._config.benchmarks.items()
        )
        plan = EvalPlan(
            model=self._model,
            engine=engine.kind,
            targets=tuple(target.name for target in targets),
            benchmarks=planned,
            costs_money=engine.costs_money,
            max_usd=self._config.max_usd,
            price=price,
            prices_as_of=as_of,
        )
        return plan, price

    def _home(self) -> RunDirectory:
        """The run's own directory; for a base model its named, its unfinished, or a new one."""
        config = self._config
        if config.output_dir is not None:
            return RunDirectory(
                config.output_dir / config.name if config.name else config.output_dir
            )
        if config.name is not None:
            return RunDirectory(runs_dir() / config.name)
        if self._run is not None:
            return self._run
        identity = self._identity()
        for run in reversed(list_runs()):
            same = run.record_path.exists() and run.read_record().get("identity") == identity
            if same and run_status(run) != "done":
                return run
        subject = f"eval-{Path(self._model).name}"
        return RunDirectory(runs_dir() / new_run_id(subject, identity, now=datetime.now(UTC)))

    def _identity(self) -> str:
        return digest_value(self._config.identity())

    async def _measure(
        self,
        engine: Engine,
        renderer: Renderer,
        targets: Sequence[Target],
        held_out: HeldOut | None,
        home: RunDirectory,
        meter: Meter | None,
    ) -> list[EvalResult]:
        self._begin(home)
        log = RunLog(home, next_attempt(home))
        listener = fan_out(
            log, self._listener if meter is None else _with_money(self._listener, meter)
        )
        began = time.monotonic()
        results: list[EvalResult] = []
        status: Literal["done", "interrupted", "failed"] = "interrupted"
        try:
            for target in targets:
                sampler = await self._sampler(engine, target)
                results += await self._measure_target(
                    sampler, engine, renderer, target, held_out, home, listener
                )
            status = "failed" if self._failures else "done"
        finally:
            if home != self._run:  # a training run's own end stands in its log already
                seconds = time.monotonic() - began
                listener(RunFinished(home.run_id, status, 0, seconds))
        return results

    def _begin(self, home: RunDirectory) -> None:
        if home == self._run:
            return
        if home.config_path.exists():
            if home.read_record().get("identity") != self._identity():
                raise ConflictError(
                    f"{home.path} holds another result", hint="choose another --name"
                )
            return
        record = {
            "kind": "eval",
            "run_id": home.run_id,
            "identity": self._identity(),
            "model": {"name": self._model},
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "environment": describe_environment(),
        }
        home.write_config(self._config.model_dump(mode="json"), record)

    async def _measure_target(
        self,
        sampler: Sampler,
        engine: Engine,
        renderer: Renderer,
        target: Target,
        held_out: HeldOut | None,
        home: RunDirectory,
        listener: Listener,
    ) -> list[EvalResult]:
        """All benchmarks at once, each with its own end: one that fails stops no other."""
        lineage = lineage_of(
            run=None if self._run is None else self._run.run_id,
            model=self._model,
            engine=engine.kind,
            step=target.step,
            sampler_path=target.sampler_path,
        )
        names = list(self._config.benchmarks)
        ended = await asyncio.gather(
            *(
                self._measure_one(
                    name, sampler, renderer, target, held_out, home, lineage, listener
                )
                for name in names
            ),
            return_exceptions=True,
        )
        results: list[EvalResult] = []
        for name, end in zip(names, ended, strict=True):
            if isinstance(end, EvalResult):
                results.append(end)
            elif isinstance(end, OtError) and not isinstance(end, BudgetError):
                self._failures.append(f"{name} of {target.name}: {end.message}")
                self._first_failure = self._first_failure or end
            else:
                raise end
        return results

    async def _measure_one(
        self,
        name: str,
        sampler: Sampler,
        renderer: Renderer,
        target: Target,
        held_out: HeldOut | None,
        home: RunDirectory,
        lineage: Mapping[str, Any],
        listener: Listener,
    ) -> EvalResult:
        kind = None if name == NLL else self._benchmarks[name]
        directory = home.eval_dir(NLL if kind is None else kind.name, target.step)
        scores = await measure(
            kind,
            sampler,
            renderer,
            self._config.benchmarks[name],
            held_out=held_out.rows if held_out is not None else (),
            directory=directory,
            step=target.step,
            lineage=lineage,
            listener=listener,
        )
        return EvalResult(target.name, scores, directory)


def _with_money(listener: Listener, meter: Meter) -> Listener:
    """The listener, which hears with each progress what all of this has cost so far."""

    def hear(event: Event) -> None:
        if isinstance(event, EvalProgress):
            event = replace(event, metrics={**event.metrics, "spent_usd": meter.spent_usd})
        listener(event)

    return hear


def _refuse_one_name_twice(kinds: Mapping[str, Benchmark]) -> None:
    """Records are kept by a benchmark's own name, which two files of the user's may share."""
    places: dict[str, str] = {}
    for place, kind in kinds.items():
        if kind.name in places:
            raise UsageError(
                f"{places[kind.name]} and {place} are both named {kind.name}: their records would mix",
                hint="give the classes different names",
            )
        places[kind.name] = place


def _row_tokens(held_out: HeldOut | None, renderer: Renderer) -> list[int]:
    rows = held_out.rows if held_out is not None else ()
    examples = renderer.examples([(row.question, row.answer) for row in rows])
    return [example.num_tokens for example in examples]
