"""Checkpoints: queued in order behind their step, recorded in order once they are stored.

One is recorded only when the results of all its steps are (see `progress`), so that a resumed run
lacks none of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from openthoughts_cli.config.train import TrainConfig
from openthoughts_cli.engine.base import Trainer
from openthoughts_cli.errors import OtError
from openthoughts_cli.events import CheckpointSaved, Listener
from openthoughts_cli.training.progress import KnownSteps

__all__ = ["Saver", "checkpoint_name"]


@dataclass(frozen=True, slots=True)
class _Save:
    name: str
    step: int
    epoch: float
    final: bool
    state: Awaitable[str] | None
    sampler: Awaitable[str] | None
    expires_at: str | None


def checkpoint_name(step: int, attempt: int) -> str:
    """`step-000020`; later attempts at a run carry their number, so that names never clash."""
    return f"step-{step:06d}" + (f"-attempt-{attempt}" if attempt > 1 else "")


class Saver:
    """Asks the trainer for saves at once, and reports each when it and all before it are stored.

    An async context: leaving it waits for every save that was asked for. A save that failed is
    raised there, and saves asked for after it are not reported.

    Args:
        known: which steps' results are on record.
        expires: whether the engine deletes what is older than its time to live.
        now_s: a clock that only goes forward, in seconds.
    """

    def __init__(
        self,
        trainer: Trainer,
        config: TrainConfig,
        *,
        listener: Listener,
        attempt: int,
        on_checkpoint: Callable[[CheckpointSaved], None],
        known: KnownSteps,
        expires: bool = True,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._trainer = trainer
        self._config = config
        hours = config.checkpoint_ttl_hours
        self._ttl_s = None if hours is None else round(hours * 3600)
        self._known = known
        self._expires = expires
        self._now_s = now_s
        self._last_state_s = now_s()
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
        self._known.give_up()
        if not isinstance(error, OtError):
            self._worker.cancel()  # the second Ctrl-C: nobody waits for the saves any more
        with contextlib.suppress(OtError, asyncio.CancelledError):
            await self._worker

    def raise_if_failed(self) -> None:
        """Raise what went wrong with an earlier save, so that a run does not go on unsaved."""
        if self._worker is not None and self._worker.done():
            self._worker.result()

    def is_due(self, step: int) -> bool:
        """Whether a state should be saved after `step`, by its number or by the clock."""
        every, minutes = self._config.save_every, self._config.save_every_minutes
        if every and step % every == 0:
            return True
        return minutes is not None and self._now_s() - self._last_state_s >= minutes * 60

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
                expires_at=_after(ttl_s) if self._expires else None,
            )
        )
        if state:
            self._last_state_step = step
            self._last_state_s = self._now_s()

    async def _report_in_order(self) -> None:
        while (save := await self._saves.get()) is not None:
            event = CheckpointSaved(
                name=save.name,
                next_step=save.step + 1,
                epoch=save.epoch,
                state_path=None if save.state is None else await _stored(save.state),
                sampler_path=None if save.sampler is None else await _stored(save.sampler),
                final=save.final,
                expires_at=save.expires_at,
            )
            if not await self._known.reached(save.step):
                return
            self._on_checkpoint(event)
            self._listener(event)


def _after(ttl_s: int | None) -> str | None:
    """That many seconds from now, counted from the request and so never too late."""
    if ttl_s is None:
        return None
    return (datetime.now(UTC) + timedelta(seconds=ttl_s)).isoformat(timespec="seconds")


async def _stored(request: Awaitable[str]) -> str:
    return await asyncio.shield(asyncio.ensure_future(request))
