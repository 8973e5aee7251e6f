"""`ot train` as one function: plan, agree, train, evaluate, record."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias

from openthoughts_cli.config.benchmark import NLL
from openthoughts_cli.config.train import TrainConfig
from openthoughts_cli.data.subset import load_subset
from openthoughts_cli.engine import default_model, open_engine, resolve_engine
from openthoughts_cli.engine.base import Engine, LoraSpec, Trainer
from openthoughts_cli.engine.meter import Meter, Price, metered
from openthoughts_cli.errors import ConfigError, ConflictError, UsageError
from openthoughts_cli.evals.benchmark import Benchmark, benchmark
from openthoughts_cli.evals.plan import check_available
from openthoughts_cli.events import (
    CheckpointSaved,
    Listener,
    Notice,
    RunFinished,
    RunStarted,
    fan_out,
    silent,
)
from openthoughts_cli.places import runs_dir
from openthoughts_cli.runs.environment import describe_environment
from openthoughts_cli.runs.layout import Checkpoint, RunDirectory, find_run, new_run_id
from openthoughts_cli.runs.lock import locked
from openthoughts_cli.runs.log import RunLog, next_attempt, run_status
from openthoughts_cli.store import append_line
from openthoughts_cli.training.evaluations import EvalSchedule, Evaluations
from openthoughts_cli.training.loop import Ended, TrainingLoop
from openthoughts_cli.training.plan import Plan, make_plan
from openthoughts_cli.training.prepare import Prepared, prepare
from openthoughts_cli.training.schedule import advised_learning_rate
from openthoughts_cli.training.stop import StopRequest

__all__ = ["Confirm", "TrainResult", "resume_training", "train"]

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
    job = _Job(config, confirm, dry_run, skip_unavailable, stop or StopRequest(), listener)
    return asyncio.run(job.begin())


def resume_training(
    run: str,
    *,
    confirm: Confirm | None = None,
    stop: StopRequest | None = None,
    listener: Listener = silent,
) -> TrainResult:
    """Go on with an unfinished run from its last checkpoint, with the settings it began with.

    Raises:
        NotFoundError: no such run.
        ConfigError: the subset or the renderer is no longer what the run began with.
    """
    directory = find_run(run)
    config = TrainConfig.model_validate(directory.read_config())
    job = _Job(config, confirm, False, False, stop or StopRequest(), listener)
    return asyncio.run(job.go_on(directory))


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
                self._refuse_taken(run, prepared)
            if self._confirm is not None:
                self._confirm(plan)
        with locked(run):
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
            return await self._attempt(run, prepared, plan, price)

    async def go_on(self, run: RunDirectory) -> TrainResult:
        """A further attempt at an unfinished run."""
        async with open_engine(
            self._config.engine, store=run.store, listener=self._listener
        ) as probe:
            prepared, plan, price = await self._plan(self._config, probe)
        self._refuse_changed(run, prepared)
        if self._confirm is not None:
            self._confirm(plan)
        with locked(run):
            return await self._attempt(run, prepared, plan, price)

    def _resolved(self) -> TrainConfig:
        engine = resolve_engine(self._config.engine, listener=self._listener)
        model = self._config.model or default_model(engine.kind)
        return self._config.model_copy(update={"engine": engine, "model": model})

    async def _plan(
        self, config: TrainConfig, engine: Engine
    ) -> tuple[Prepared, Plan, Price | None]:
        load_subset(config.subset)  # before anything that needs a network or minutes
        model = await engine.describe(config.model or default_model(engine.kind), train=True)
        config = await asyncio.to_thread(self._available, config)
        prepared = prepare(config, model, listener=self._listener)
        price, as_of = _price(engine, model.name)
        if engine.costs_money and config.max_usd is not None and price is None:
            raise UsageError(
                f"max_usd cannot be kept: no price is known for {model.name}",
                hint="leave max_usd away and confirm with --yes, or choose a model with a price",
            )
        plan = make_plan(
            prepared,
            engine_kind=engine.kind,
            costs_money=engine.costs_money,
            made=self._made,
            price=price,
            prices_as_of=as_of,
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

    def _refuse_taken(self, run: RunDirectory, prepared: Prepared) -> None:
        same = run.read_record().get("identity") == prepared.identity
        status = run_status(run)
        if same and status != "done":
            hint = f"go on with it: ot train --resume {run.run_id}"
        elif same:
            hint = f"it is done already; see ot runs show {run.run_id}"
        else:
            hint = "its settings differ; choose another --run-name"
        raise ConflictError(f"the run {run.run_id} exists ({status})", hint=hint)

    def _refuse_changed(self, run: RunDirectory, prepared: Prepared) -> None:
        recorded = run.read_record()
        if recorded.get("identity") == prepared.identity:
            return
        now = prepared.record()
        changed = [
            key
            for key in ("subset", "renderer", "split")
            if _digests(recorded.get(key)) != _digests(now[key])
        ]
        raise ConfigError(
            f"{run.run_id} cannot go on: {', '.join(changed) or 'its config'} changed since it began",
            hint="restore what it began with, or start a new run",
        )

    async def _attempt(
        self, run: RunDirectory, prepared: Prepared, plan: Plan, price: Price | None
    ) -> TrainResult:
        attempt = next_attempt(run)
        log = RunLog(run, attempt)
        listener = fan_out(log, self._listener)
        meter = Meter(prepared.config.max_usd)
        began = time.monotonic()
        status: Literal["done", "interrupted", "failed", "budget"] = "failed"
        try:
            async with open_engine(
                prepared.config.engine, store=run.store, listener=listener
            ) as engine:
                if price is not None:
                    engine = metered(engine, price, meter)
                work = _Work(run, prepared, self._made, engine, self._stop, listener, attempt)
                ended = await work.run()
                status = ended
        finally:
            if self._stop.requested and status == "failed":
                status = "interrupted"
            seconds = time.monotonic() - began
            listener(RunFinished(run.run_id, status, len(prepared.batches), seconds))
        return TrainResult(ended, run, plan, tuple(work.failures), meter.spent_usd)


def _price(engine: Engine, model: str) -> tuple[Price | None, str | None]:
    """The model's price and the date of the list; (None, None) when it is free or unknown."""
    if not engine.costs_money:
        return None, None
    from openthoughts_cli.engine.tinker.prices import price_of

    return price_of(model)


