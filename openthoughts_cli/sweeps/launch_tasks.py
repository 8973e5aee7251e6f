"""Cells on remote engines: tasks in this process, since all they do is wait.

A process of their own would cost each its imports, seconds and hundreds of megabytes.
"""

from __future__ import annotations

import asyncio

from openthoughts_cli.engine.meter import Meter
from openthoughts_cli.events import Listener
from openthoughts_cli.sweeps.engines import EnginePool
from openthoughts_cli.sweeps.launch import CellJob, CellOutcome
from openthoughts_cli.sweeps.shared import SharedSurroundings
from openthoughts_cli.training.stop import StopRequest
from openthoughts_cli.training.verb import Means, train_as_task

__all__ = ["ShareMeter", "TaskLauncher"]


class ShareMeter(Meter):
    """A run's own meter that counts on the sweep's as well: both limits hold."""

    def __init__(self, max_usd: float | None, spent_usd: float, whole: Meter) -> None:
        super().__init__(max_usd, spent_usd=spent_usd)
        self._whole = whole

    def check(self, usd: float) -> None:
        super().check(usd)
        self._whole.check(usd)

    def reserve(self, usd: float) -> None:
        super().reserve(usd)
        self._whole.reserve(usd)

    def settle(self, reserved: float, actual: float) -> None:
        super().settle(reserved, actual)
        self._whole.settle(reserved, actual)


class TaskLauncher:
    """Runs cells beside each other in this event loop, on engines of the pool.

    Args:
        whole: the sweep's meter.
    """

    def __init__(self, pool: EnginePool, shared: SharedSurroundings, whole: Meter) -> None:
        self._pool = pool
        self._shared = shared
        self._whole = whole
        self._stop = StopRequest()

    async def run(self, job: CellJob, listener: Listener) -> CellOutcome:
        """As the port says."""
        await self._pool.engine(job.config.engine)
        means = Means(
            surroundings=self._shared,
            planned=job.planned,
            open_engine=self._pool.lend,
            new_meter=lambda most, spent: ShareMeter(most, spent, self._whole),
        )
        task = asyncio.ensure_future(
            train_as_task(job.config, means=means, stop=self._stop, listener=listener)
        )
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            if task.done() and not task.cancelled():
                task.exception()  # looked at: it was an interrupt, which has left the loop by itself
            raise
        if task.cancelled():
            return CellOutcome("interrupted")
        error = task.exception()
        if error is not None:
            return CellOutcome.of_error(error)
        return CellOutcome.of_result(task.result())

    def stop(self) -> None:
        """As the port says."""
        self._stop.request()

    def kill(self) -> None:
        """The tasks end with the loop; what they had queued at the engine goes on there."""
        self._stop.request()

    async def close(self) -> None:
        """The pool closes its engines."""
