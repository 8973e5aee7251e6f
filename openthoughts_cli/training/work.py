"""The engine's part of one attempt at a run: trainer, loop, evaluations."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from openthoughts_cli.engine.base import Datum, Engine, LoraSpec, Trainer
from openthoughts_cli.engine.meter import Meter, Price, metered
from openthoughts_cli.errors import ConfigError
from openthoughts_cli.evals.benchmark import Benchmark
from openthoughts_cli.events import CheckpointSaved, Listener, RunStarted
from openthoughts_cli.runs.layout import Checkpoint, RunDirectory
from openthoughts_cli.training.checkpoints import (
    record_checkpoint,
    remove_leftovers,
    roll,
    usable_samplers,
)
from openthoughts_cli.training.evaluations import EvalSchedule, Evaluations
from openthoughts_cli.training.loop import Ended, TrainingLoop
from openthoughts_cli.training.prepare import Prepared
from openthoughts_cli.training.schedule import advised_learning_rate
from openthoughts_cli.training.stop import StopRequest

__all__ = ["Work", "owed_evaluations"]


def owed_evaluations(run: RunDirectory, prepared: Prepared, made: Mapping[str, Benchmark]) -> int:
    """How many of the run's scheduled evaluations have no scores yet."""
    schedule = EvalSchedule(prepared.config.evals, len(prepared.batches))
    names = {name: made[name].name if name in made else name for name in prepared.config.evals}
    return sum(not run.is_scored(names[name], step) for step, name in schedule.all_due())


class Work:
    """Runs the steps that are left and the evaluations that are owed.

    Args:
        made: the benchmarks that sample, by name.
        start: the checkpoint to go on from; None for the first step.
        price: of the model; None when nothing costs or no price is known.
    """

    def __init__(
        self,
        run: RunDirectory,
        prepared: Prepared,
        made: Mapping[str, Benchmark],
        engine: Engine,
        stop: StopRequest,
        listener: Listener,
        attempt: int,
        *,
        start: Checkpoint | None,
        price: Price | None,
        meter: Meter,
    ) -> None:
        engine = engine if price is None else metered(engine, price, meter)
        self._run = run
        self._prepared = prepared
        self._engine = engine
        self._start = start
        self._price = price
        self._meter = meter
        self._samplers = usable_samplers(run)
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
        remove_leftovers(self._run)
        trainer = await self._trainer()
        first_step = 1 if self._start is None else self._start.batch + 1
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
        try:
            return await self._train_and_measure(trainer, first_step)
        except BaseException:
            # What else fails now follows from this, and nobody would look at it.
            await self._evaluations.abandon()
            raise

    async def _train_and_measure(self, trainer: Trainer, first_step: int) -> Ended:
        self._evaluations.tell_recorded()
        self._start_owed()
        ended = await self._loop(trainer, first_step).run()
        if ended == "done" and not self._stop.requested:
            await self._finish_evaluations()
        if self._evaluations.out_of_money is not None:
            return "budget"
        if self._stop.requested:
            await self._evaluations.abandon()
            return "interrupted"
        await self._evaluations.finish()
        self._roll()
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

    async def _trainer(self) -> Trainer:
        config = self._prepared.config
        if self._start is not None and self._start.state_path is not None:
            return await self._engine.resume_trainer(self._start.state_path)
        lora = LoraSpec(
            rank=config.lora_rank,
            seed=config.seed if config.lora_seed is None else config.lora_seed,
            attn=config.lora_attn,
            mlp=config.lora_mlp,
            unembed=config.lora_unembed,
        )
        return await self._engine.create_trainer(self._prepared.model.name, lora)

    def _start_owed(self) -> None:
        """Evaluations of weights that an earlier attempt saved but did not finish measuring."""
        self._evaluations.start(0, self._schedule.due(0), sampler_path=None)
        for step, path in sorted(self._samplers.items()):
            self._evaluations.start(step, self._schedule.due(step), sampler_path=path)

    def _due_on_new_weights(self, step: int) -> tuple[str, ...]:
        """What a step's new sampler is saved for. One that an earlier attempt saved still stands,
        and so do the scores of one that is gone by now."""
        if step in self._samplers:
            return ()
        due = self._schedule.due(step)
        return tuple(name for name in due if not self._evaluations.is_done(step, name))

    def _loop(self, trainer: Trainer, first_step: int) -> TrainingLoop:
        paid = self._price is not None
        return TrainingLoop(
            trainer,
            self._prepared.config,
            packed=self._prepared.training.packed,
            batches=self._prepared.batches,
            peak_learning_rate=_peak_rate(self._prepared),
            evals_due=self._due_on_new_weights,
            on_checkpoint=self._record_checkpoint,
            stop=self._stop,
            listener=self._listener,
            attempt=self._attempt,
            first_step=first_step,
            expires=self._engine.kind != "local",
            spent_usd=(lambda: self._meter.spent_usd) if paid else None,
            afford=self._afford if paid else None,
        )

    def _afford(self, parts: Sequence[Sequence[Datum]]) -> None:
        if self._price is not None:
            tokens = sum(len(datum.input_tokens) + 1 for part in parts for datum in part)
            self._meter.check(self._price.usd(train=tokens))

    def _record_checkpoint(self, event: CheckpointSaved) -> None:
        step = event.next_step - 1
        record_checkpoint(self._run, event, attempt=self._attempt)
        if event.sampler_path is not None and step not in self._samplers:
            self._samplers[step] = event.sampler_path
            self._evaluations.start(step, self._schedule.due(step), sampler_path=event.sampler_path)
        self._roll()

    def _roll(self) -> None:
        keep_last = self._prepared.config.keep_last
        if keep_last is not None:
            roll(self._run, keep_last, self._is_owed)

    def _is_owed(self, step: int) -> bool:
        due = self._schedule.due(step)
        return any(not self._evaluations.is_done(step, name) for name in due)


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
        raise ConfigError(str(error), hint="give learning_rate a number") from error
