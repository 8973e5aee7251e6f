"""Checkpoints: queued in order behind their step, recorded in order once they are stored."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from openthoughts_cli.config.train import TrainConfig
from openthoughts_cli.engine.base import Trainer
from openthoughts_cli.errors import OtError
from openthoughts_cli.events import CheckpointSaved, Listener

__all__ = ["Saver", "checkpoint_name"]


@dataclass(frozen=True, slots=True)
class _Save:
    name: str
    step: int
    epoch: float
    final: bool
    state: Awaitable[str] | None
    sampler: Awaitable[str] | None


def checkpoint_name(step: int, attempt: int) -> str:
    """`step-000020`; later attempts at a run carry their number, so that names never clash."""
    return f"step-{step:06d}" + (f"-attempt-{attempt}" if attempt > 1 else "")


class Saver:
    """Asks the trainer for saves at once, and reports each when it and all before it are stored.

    An async context: leaving it waits for every save that was asked for. A save that failed is
    raised there, and saves asked for after it are not reported.
    """

    def __init__(
        self,
        trainer: Trainer,
        config: TrainConfig,
        *,
        listener: Listener,
        attempt: int,
        on_checkpoint: Callable[[CheckpointSaved], None],
    ) -> None:
        self._trainer = trainer
        hours = config.checkpoint_ttl_hours
        self._ttl_s = None if hours is None else round(hours * 3600)
        self._listener = listener
        self._attempt = attempt
        self._on_checkpoint = on_checkpoint
        self._saves: asyncio.Queue[_Save | None] = asyncio.Queue()
        self._worker: asyncio.Task[None] | None = None
        self._last_state_step = 0

    async def __aenter__(self) -> Saver:
        self._worker = asyncio.create_task(self._report_in_order())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None:
        del kind, trace
        self._saves.put_nowait(None)
        if self._worker is None:
            return
        if error is None:
            await self._worker
            return
        if not isinstance(error, OtError):
            self._worker.cancel()  # the second Ctrl-C: nobody waits for the saves any more
        with contextlib.suppress(OtError, asyncio.CancelledError):
            await self._worker

    def raise_if_failed(self) -> None:
        """Raise what went wrong with an earlier save, so that a run does not go on unsaved."""
        if self._worker is not None and self._worker.done():
            self._worker.result()

    def save(
        self, step: int, epoch: float, *, state: bool, sampler: bool = False, final: bool = False
    ) -> None:
        """Queue the saves of the weights after `step`, which must be the last step queued."""
        state = state and step != self._last_state_step
        if not (state or sampler):
            return
        name = checkpoint_name(step, self._attempt)
        ttl_s = None if final else self._ttl_s
        self._saves.put_nowait(
            _Save(
                name=name,
                step=step,
                epoch=epoch,
                final=final,
                state=self._trainer.save_state(name, ttl_s=ttl_s) if state else None,
                sampler=self._trainer.save_sampler(name, ttl_s=ttl_s) if sampler else None,
            )
        )
        if state:
            self._last_state_step = step

    async def _report_in_order(self) -> None:
        while (save := await self._saves.get()) is not None:
            event = CheckpointSaved(
                name=save.name,
                next_step=save.step + 1,
                epoch=save.epoch,
                state_path=None if save.state is None else await _stored(save.state),
                sampler_path=None if save.sampler is None else await _stored(save.sampler),
                final=save.final,
            )
            self._on_checkpoint(event)
            self._listener(event)


async def _stored(request: Awaitable[str]) -> str:
    return await asyncio.shield(asyncio.ensure_future(request))
