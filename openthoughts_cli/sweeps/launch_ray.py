"""Cells on a Ray cluster: one task a cell, with resources; results come home as they arise.

When a worker dies, the run at home is as of its last checkpoint or score, and the conductor begins
the cell again: Ray puts it wherever there is room.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from openthoughts_cli.config.train import TrainConfig
from openthoughts_cli.data.subset import load_subset
from openthoughts_cli.engine.meter import Meter
from openthoughts_cli.errors import (
    BudgetError,
    ConflictError,
    MissingExtraError,
    NetworkError,
    UsageError,
)
from openthoughts_cli.events import Listener, Notice
from openthoughts_cli.runs.layout import RunDirectory
from openthoughts_cli.runs.lock import locked
from openthoughts_cli.runs.log import spent_usd
from openthoughts_cli.sweeps.capacity import is_local
from openthoughts_cli.sweeps.launch import CellJob, CellOutcome
from openthoughts_cli.sweeps.parcel import pack, unpack
from openthoughts_cli.sweeps.ray_worker import Parcel, work
from openthoughts_cli.sweeps.wire import decode_event

__all__ = ["RayLauncher", "reserve_when_others_return"]

_REMOTE_CELL_CPUS = 0.1
_CONNECT_S = 5.0
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
        self._ray = _import_ray()
        self._resources = dict(resources)
        self._whole = whole
        self._running: set[Any] = set()
        self._stopped = False
        self._parcels: dict[str, Any] = {}
        self._ours = _connect(self._ray, address or os.environ.get("RAY_ADDRESS"))
        self._switch = self._ray.remote(num_cpus=0)(_Switch).remote()
        self._task = self._ray.remote(max_retries=0, num_returns="streaming")(_cell_task)

    async def run(self, job: CellJob, listener: Listener) -> CellOutcome:
        """As the port says."""
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
            subsets={name: self._subset(name) for name in (config.subset, config.held_out) if name},
            run=pack(job.run.path),
            home=home,
            environ={name: os.environ[name] for name in _KEYS if name in os.environ},
        )
        stream = None
        try:
            stream = self._task.options(**self._options(config)).remote(parcel, self._switch)
            self._running.add(stream)
            return await self._listen(stream, job.run, home, listener)
        except self._ray.exceptions.TaskCancelledError:
            return CellOutcome("interrupted")
        except self._ray.exceptions.RayTaskError as error:
            lines = tuple(str(error).splitlines()[-6:])
            return CellOutcome("failed", lines[-1] if lines else str(error), last_lines=lines)
        except (self._ray.exceptions.RayError, ConnectionError) as error:  # the latter: a client's
            return CellOutcome("died", f"the Ray worker is gone: {_first_line(error)}")
        finally:
            self._running.discard(stream)

    def _subset(self, name: str) -> tuple[str, bytes]:
        if name not in self._parcels:
            subset = load_subset(name)
            self._parcels[name] = (subset.path.resolve().name, pack(subset.path))
        return self._parcels[name]

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
            message: dict[str, Any] = await reference
            if "host" in message:
                scratch = message["scratch"]
                subsets = self._moved(scratch)
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

    def _moved(self, scratch: str) -> dict[str, str]:
        """Where the worker has the subsets -> where they are at home."""
        return {
            f"{scratch}/subsets/{folder}": str(load_subset(name).path.resolve())
            for name, (folder, _) in self._parcels.items()
        }

    def stop(self) -> None:
        """As the port says."""
        self._stopped = True
        with contextlib.suppress(self._ray.exceptions.RayError):
            self._switch.stop.remote()

    def kill(self) -> None:
        """As the port says."""
        self._stopped = True
        for stream in list(self._running):
            with contextlib.suppress(self._ray.exceptions.RayError, ValueError, TypeError):
                self._ray.cancel(stream, force=True)

    async def close(self) -> None:
        """Leave the cluster; a Ray that was started for this sweep ends."""
        if self._ours:
            await asyncio.to_thread(self._ray.shutdown)


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
    ray = _import_ray()

    def stopped() -> bool:
        try:
            return bool(ray.get(switch.stopped.remote(), timeout=10))
        except ray.exceptions.GetTimeoutError:
            return False  # a busy cluster: asked again in a second
        except ray.exceptions.RayError:
            return True  # the conductor is gone

    yield from work(parcel, stopped)


def _import_ray() -> Any:
    try:
        import ray  # pyright: ignore[reportMissingImports]  # an extra
    except ImportError:
        raise MissingExtraError(
            "Ray is not installed", hint="pip install 'openthoughts-cli[ray]'"
        ) from None
    return ray


def _connect(ray: Any, address: str | None) -> bool:
    """Join the cluster, or start one here; whether it is to be left at the end."""
    if ray.is_initialized():
        return False
    if address is not None and address not in ("auto", "local"):
        _check_reachable(address)
    try:
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
        if address in (None, "local"):
            ray.init(address="local", include_dashboard=False, **options)
        else:
            ray.init(address=address, **options)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise NetworkError(
            f"no Ray cluster at {address or 'this machine'}: {_first_line(error)}",
            hint="start one with `ray start --head`, or leave --address away to use this machine",
        ) from error
    return True


def _check_reachable(address: str) -> None:
    parts = urlsplit(address if "://" in address else f"gcs://{address}")
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if host is None or (port is None and parts.scheme != "ray"):
        raise UsageError(
            f"{address!r} is no address of a Ray cluster",
            hint="write auto, host:6379 or ray://host:10001",
        )
    try:
        socket.create_connection((host, port or 10001), timeout=_CONNECT_S).close()
    except OSError as error:
        raise NetworkError(
            f"no Ray cluster answers at {address}: {error.strerror or error}",
            hint="start one with `ray start --head`, or leave --address away to use this machine",
        ) from error


def _first_line(error: BaseException) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
