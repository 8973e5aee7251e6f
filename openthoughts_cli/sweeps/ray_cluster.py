"""A Ray cluster: joined, and watched, since a cluster that goes away tells nobody.

Ray waits a minute for the head of a cluster, then ends this process with a line of its own; where the
node here is lost while it holds something of ours, it does so at once. The watch is quicker than the
minute, so that the sweep can end by itself, and `LastWords` speaks where that comes too late.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Coroutine
from typing import Any, TypeVar
from urllib.parse import urlsplit

from openthoughts_cli.errors import MissingExtraError, NetworkError, UsageError
from openthoughts_cli.sweeps.last_words import LastWords

__all__ = ["ClusterGone", "HeadWatch", "RayCluster", "first_line", "import_ray"]

T = TypeVar("T")

_CONNECT_S = 5.0
_CLIENT_PORT = 10001


class ClusterGone(Exception):
    """Nothing answers at the cluster's head any more."""


class HeadWatch:
    """Looks whether a cluster's head still takes connections.

    Args:
        gone_after_s: how long it may be silent; Ray itself gives up after 60 s.
    """

    def __init__(
        self, host: str, port: int, *, look_s: float = 2.0, gone_after_s: float = 20.0
    ) -> None:
        self._place = (host, port)
        self._look_s = look_s
        self._gone_after_s = gone_after_s
        self._watch: asyncio.Task[None] | None = None

    async def unless_gone(self, work: Coroutine[Any, Any, T]) -> T:
        """What `work` returns.

        Raises:
            ClusterGone: the head fell silent first; `work` is cancelled.
        """
        if self._watch is None:
            self._watch = asyncio.ensure_future(self._until_gone())
        task = asyncio.ensure_future(work)
        try:
            await asyncio.wait({task, self._watch}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            raise ClusterGone
        finally:
            if not task.done():
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    @property
    def is_gone(self) -> bool:
        """Whether the head was found to be gone."""
        return self._watch is not None and self._watch.done()

    async def is_lost(self) -> bool:
        """Whether the head is gone; waits to know it where it does not answer just now."""
        while not self.is_gone:
            if await self._answers():
                return False
            await asyncio.sleep(self._look_s)
        return True

    def end(self) -> None:
        """Look no more; from now on it counts as gone."""
        if self._watch is not None:
            self._watch.cancel()

    async def _until_gone(self) -> None:
        answered_s = time.monotonic()
        while time.monotonic() - answered_s < self._gone_after_s:
            await asyncio.sleep(self._look_s)
            if await self._answers():
                answered_s = time.monotonic()

    async def _answers(self) -> bool:
        try:
            await asyncio.to_thread(_reach, *self._place)
        except OSError:
            return False
        return True


class RayCluster:
    """The cluster at an address; None: a Ray of its own on this machine, which ends with `leave`.

    Raises:
        MissingExtraError: Ray is not installed.
        NetworkError: there is no cluster at the address.
        UsageError: it is no address of a cluster.
    """

    def __init__(self, address: str | None) -> None:
        self.ray = import_ray()
        self.name = "this machine" if address in (None, "local") else f"{address}"
        self._ours = _connect(self.ray, address)
        self.watch = HeadWatch(*_head(self.ray, address))
        self._last_words = LastWords(
            f"error: the sweep was ended from outside, or by Ray whose cluster at {self.name} went "
            "away\nhint: the same command goes on from what came home last"
        )

    def beside_this_process(self, actor: Any) -> Any:
        """Start an actor of a class on the node that this process is joined to: elsewhere it would
        die with a node that the sweep itself survives."""
        from ray.util.scheduling_strategies import (  # pyright: ignore[reportMissingImports]
            NodeAffinitySchedulingStrategy,
        )

        here = self.ray.get_runtime_context().get_node_id()
        strategy: Any = NodeAffinitySchedulingStrategy(here, soft=True)
        return self.ray.remote(num_cpus=0, scheduling_strategy=strategy)(actor).remote()

    async def leave(self) -> None:
        """Leave the cluster; a Ray that was started for this sweep ends."""
        self.watch.end()
        if self._ours:
            await asyncio.to_thread(self.ray.shutdown)
        self._last_words.goodbye()


def import_ray() -> Any:
    """The library.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import ray  # pyright: ignore[reportMissingImports]  # an extra
    except ImportError:
        raise MissingExtraError(
            "Ray is not installed", hint="pip install 'openthoughts-cli[ray]'"
        ) from None
    return ray


def first_line(error: BaseException) -> str:
    """What an error of Ray's says, without the pages below it."""
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)


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
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise NetworkError(
            f"no Ray cluster at {address or 'this machine'}: {first_line(error)}",
            hint="start one with `ray start --head`, or leave --address out to use this machine; "
            "a cluster with a token wants the same one here (`ray get-auth-token` shows it)",
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
            f"{address!r} is not an address of a Ray cluster",
            hint="write auto, host:6379 or ray://host:10001",
        )
    try:
        _reach(host, port or _CLIENT_PORT)
    except OSError as error:
        raise NetworkError(
            f"no Ray cluster answers at {address}: {error.strerror or error}",
            hint="start one with `ray start --head`, or leave --address out to use this machine",
        ) from error


def _head(ray: Any, address: str | None) -> tuple[str, int]:
    """Host and port that answer as long as the cluster is there."""
    if address is None or not address.startswith("ray://"):
        address = f"gcs://{ray.get_runtime_context().gcs_address}"
    parts = urlsplit(address)
    return parts.hostname or "", parts.port or _CLIENT_PORT


def _reach(host: str, port: int) -> None:
    socket.create_connection((host, port), timeout=_CONNECT_S).close()