def _digests(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {key: item for key, item in value.items() if key.endswith("digest")}


class _Work:
    """The engine's part of an attempt: trainer, loop, evaluations."""

    def __init__(
        self,
        run: RunDirectory,
        prepared: Prepared,
        made: Mapping[str, Benchmark],
        engine: Engine,
        stop: StopRequest,
        listener: Listener,
        attempt: int,
    ) -> None:
        self._run = run
        self._prepared = prepared
        self._engine = engine
        self._stop = stop
        self._listener = listener
        self._attempt = attempt
        config = prepared.config
        self._schedule = EvalSchedule(config.evals, len(prepared.batches))
        self._evaluations = Evaluations(
            engine,
            prepared.renderer,
            run,
            config.evals,
            made,
            prepared.held_out.rows,
            model=prepared.model.name,
            listener=listener,
        )

    @property
    def failures(self) -> list[str]:
        return self._evaluations.failures

    async def run(self) -> Ended:
        trainer, first_step = await self._trainer()
        total = len(self._prepared.batches)
        self._listener(
            RunStarted(
                run_id=self._run.run_id,
                directory=str(self._run.path),
                total_steps=total,
                steps_per_epoch=-(-total // self._prepared.config.epochs),
                model=self._prepared.model.name,
                engine=self._engine.kind,
                first_step=first_step,
            )
        )
        self._start_owed(first_step)
        ended = await self._loop(trainer, first_step).run()
        if ended == "done" and not self._stop.requested:
            await self._finish_evaluations()
        if self._evaluations.out_of_money is not None:
            return "budget"
        if self._stop.requested:
            await self._evaluations.abandon()
            return "interrupted"
        await self._evaluations.finish()
        return ended

    async def _finish_evaluations(self) -> None:
        """Wait for the owed evaluations, looking up for a stop request now and then."""
        waiting = asyncio.ensure_future(self._evaluations.finish())
        while not waiting.done() and not self._stop.requested:
            await asyncio.wait([waiting], timeout=0.2)
        if waiting.done():
            await waiting
        else:
            waiting.cancel()

    async def _trainer(self) -> tuple[Trainer, int]:
        config = self._prepared.config
        last = _last_state(self._run.checkpoints())
        if last is not None and last.state_path is not None:
            return await self._engine.resume_trainer(last.state_path), last.batch + 1
        lora = LoraSpec(
            rank=config.lora_rank,
            seed=config.seed if config.lora_seed is None else config.lora_seed,
            attn=config.lora_attn,
            mlp=config.lora_mlp,
            unembed=config.lora_unembed,
        )
        return await self._engine.create_trainer(self._prepared.model.name, lora), 1

    def _start_owed(self, first_step: int) -> None:
        """Evaluations of weights that an earlier attempt saved but did not finish measuring."""
        samplers = {
            checkpoint.batch: checkpoint.sampler_path
            for checkpoint in self._run.checkpoints()
            if checkpoint.sampler_path is not None
        }
        for step in range(first_step):
            names = self._schedule.due(step)
            if step == 0:
                self._evaluations.start(0, names, sampler_path=None)
            elif names and step in samplers:
                self._evaluations.start(step, names, sampler_path=samplers[step])

    def _loop(self, trainer: Trainer, first_step: int) -> TrainingLoop:
        return TrainingLoop(
            trainer,
            self._prepared.config,
            packed=self._prepared.training.packed,
            batches=self._prepared.batches,
            peak_learning_rate=_peak_rate(self._prepared),
            evals_due=self._schedule.due,
            on_checkpoint=self._record_checkpoint,
            stop=self._stop,
            listener=self._listener,
            attempt=self._attempt,
            first_step=first_step,
        )

    def _record_checkpoint(self, event: CheckpointSaved) -> None:
        step = event.next_step - 1
        line = {
            "name": event.name,
            "batch": step,
            "epoch": event.epoch,
            "final": event.final,
            "state_path": event.state_path,
            "sampler_path": event.sampler_path,
            "attempt": self._attempt,
        }
        append_line(self._run.checkpoints_path, line)
        if event.sampler_path is not None:
            self._evaluations.start(step, self._schedule.due(step), sampler_path=event.sampler_path)


def _last_state(checkpoints: list[Checkpoint]) -> Checkpoint | None:
    states = [checkpoint for checkpoint in checkpoints if checkpoint.state_path is not None]
    return max(states, key=lambda checkpoint: checkpoint.batch, default=None)


def _peak_rate(prepared: Prepared) -> float:
    rate = prepared.config.learning_rate
    if not isinstance(rate, str):
        return rate
    if prepared.model.hidden_size is None:
        raise ConfigError(
            f"learning_rate: auto needs the hidden size of {prepared.model.name}, "
            "which this engine does not tell",
            hint="give a number",
        )
    try:
        return advised_learning_rate(prepared.model.name, prepared.model.hidden_size)
    except ValueError as error:
        raise ConfigError(str(error)) from error
