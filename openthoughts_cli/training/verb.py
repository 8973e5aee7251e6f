"""`ot train` as one function: plan, agree, train, evaluate, record."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, TypeAlias

from openthoughts_cli.config.benchmark import NLL
from openthoughts_cli.config.train import TrainConfig
from openthoughts_cli.data.subset import load_subset
from openthoughts_cli.engine import default_model, open_engine, resolve_engine
from openthoughts_cli.engine.base import Engine
from openthoughts_cli.engine.meter import Meter, Price
from openthoughts_cli.errors import (
    ConflictError,
    DataError,
    InterruptedByUser,
    NetworkError,
    OtError,
    StorageError,
    UsageError,
)
from openthoughts_cli.evals.benchmark import Benchmark, benchmark
from openthoughts_cli.evals.plan import check_available
from openthoughts_cli.events import Listener, Notice, RunFinished, fan_out, silent
from openthoughts_cli.places import runs_dir
from openthoughts_cli.redaction import redact
from openthoughts_cli.runs.environment import describe_environment
from openthoughts_cli.runs.layout import Checkpoint, RunDirectory, find_run, new_run_id
from openthoughts_cli.runs.lock import locked
from openthoughts_cli.runs.log import RunLog, next_attempt, run_status, spent_usd
from openthoughts_cli.runs.wandb import check_wandb, copied_to_wandb
from openthoughts_cli.training.checkpoints import last_state
from openthoughts_cli.training.plan import Plan, make_plan
from openthoughts_cli.training.prepare import Prepared, prepare
from openthoughts_cli.training.receipt import Receipt, past_of, write_receipt
from openthoughts_cli.training.resume import changed_keys, check_resumable
from openthoughts_cli.training.stop import StopRequest
from openthoughts_cli.training.work import Work, owed_evaluations
from openthoughts_cli.waiting import run_to_end

__all__ = ["Confirm", "TrainResult", "recorded_config", "resume_training", "train"]

_PRICES_S = 4.0

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


def train(
    config: TrainConfig,
    *,
    confirm: Confirm | None = None,
    dry_run: bool = False,
    skip_unavailable: bool = False,
    stop: StopRequest | None = None,
    listener: Listener = silent,
) -> TrainResult:
    """Fine-tune a model on a subset; the run's directory holds all that came of it.

    Args:
        confirm: called with the plan before anything is trained or paid; raises to refuse.
        dry_run: make the plan and stop.
        skip_unavailable: leave out benchmarks that cannot run here, instead of refusing.
        stop: set `requested` to end at the next step with a checkpoint.

    Raises:
        OtError: of the kind that says what is wrong; what was finished is kept.
    """
    stop = stop or StopRequest()
    job = _Job(config, confirm, dry_run, skip_unavailable, stop, listener)
    return run_to_end(job.begin(), on_interrupt=stop.request)


def resume_training(
    run: str,
    *,
    config: TrainConfig | None = None,
    confirm: Confirm | None = None,
    dry_run: bool = False,
    skip_unavailable: bool = False,
    stop: StopRequest | None = None,
    listener: Listener = silent,
) -> TrainResult:
    """Go on with an unfinished run from its last checkpoint; evaluations that are owed are done.

    Args:
        config: other settings than it began with; see `training.resume` for what may differ.

    Raises:
        NotFoundError: no such run.
        ConfigError: a setting, the subset or the renderer is no longer what the run began with.
        EngineError: all its checkpoints have expired.
    """
    directory = find_run(run)
    config = config or recorded_config(directory)
    stop = stop or StopRequest()
    job = _Job(config, confirm, dry_run, skip_unavailable, stop, listener)
    return run_to_end(job.go_on(directory), on_interrupt=stop.request)


def recorded_config(run: RunDirectory) -> TrainConfig:
    """The config that a run goes by.

    Raises:
        DataError: it is missing or damaged.
    """
    try:
        return TrainConfig.model_validate(run.read_config())
    except ValueError as error:
        raise DataError(
            f"{run.config_path} is not a training config of this version: {error}",
            hint="start a new run",
        ) from error


class _Job:
    """One attempt at a run, from its config to its end."""

    def __init__(
        self,
        config: TrainConfig,
        confirm: Confirm | None,
        dry_run: bool,
        skip_unavailable: bool,
        stop: StopRequest,
        listener: Listener,
    ) -> None:
        self._config = config
        self._confirm = confirm
        self._dry_run = dry_run
        self._skip_unavailable = skip_unavailable
        self._stop = stop
        self._listener = listener
        self._made: dict[str, Benchmark] = {}

    async def begin(self) -> TrainResult:
        """A new run."""
        config = self._resolved()
        now = datetime.now(UTC)
        draft = RunDirectory(runs_dir() / (config.run_name or ".draft"))
        async with open_engine(config.engine, store=draft.store, listener=self._listener) as probe:
            prepared, plan, price = await self._plan(config, probe)
            if self._dry_run:
                return TrainResult("planned", None, plan)
            run_id = config.run_name or new_run_id(prepared.subset.name, prepared.identity, now=now)
            run = RunDirectory(runs_dir() / run_id)
            if run.config_path.exists():
                return await self._again(run, prepared, plan, price)
            self._agree(plan)
        with locked(run):
            if run.config_path.exists():  # somebody else began it while we were planning
                raise ConflictError(
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
            return await self._attempt(run, prepared, plan, price, None)

    async def go_on(self, run: RunDirectory) -> TrainResult:
        """A further attempt at an unfinished run."""
        config = self._resolved()
        async with open_engine(config.engine, store=run.store, listener=self._listener) as probe:
            prepared, plan, price = await self._plan(config, probe)
        return await self._go_on(run, prepared, plan, price)

    async def _again(
        self, run: RunDirectory, prepared: Prepared, plan: Plan, price: Price | None
    ) -> TrainResult:
        """The same command again: go on with the run, or say that it is done."""
        changed = changed_keys(recorded_config(run).identity(), prepared.config.identity())
        status = run_status(run)
        if changed:
            raise ConflictError(
                f"the run {run.run_id} exists ({status}) with another {', '.join(changed)}",
                hint="choose another --run-name, or restore those settings to go on with it",
            )
        if status == "done" and not owed_evaluations(run, prepared, self._made):
            self._listener(Notice(f"the run {run.run_id} is done already"))
            return TrainResult("done", run, plan, spent_usd=spent_usd(run))
        self._listener(Notice(f"the run {run.run_id} exists ({status}): going on with it"))
        return await self._go_on(run, prepared, plan, price)

    async def _go_on(
        self, run: RunDirectory, prepared: Prepared, plan: Plan, price: Price | None
    ) -> TrainResult:
        with locked(run):
            start = last_state(run, self._listener)
            done_steps = 0 if start is None else start.batch
            recorded = recorded_config(run)
            check_resumable(run, recorded, prepared, done_steps=done_steps)
            plan = dataclasses.replace(plan, first_step=done_steps + 1)
            if self._dry_run:
                return TrainResult("planned", run, plan, spent_usd=spent_usd(run))
            self._agree(plan)
            _record_changes(run, recorded, prepared)
            return await self._attempt(run, prepared, plan, price, start)

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

    async def _plan(
        self, config: TrainConfig, engine: Engine
    ) -> tuple[Prepared, Plan, Price | None]:
        load_subset(config.subset)  # before anything that needs a network or minutes
        check_wandb(config.wandb)
        model = await engine.describe(config.model or default_model(engine.kind), train=True)
        self._refuse_stopped()
        config = await asyncio.to_thread(self._available, config)
        self._refuse_stopped()
        prepared = prepare(config, model, listener=self._listener)
        price, as_of = await asyncio.to_thread(_price, engine, model.name, self._listener)
        if engine.costs_money and config.max_usd is not None and price is None:
            raise UsageError(
                f"max_usd cannot be kept: no price is known for {model.name}",
                hint="leave max_usd away and confirm with --yes, or choose a model with a price",
            )
        past = past_of(model.name, engine.kind)
        plan = make_plan(
            prepared,
            engine_kind=engine.kind,
            costs_money=engine.costs_money,
            made=self._made,
            price=price,
            prices_as_of=as_of,
            tokens_per_answer=past.tokens_per_answer,
            train_tokens_per_s=past.train_tokens_per_s,
            seconds_beside_training=past.seconds_beside_training,
        )
        return prepared, plan, price

    def _available(self, config: TrainConfig) -> TrainConfig:
        """The config with the benchmarks that can run here; the others are refused or left out."""
        sampled = {name: plan for name, plan in config.evals.items() if name != NLL}
        self._made = {name: benchmark(name).configured(plan) for name, plan in sampled.items()}
        problems = check_available(sampled, self._made)
        if not problems:
            return config
        reasons = "; ".join(f"{p.benchmark}: {p.error.message}" for p in problems)
        if not self._skip_unavailable:
            first = problems[0].error
            raise type(first)(
                f"{len(problems)} of the run's benchmarks cannot run here: {reasons}",
                hint="mend that, name other benchmarks under evals:, or leave these out with "
                "--skip-unavailable",
            )
        self._listener(Notice(f"benchmarks left out: {reasons}", "warning"))
        for problem in problems:
            del self._made[problem.benchmark]
        kept = {n: plan for n, plan in config.evals.items() if n == NLL or n in self._made}
        return config.model_copy(update={"evals": kept})

    async def _attempt(
        self,
        run: RunDirectory,
        prepared: Prepared,
        plan: Plan,
        price: Price | None,
        start: Checkpoint | None,
    ) -> TrainResult:
        attempt = next_attempt(run)
        meter = Meter(prepared.config.max_usd, spent_usd=spent_usd(run))
        log = RunLog(
            run,
            attempt,
            spent_usd=None if price is None else lambda: meter.spent_usd + meter.reserved_usd,
        )
        told = fan_out(log, self._listener)
        config = {**prepared.config.model_dump(mode="json"), "record": prepared.record()}
        with copied_to_wandb(prepared.config.wandb, run, config, told) as copy:
            listener = fan_out(log, self._listener, copy)
            return await self._train(run, prepared, plan, price, start, meter, attempt, listener)

    async def _train(
        self,
        run: RunDirectory,
        prepared: Prepared,
        plan: Plan,
        price: Price | None,
        start: Checkpoint | None,
        meter: Meter,
        attempt: int,
        listener: Listener,
    ) -> TrainResult:
        began = time.monotonic()
        try:
            async with open_engine(
                prepared.config.engine, store=run.store, listener=listener
            ) as engine:
                work = Work(
                    run,
                    prepared,
                    self._made,
                    engine,
                    self._stop,
                    listener,
                    attempt,
                    start=start,
                    price=price,
                    meter=meter,
                )
                ended = await work.run()
        except StorageError:
            raise  # a log that cannot be written gets no last line
        except BaseException as error:
            ended_as = "interrupted" if self._stop.requested else "failed"
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


def _record_changes(run: RunDirectory, recorded: TrainConfig, prepared: Prepared) -> None:
    """Take over the harmless changes, and keep on record what was before."""
    config = prepared.config.model_copy(update={"run_name": recorded.run_name})
    old, new = recorded.model_dump(mode="json"), config.model_dump(mode="json")
    changed = changed_keys(old, new)
    if not changed:
        return
    record = run.read_record()
    changes = [*record.get("changes", []), {"keys": changed, "before": old}]
    run.write_config(new, {**record, **prepared.record(), "changes": changes})


def _price(engine: Engine, model: str, listener: Listener) -> tuple[Price | None, str | None]:
    """The model's price and the date of the list; (None, None) when it is free or unknown.

    The published list is read when it answers within seconds; else the snapshot serves.
    """
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
