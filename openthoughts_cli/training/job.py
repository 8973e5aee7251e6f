"""One attempt at a run: plan, agree, train, record how it ended."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

from openthoughts_cli.config.engine import EngineConfig
from openthoughts_cli.config.train import TrainConfig
from openthoughts_cli.engine import default_model, open_engine, resolve_engine
from openthoughts_cli.engine.base import Engine
from openthoughts_cli.engine.meter import Meter
from openthoughts_cli.errors import (
    AuthError,
    ConflictError,
    InterruptedByUser,
    InUseError,
    OtError,
    StorageError,
)
from openthoughts_cli.events import Listener, Notice, RunFinished, fan_out
from openthoughts_cli.places import runs_dir
from openthoughts_cli.redaction import redact
from openthoughts_cli.runs.environment import describe_environment
from openthoughts_cli.runs.layout import Checkpoint, RunDirectory, new_run_id
from openthoughts_cli.runs.lock import locked
from openthoughts_cli.runs.log import RunLog, next_attempt, run_status, spent_usd
from openthoughts_cli.runs.wandb import copied_to_wandb
from openthoughts_cli.training.checkpoints import last_state
from openthoughts_cli.training.plan import Plan
from openthoughts_cli.training.planning import Planned, plan_run
from openthoughts_cli.training.prepare import Prepared
from openthoughts_cli.training.receipt import Receipt, write_receipt
from openthoughts_cli.training.resume import (
    changed_keys,
    check_resumable,
    record_changes,
    recorded_config,
)
from openthoughts_cli.training.stop import StopRequest
from openthoughts_cli.training.surroundings import Surroundings
from openthoughts_cli.training.work import Work, owed_evaluations

__all__ = ["Confirm", "Job", "Means", "OpenEngine", "TrainResult", "for_a_plan"]

EndedAs: TypeAlias = Literal["done", "interrupted", "failed", "budget"]
Confirm: TypeAlias = Callable[[Plan], None]
"""Shown the plan before anything starts; raises to refuse."""


@dataclass(frozen=True, slots=True)
class TrainResult:
    """How a run ended. `status` "planned" is a dry run: nothing was done."""

    status: Literal["planned", "done", "interrupted", "budget"]
    run: RunDirectory | None
    plan: Plan
    failures: tuple[str, ...] = ()
    spent_usd: float = 0.0
    receipt: Receipt | None = None

    def __repr__(self) -> str:
        where = "no run yet" if self.run is None else self.run.run_id
        cost = f", ${self.spent_usd:.2f}" if self.plan.costs_money else ""
        failed = f"; failed: {', '.join(self.failures)}" if self.failures else ""
        return (
            f"<TrainResult {self.status}: {where}, {self.plan.model} on {self.plan.subset}, "
            f"{self.plan.steps:,} steps, {self.plan.train_tokens:,} tokens{cost}{failed}>"
        )


class OpenEngine(Protocol):
    """Opens the engine that a config names, as `engine.open_engine` does."""

    def __call__(self, config: EngineConfig, *, store: Path, listener: Listener) -> Engine: ...


@dataclass(frozen=True, slots=True)
class Means:
    """What a run is carried out with; a sweep shares some of it among its cells.

    `planned` is a plan made before, of this very config. `new_meter` is called with the limit in
    dollars and what was spent.
    """

    surroundings: Surroundings = dataclasses.field(default_factory=Surroundings)
    planned: Planned | None = None
    open_engine: OpenEngine = open_engine
    new_meter: Callable[[float | None, float], Meter] = lambda most, spent: Meter(
        most, spent_usd=spent
    )


def for_a_plan(opens: OpenEngine) -> OpenEngine:
    """Opens as `opens` does, and where the Tinker service has no credentials what stands in for it:
    rows, tokens and prices need no key."""

    def open_or_assume(config: EngineConfig, *, store: Path, listener: Listener) -> Engine:
        try:
            return opens(config, store=store, listener=listener)
        except AuthError as error:
            from openthoughts_cli.engine.tinker.unasked import UnaskedTinker

            text = f"{error.message}: planned without asking which models are served"
            listener(
                Notice(f"{text}, or how long their context is; to start needs a key", "warning")
            )
            return UnaskedTinker(error)

    return open_or_assume


class Job:
    """One attempt at a run, from its config to its end."""

    def __init__(
        self,
        config: TrainConfig,
        confirm: Confirm | None,
        dry_run: bool,
        skip_unavailable: bool,
        stop: StopRequest,
        listener: Listener,
        means: Means | None = None,
        *,
        measure: bool = False,
    ) -> None:
        self._config = config
        self._confirm = confirm
        self._dry_run = dry_run
        self._skip_unavailable = skip_unavailable
        self._stop = stop
        self._listener = listener
        self._means = means or Means()
        self._measure = measure

    async def begin(self) -> TrainResult:
        """A new run."""
        config = self._resolved()
        now = datetime.now(UTC)
        draft = RunDirectory(runs_dir() / (config.run_name or ".draft"))
        planned = await self._plan(config, draft.store)
        prepared, plan = planned.prepared, planned.plan
        if self._dry_run:
            return TrainResult("planned", None, plan)
        run_id = config.run_name or new_run_id(prepared.subset.name, prepared.identity, now=now)
        run = RunDirectory(runs_dir() / run_id)
        if run.config_path.exists():
            return await self._again(run, planned)
        self._agree(plan)
        with locked(run):
            if run.config_path.exists():  # somebody else began it while we were planning
                raise InUseError(
                    f"the run {run.run_id} was begun by another process meanwhile",
                    hint="give the same command again to go on with it, or another --run-name",
                )
            run.write_config(
                prepared.config.model_dump(mode="json"),
                {
                    **prepared.record(),
                    "run_id": run_id,
                    "created": now.isoformat(timespec="seconds"),
                    "environment": describe_environment(),
                    "plan": plan.to_json(),
                },
            )
            return await self._attempt(run, planned, None)

    async def go_on(self, run: RunDirectory) -> TrainResult:
        """A further attempt at an unfinished run."""
        config = self._resolved()
        return await self._go_on(run, await self._plan(config, run.store))

    async def _again(self, run: RunDirectory, planned: Planned) -> TrainResult:
        """The same command again: go on with the run, or say that it is done."""
        prepared = planned.prepared
        changed = changed_keys(recorded_config(run).identity(), prepared.config.identity())
        if run.read_record().get("identity") == prepared.identity:
            changed = []  # the same content under another name
        status = run_status(run)
        if changed:
            raise ConflictError(
                f"the run {run.run_id} exists ({status}) with another {', '.join(changed)}",
                hint="choose another --run-name, or restore those settings to go on with it",
            )
        if status == "done" and not owed_evaluations(run, prepared, planned.made):
            self._listener(Notice(f"the run {run.run_id} is done already"))
            return self._done_already(run, planned.plan)
        self._listener(Notice(f"the run {run.run_id} exists ({status}): going on with it"))
        return await self._go_on(run, planned)

    def _done_already(self, run: RunDirectory, plan: Plan) -> TrainResult:
        usd = spent_usd(run)
        if not run.receipt_path.exists():  # it is the last thing written; a kill may have come
            write_receipt(run, plan, status="done", usd=usd)
        return TrainResult("done", run, plan, spent_usd=usd)

    async def _go_on(self, run: RunDirectory, planned: Planned) -> TrainResult:
        prepared = planned.prepared
        with locked(run):
            start = last_state(run, self._listener)
            done_steps = 0 if start is None else start.batch
            recorded = recorded_config(run)
            check_resumable(run, recorded, prepared, done_steps=done_steps)
            plan = dataclasses.replace(planned.plan, first_step=done_steps + 1)
            if self._dry_run:
                return TrainResult("planned", run, plan, spent_usd=spent_usd(run))
            self._agree(plan)
            record_changes(run, recorded, prepared)
            return await self._attempt(run, dataclasses.replace(planned, plan=plan), start)

    def _agree(self, plan: Plan) -> None:
        """Show the plan; a Ctrl-C until then, or at the question, means that nothing starts."""
        self._refuse_stopped()
        if self._confirm is not None:
            self._confirm(plan)
        self._refuse_stopped()

    def _refuse_stopped(self) -> None:
        if self._stop.requested:
            raise InterruptedByUser("interrupted before anything was started")

    def _resolved(self) -> TrainConfig:
        engine = resolve_engine(self._config.engine, listener=self._listener)
        model = self._config.model or default_model(engine.kind)
        return self._config.model_copy(update={"engine": engine, "model": model})

    async def _plan(self, config: TrainConfig, store: Path) -> Planned:
        if self._means.planned is not None:
            return self._means.planned
        for name in filter(None, (config.subset, config.held_out)):
            # A name that is not there is told in a second, before an engine is opened.
            self._means.surroundings.load_subset(name)
        opens = self._means.open_engine
        if self._dry_run:
            opens = for_a_plan(opens)
        async with opens(config.engine, store=store, listener=self._listener) as probe:
            return await plan_run(
                config,
                probe,
                surroundings=self._means.surroundings,
                skip_unavailable=self._skip_unavailable,
                refuse_stopped=self._refuse_stopped,
                listener=self._listener,
                measure=self._measure,
            )

    async def _attempt(
        self, run: RunDirectory, planned: Planned, start: Checkpoint | None
    ) -> TrainResult:
        prepared, price = planned.prepared, planned.price
        attempt = next_attempt(run)
        meter = self._means.new_meter(prepared.config.max_usd, spent_usd(run))
        log = RunLog(
            run,
            attempt,
            spent_usd=None if price is None else lambda: meter.spent_usd + meter.reserved_usd,
        )
        if price is not None:
            meter.before_sending = log.tell_money
        told = fan_out(log, self._listener)
        config = {**prepared.config.model_dump(mode="json"), "record": prepared.record()}
        with copied_to_wandb(prepared.config.wandb, run, config, told) as copy:
            listener = fan_out(log, self._listener, copy)
            return await self._train(run, planned, start, meter, attempt, listener)

    async def _train(
        self,
        run: RunDirectory,
        planned: Planned,
        start: Checkpoint | None,
        meter: Meter,
        attempt: int,
        listener: Listener,
    ) -> TrainResult:
        prepared, plan = planned.prepared, planned.plan
        began = time.monotonic()
        try:
            async with self._means.open_engine(
                prepared.config.engine, store=run.store, listener=listener
            ) as engine:
                work = Work(
                    run,
                    prepared,
                    planned.made,
                    engine,
                    self._stop,
                    listener,
                    attempt,
                    start=start,
                    price=planned.price,
                    meter=meter,
                )
                ended = await work.run()
        except StorageError:
            raise  # a log that cannot be written gets no last line
        except BaseException as error:
            by_person = isinstance(error, (KeyboardInterrupt, asyncio.CancelledError))
            ended_as = "interrupted" if by_person or self._stop.requested else "failed"
            listener(_finished(run, ended_as, prepared, began, reason=_reason(error)))
            raise
        listener(_finished(run, ended, prepared, began))
        receipt = write_receipt(run, plan, status=ended, usd=meter.spent_usd)
        return TrainResult(ended, run, plan, tuple(work.failures), meter.spent_usd, receipt)


def _finished(
    run: RunDirectory, status: EndedAs, prepared: Prepared, began: float, *, reason: str = ""
) -> RunFinished:
    seconds = time.monotonic() - began
    return RunFinished(run.run_id, status, len(prepared.batches), seconds, reason)


def _reason(error: BaseException) -> str:
    return redact(
        error.message if isinstance(error, OtError) else f"{type(error).__name__}: {error}"
    )
