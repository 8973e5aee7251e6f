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
from openthoughts_cli.engine import open_engine
from openthoughts_cli.engine.base import Engine, Sampler
from openthoughts_cli.engine.meter import Meter, metered
from openthoughts_cli.errors import (
    BudgetError,
    ConflictError,
    OtError,
)
from openthoughts_cli.evals.benchmark import Benchmark, benchmark
from openthoughts_cli.evals.held_out import HeldOut, held_out_rows
from openthoughts_cli.evals.identity import sampled_identity
from openthoughts_cli.evals.measure import lineage_of, measure
from openthoughts_cli.evals.plan import EvalPlan, plan_evaluation, require_available
from openthoughts_cli.evals.records import EvalDirectory, Scores
from openthoughts_cli.evals.resolve import (
    home_of,
    identity_of,
    refuse_one_name_twice,
    resolve_config,
)
from openthoughts_cli.evals.target import Target, targets_of
from openthoughts_cli.events import EvalProgress, Event, Listener, RunFinished, fan_out, silent
from openthoughts_cli.runs.environment import describe_environment
from openthoughts_cli.runs.layout import RunDirectory, find_run
from openthoughts_cli.runs.lock import locked
from openthoughts_cli.runs.log import RunLog, next_attempt
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
        self._config = resolve_config(config, self._run, listener=listener)
        self._benchmarks: dict[str, Benchmark] = {}
        self._failures: list[str] = []
        self._first_failure: OtError | None = None

    async def go(self) -> EvalOutcome:
        config = self._config
        sampled = {name: c for name, c in config.benchmarks.items() if name != NLL}
        self._benchmarks = {name: benchmark(name).configured(c) for name, c in sampled.items()}
        refuse_one_name_twice(self._benchmarks)
        await asyncio.to_thread(require_available, sampled, self._benchmarks)
        home = home_of(config, self._run)
        targets = targets_of(self._run, config.checkpoint)
        held_out = held_out_rows(config, self._run) if NLL in config.benchmarks else None
        async with open_engine(config.engine, store=home.store, listener=self._listener) as engine:
            context_tokens = (await engine.describe(self._model)).context_tokens
            renderer = load_renderer(self._model, listener=self._listener)
            plan = plan_evaluation(
                config,
                self._benchmarks,
                engine,
                context_tokens,
                renderer,
                targets=[target.name for target in targets],
                row_tokens=_row_tokens(held_out, renderer),
            )
            await asyncio.to_thread(self._check_records, home, targets, renderer, engine.kind)
            if self._dry_run:
                return EvalOutcome("planned", plan)
            if self._confirm is not None:
                self._confirm(plan)
            meter = Meter(config.max_usd)
            paid = engine if plan.price is None else metered(engine, plan.price, meter)
            with locked(home):
                results = await self._measure(
                    paid, renderer, targets, held_out, home, None if plan.price is None else meter
                )
        if self._first_failure is not None and not results:
            raise self._first_failure
        failures = tuple(self._failures)
        return EvalOutcome("done", plan, home.path, tuple(results), failures, meter.spent_usd)

    def _check_records(
        self, home: RunDirectory, targets: Sequence[Target], renderer: Renderer, engine: str
    ) -> None:
        """That no directory holds another evaluation, before anything is asked or paid.

        The model's name is left to the sampler, which alone knows it in its own form.
        """
        for target in targets:
            lineage = self._lineage(target, engine)
            for place, kind in self._benchmarks.items():
                settings = self._config.benchmarks[place]
                identity = sampled_identity(
                    kind,
                    kind.load_once(settings),
                    settings,
                    renderer,
                    model=self._model,
                    lineage=lineage,
                )
                directory = EvalDirectory(home.eval_dir(kind.name, target.step))
                directory.check(identity, leaving_out=("model",))

    def _lineage(self, target: Target, engine: str) -> dict[str, Any]:
        return lineage_of(
            run=None if self._run is None else self._run.run_id,
            model=self._model,
            engine=engine,
            step=target.step,
            sampler_path=target.sampler_path,
        )

    @property
    def _model(self) -> str:
        assert self._config.model is not None  # set by _resolved
        return self._config.model

    async def _sampler(self, engine: Engine, target: Target) -> Sampler:
        if target.sampler_path is None:
            return await engine.create_sampler(self._model)
        return await engine.create_sampler(sampler_path=target.sampler_path)

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
            if home.read_record().get("identity") != identity_of(self._config):
                raise ConflictError(
                    f"{home.path} holds another result", hint="choose another --name"
                )
            return
        record = {
            "kind": "eval",
            "run_id": home.run_id,
            "identity": identity_of(self._config),
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
        lineage = self._lineage(target, engine.kind)
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


def _row_tokens(held_out: HeldOut | None, renderer: Renderer) -> list[int]:
    rows = held_out.rows if held_out is not None else ()
    examples = renderer.examples([(row.question, row.answer) for row in rows])
    return [example.num_tokens for example in examples]
