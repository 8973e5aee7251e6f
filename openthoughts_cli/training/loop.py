"""The training loop: pipelined, stoppable at every step, with evaluations alongside.

Batch N+1 is queued at the engine before N is awaited. A save is queued directly behind the
optimiser step whose weights it stores, and is recorded with the position that comes next. Nothing
that was queued is ever cancelled.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, TypeAlias, TypeVar

import numpy as np

from openthoughts_cli.config.train import TrainConfig
from openthoughts_cli.engine.base import AdamParams, Datum, ForwardResult, OptimResult, Trainer
from openthoughts_cli.errors import BudgetError, EngineError
from openthoughts_cli.events import CheckpointSaved, Listener, StepDone
from openthoughts_cli.training.curriculum import Batch
from openthoughts_cli.training.examples import Packed, collate
from openthoughts_cli.training.progress import KnownSteps
from openthoughts_cli.training.saving import Saver
from openthoughts_cli.training.schedule import learning_rate_at
from openthoughts_cli.training.stop import StopRequest

__all__ = ["Ended", "TrainingLoop"]

Ended: TypeAlias = Literal["done", "interrupted", "budget"]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Queued:
    """A step that the engine has been asked for."""

    step: int
    batch: Batch
    learning_rate: float
    depth: int
    waited_s: float
    forward_backwards: tuple[Awaitable[ForwardResult], ...]
    optim_step: Awaitable[OptimResult]


class TrainingLoop:
    """Runs the steps `first_step`..len(batches) on a trainer.

    Args:
        peak_learning_rate: the config's rate, `auto` resolved.
        evals_due: which benchmarks the weights after a step are measured on.
        on_checkpoint: called once a checkpoint is stored, in the order of the steps.
        expires: whether the engine's checkpoints have a time to live.
        spent_usd: what the run has cost so far.
        afford: raises `BudgetError` where a step's requests together would pass the limit.
        now_s: a clock that only goes forward, in seconds.
    """

    def __init__(
        self,
        trainer: Trainer,
        config: TrainConfig,
        *,
        packed: Sequence[Packed],
        batches: Sequence[Batch],
        peak_learning_rate: float,
        evals_due: Callable[[int], Sequence[str]],
        on_checkpoint: Callable[[CheckpointSaved], None],
        stop: StopRequest,
        listener: Listener,
        attempt: int = 1,
        first_step: int = 1,
        expires: bool = False,
        spent_usd: Callable[[], float] | None = None,
        afford: Callable[[Sequence[Sequence[Datum]]], None] | None = None,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._trainer = trainer
        self._config = config
        self._packed = packed
        self._batches = batches
        self._peak = peak_learning_rate
        self._evals_due = evals_due
        self._stop = stop
        self._listener = listener
        self._first_step = first_step
        self._queued: deque[_Queued] = deque()
        self._last_known_s = 0.0
        self._spent_usd = spent_usd
        self._afford = afford
        self._now_s = now_s
        self._known = KnownSteps(first_step - 1)
        self._saver = Saver(
            trainer,
            config,
            listener=listener,
            attempt=attempt,
            on_checkpoint=on_checkpoint,
            known=self._known,
            expires=expires,
            now_s=now_s,
        )

    async def run(self) -> Ended:
        """Train until the last step, a stop request, or the money limit.

        However it ends, all that was queued is awaited, recorded and saved first.

        Raises:
            EngineError: a request failed, or a loss is no number; what is recorded stays.
        """
        try:
            return await self._run()
        except BaseException:
            for queued in self._queued:
                _disown(*queued.forward_backwards, queued.optim_step)
            raise

    async def _run(self) -> Ended:
        self._last_known_s = self._now_s()
        ended: Ended = "done"
        async with self._saver:
            step = self._first_step
            ahead = self._collate_ahead(step)
            while step <= len(self._batches):
                asked_s = self._now_s()
                parts = await ahead
                waited_s = self._now_s() - asked_s
                self._saver.raise_if_failed()
                if self._stop.requested:
                    ended = "interrupted"
                    break
                try:
                    self._queue(step, parts, waited_s)
                except BudgetError:
                    ended = "budget"
                    break
                ahead = self._collate_ahead(step + 1)
                self._save_if_due(step)
                step += 1
                if len(self._queued) >= self._config.pipeline_depth:
                    await self._settle_oldest()
            if ended != "done" and step > self._first_step:
                self._saver.save(step - 1, self._epoch_after(step - 1), state=True)
            while self._queued:
                await self._settle_oldest()
        return ended

    def _collate_ahead(self, step: int) -> asyncio.Future[list[list[Datum]]]:
        """The step's data, made in a thread while the engine works on earlier steps."""
        if step > len(self._batches):
            return asyncio.get_running_loop().create_future()
        rows = [self._packed[row] for row in self._batches[step - 1].rows]
        return asyncio.ensure_future(asyncio.to_thread(self._collate, rows))

    def _collate(self, rows: Sequence[Packed]) -> list[list[Datum]]:
        """The step's requests. Weights are of the whole step, so that the parts add up to it."""
        data = collate(rows, self._config.loss_normalization)
        count = min(self._config.accumulate, len(data))
        cuts = [len(data) * part // count for part in range(count + 1)]
        return [data[start:end] for start, end in pairwise(cuts)]

    def _queue(self, step: int, parts: Sequence[Sequence[Datum]], waited_s: float) -> None:
        config = self._config
        rate = learning_rate_at(
            step,
            total_steps=len(self._batches),
            peak=self._peak,
            schedule=config.lr_schedule,
            warmup_steps=config.warmup_steps,
        )
        adam = AdamParams(
            learning_rate=rate,
            beta1=config.adam_beta1,
            beta2=config.adam_beta2,
            eps=config.adam_eps,
            weight_decay=config.weight_decay,
            grad_clip_norm=config.grad_clip_norm,
        )
        if self._afford is not None:
            self._afford(parts)  # half a step's gradient must not be left with the trainer
        requests = tuple(self._trainer.forward_backward(part) for part in parts)
        self._queued.append(
            _Queued(
                step=step,
                batch=self._batches[step - 1],
                learning_rate=rate,
                depth=len(self._queued) + 1,
                waited_s=waited_s,
                forward_backwards=requests,
                optim_step=self._trainer.optim_step(adam),
            )
        )

    def _save_if_due(self, step: int) -> None:
        final = step == len(self._batches)
        state = final or self._saver.is_due(step)
        evals = tuple(self._evals_due(step))
        if state or evals:
            self._saver.save(
                step,
                self._epoch_after(step),
                state=state,
                sampler=bool(evals) or final,
                final=final,
            )

    def _epoch_after(self, step: int) -> float:
        return self._batches[step - 1].epoch

    async def _settle_oldest(self) -> None:
        queued = self._queued[0]
        results = [await _kept(request) for request in queued.forward_backwards]
        optim = await _kept(queued.optim_step)
        self._queued.popleft()
        now_s = self._now_s()
        seconds, self._last_known_s = now_s - self._last_known_s, now_s
        rows = [self._packed[row] for row in queued.batch.rows]
        loss_tokens = sum(row.num_loss_tokens for row in rows)
        mean_nll = _nll_sum(results, rows) / loss_tokens
        if not math.isfinite(mean_nll):
            # Not recorded, and so neither is a checkpoint behind it: see `progress`.
            raise EngineError(
                f"the loss of step {queued.step} is {mean_nll}: its weights can no longer be used",
                hint="start a new run with a lower learning_rate, or with grad_clip_norm; the "
                "checkpoints up to here are kept",
            )
        self._listener(
            StepDone(
                step=queued.step,
                total_steps=len(self._batches),
                epoch=queued.batch.epoch,
                learning_rate=queued.learning_rate,
                num_tokens=sum(row.num_tokens for row in rows),
                num_loss_tokens=loss_tokens,
                train_mean_nll=mean_nll,
                seconds=seconds,
                extra=self._extra(queued, results, optim),
            )
        )
        self._known.tell(queued.step)

    def _extra(
        self, queued: _Queued, results: Sequence[ForwardResult], optim: OptimResult
    ) -> dict[str, float]:
        """The loss as it was minimised, under a name that says how; and how the pipeline went.

        What is no number is left out: a log-probability of -inf times a weight of 0 is one.
        """
        found = {
            _LOSS_NAMES[self._config.loss_normalization]: sum(r.loss_sum for r in results),
            "time/wait_data": queued.waited_s,
            "queue_depth": float(queued.depth),
            **({} if self._spent_usd is None else {"spent_usd": self._spent_usd()}),
            **{f"optim/{name}": value for name, value in optim.metrics.items()},
        }
        return {name: value for name, value in found.items() if math.isfinite(value)}


_LOSS_NAMES = {
    "token": "train_loss_per_token",
    "sequence": "train_loss_per_sequence",
    "sum": "train_loss_sum",
}


def _nll_sum(results: Sequence[ForwardResult], rows: Sequence[Packed]) -> float:
    """Nats over the loss tokens of the batch, whatever weights it was trained with."""
    answers = [logprobs for result in results for logprobs in result.logprobs]
    return -sum(
        float(np.sum(logprobs[-row.num_loss_tokens :], dtype=np.float64))
        for logprobs, row in zip(answers, rows, strict=True)
    )


def _disown(*requests: Awaitable[object]) -> None:
    """Nobody will await these; their failures, which follow from an earlier one, are no news."""

    def look(done: asyncio.Future[object]) -> None:
        if not done.cancelled():
            done.exception()

    for request in requests:
        asyncio.ensure_future(request).add_done_callback(look)


async def _kept(request: Awaitable[T]) -> T:
    """Await a queued request; cancelling the waiter leaves the request alone."""
    return await asyncio.shield(asyncio.ensure_future(request))
