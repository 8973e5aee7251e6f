"""Cells on a Ray cluster: one task a cell, with resources; results come home as they arise.

When a worker dies, the run at home is as of its last checkpoint or score, and the conductor begins
the cell again: Ray puts it wherever there is room.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from openthoughts_cli.config.train import TrainConfig
from openthoughts_cli.engine.meter import Meter
from openthoughts_cli.errors import BudgetError, ConflictError
from openthoughts_cli.events import Listener, Notice
from openthoughts_cli.runs.layout import RunDirectory
from openthoughts_cli.runs.lock import locked
from openthoughts_cli.runs.log import spent_usd
from openthoughts_cli.sweeps.capacity import is_local
from openthoughts_cli.sweeps.launch import CellJob, CellOutcome
from openthoughts_cli.sweeps.parcel import SubsetParcels, pack, unpack
from openthoughts_cli.sweeps.ray_cluster import ClusterGone, RayCluster, first_line, import_ray
from openthoughts_cli.sweeps.ray_worker import Parcel, work
from openthoughts_cli.sweeps.wire import decode_event

__all__ = ["RayLauncher", "reserve_when_others_return"]

_REMOTE_CELL_CPUS = 0.1
_KEYS = ("TINKER_API_KEY", "TINKER_BASE_URL", "WANDB_API_KEY", "HF_TOKEN")


class RayLauncher:
    """Runs each cell as a Ray task.

    Args:
        address: of the cluster; None: `$RAY_ADDRESS`, else a Ray of its own on this machine.
        resources: what a cell reserves; see `SweepConfig.resources`.
        whole: the sweep's meter: a cell's upper bound is set aside while it runs.

    Raises:
        MissingExtraError: Ray is not installed.
        NetworkError: there is no cluster at the address.
    """

    def __init__(self, address: str | None, resources: Mapping[str, float], whole: Meter) -> None:
        self._cluster = RayCluster(address or os.environ.get("RAY_ADDRESS"))
        self._ray = self._cluster.ray
        self._resources = dict(resources)
        self._whole = whole
        self._running: set[Any] = set()
        self._queued: set[Any] = set()
        self._stopped = False
        self._subsets = SubsetParcels()
        self._switch = self._cluster.beside_this_process(_Switch)
        self._task = self._ray.remote(max_retries=0, num_returns="streaming")(_cell_task)

    async def run(self, job: CellJob, listener: Listener) -> CellOutcome:
        """As the port says."""
        if self._cluster.watch.is_gone:
            return self._gone()
        config = job.config
        upper = self._upper(job)
        try:
            if not await reserve_when_others_return(self._whole, upper, lambda: self._stopped):
                return CellOutcome("interrupted")
        except BudgetError as error:
            return CellOutcome.of_error(error)
        before = spent_usd(job.run)
        try:
            with locked(job.run):
                if upper and config.max_usd is None:
                    config = config.model_copy(update={"max_usd": before + upper})
                return await self._run(job, config, listener)
        except ConflictError as error:
            return CellOutcome.of_error(error)
        finally:
            self._whole.settle(upper, max(spent_usd(job.run) - before, 0.0))

    def _upper(self, job: CellJob) -> float:
        if self._whole.max_usd is None or job.planned is None:
            return 0.0
        return job.planned.plan.most_usd or 0.0

    async def _run(self, job: CellJob, config: TrainConfig, listener: Listener) -> CellOutcome:
        home = str(job.run.path.resolve())
        parcel = Parcel(
            config=config.model_dump(mode="json"),
            subsets={
                name: self._subsets.of(name) for name in (config.subset, config.held_out) if name
            },
            run=pack(job.run.path),
            home=home,
            environ={name: os.environ[name] for name in _KEYS if name in os.environ},
        )
        stream = None
        try:
            stream = self._task.options(**self._options(config)).remote(parcel, self._switch)
            self._running.add(stream)
            self._queued.add(stream)
            return await self._cluster.watch.unless_gone(
                self._listen(stream, job.run, home, listener)
            )
        except ClusterGone:
            return self._gone()
        except self._ray.exceptions.TaskCancelledError:
            return CellOutcome("interrupted")
        except self._ray.exceptions.RayTaskError as error:
            lines = tuple(str(error).splitlines()[-6:])
            return CellOutcome("failed", lines[-1] if lines else str(error), last_lines=lines)
        except self._ray.exceptions.LocalRayletDiedError:  # without it this process reaches nobody
            self._cluster.watch.end()
            return self._gone()
        except (self._ray.exceptions.RayError, ConnectionError) as error:  # the latter: a client's
            if await self._cluster.watch.is_lost():
                return self._gone()
            return CellOutcome("died", f"the Ray worker is gone: {first_line(error)}")
        finally:
            self._running.discard(stream)
            self._queued.discard(stream)

    def _gone(self) -> CellOutcome:
        return CellOutcome(
            "interrupted",
            f"the Ray cluster at {self._cluster.name} is gone",
            "start it, then the same command goes on from what came home last",
        )

    def _options(self, config: TrainConfig) -> dict[str, Any]:
        wanted = dict(self._resources)
        options: dict[str, Any] = {
            "num_cpus": wanted.pop("CPU", 1.0 if is_local(config) else _REMOTE_CELL_CPUS),
            "num_gpus": wanted.pop("GPU", 0.0),
        }
        if "memory" in wanted:
            options["memory"] = int(wanted.pop("memory"))
        return {**options, "resources": wanted} if wanted else options

    async def _listen(
        self, stream: Any, run: RunDirectory, home: str, listener: Listener
    ) -> CellOutcome:
        scratch = ""
        subsets: dict[str, str] = {}
        async for reference in stream:
            self._queued.discard(stream)
            message: dict[str, Any] = await reference
            if "host" in message:
                scratch = message["scratch"]
                subsets = self._subsets.moved(scratch)
                listener(Notice(f"on {message['host']}, process {message['pid']}"))
            moved = {f"{scratch}/runs/{run.run_id}": home, **subsets}
            files = message.get("files")
            if files:
                await asyncio.to_thread(unpack, files, run.path, moved=moved)
            for value in message.get("events", ()):
                if (event := decode_event(value)) is not None:
                    listener(event)
            if "outcome" in message:
                return CellOutcome.from_json(message["outcome"])
        return CellOutcome("died", "the Ray task ended without an outcome")

    def stop(self) -> None:
        """As the port says."""
        self._stopped = True
        with contextlib.suppress(self._ray.exceptions.RayError):
            self._switch.stop.remote()
        self._cancel(self._queued)  # else each would begin, only to hear that it is to stop

    def kill(self) -> None:
        """As the port says."""
        self._stopped = True
        self._cancel(self._running)

    def _cancel(self, streams: Iterable[Any]) -> None:
        for stream in list(streams):
            with contextlib.suppress(self._ray.exceptions.RayError, ValueError, TypeError):
                self._ray.cancel(stream, force=True)

    async def close(self) -> None:
        """Leave the cluster; a Ray that was started for this sweep ends."""
        await self._cluster.leave()


async def reserve_when_others_return(
    meter: Meter, usd: float, stopped: Callable[[], bool], *, look_s: float = 0.5
) -> bool:
    """Set `usd` aside, waiting for what is in flight where only that stands in the way; True when it
    is set aside, False when `stopped` said so before.

    A cell's upper bound is far above what it costs, so that room comes back as cells end.

    Raises:
        BudgetError: it does not fit beside what is spent already.
    """
    while not stopped():
        try:
            meter.reserve(usd)
            return True
        except BudgetError:
            most = meter.max_usd
            if most is None or meter.spent_usd + usd > most or not meter.reserved_usd:
                raise
            await asyncio.sleep(look_s)
    return False


class _Switch:
    """Lives on the cluster; workers ask it whether to stop."""

    def __init__(self) -> None:
        self._stopped = False

    def stop(self) -> None:
        self._stopped = True

    def stopped(self) -> bool:
        return self._stopped


def _cell_task(parcel: Parcel, switch: Any) -> Any:
    ray = import_ray()

    def stopped() -> bool:
        try:
            return bool(ray.get(switch.stopped.remote(), timeout=10))
        except ray.exceptions.GetTimeoutError:
            return False  # a busy cluster: asked again in a second
        except ray.exceptions.RayError:
            return True  # the conductor is gone

    yield from work(parcel, stopped)
