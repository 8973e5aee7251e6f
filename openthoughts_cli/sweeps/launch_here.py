"""This machine as a place for cells: which kind of launcher runs which cell."""

from __future__ import annotations

from openthoughts_cli.events import Listener
from openthoughts_cli.sweeps.capacity import is_local
from openthoughts_cli.sweeps.launch import CellJob, CellOutcome, Launcher

__all__ = ["HereLauncher"]


class HereLauncher:
    """This machine: tasks for cells of remote engines, processes for those of the local one."""

    def __init__(self, tasks: Launcher, processes: Launcher) -> None:
        self._tasks = tasks
        self._processes = processes

    async def run(self, job: CellJob, listener: Listener) -> CellOutcome:
        launcher = self._processes if is_local(job.config) else self._tasks
        return await launcher.run(job, listener)

    def stop(self) -> None:
        self._tasks.stop()
        self._processes.stop()

    def kill(self) -> None:
        self._tasks.kill()
        self._processes.kill()

    async def close(self) -> None:
        await self._tasks.close()
        await self._processes.close()
