"""Clocks for doubles: the event loop's own, and a virtual one that makes waiting free.

A double that has latency asks its clock to sleep. Under the virtual clock no real time passes:
as soon as nothing else in the loop can go on, time jumps to the next sleeper.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from typing import Protocol

__all__ = ["Clock", "LoopClock", "VirtualClock"]

# How often the loop turns with nobody new going to sleep before time may jump.
_QUIET_TURNS = 50


class Clock(Protocol):
    """Something that tells and passes the time, in seconds."""

    def now(self) -> float: ...

    async def sleep(self, seconds: float) -> None: ...


class LoopClock:
    """The real time, as the running event loop has it."""

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class VirtualClock:
    """Time that passes only when everybody waits for it."""

    def __init__(self) -> None:
        self._now_s = 0.0
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._driver: asyncio.Task[None] | None = None

    def now(self) -> float:
        return self._now_s

    async def sleep(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        woken: asyncio.Future[None] = loop.create_future()
        heapq.heappush(self._sleepers, (self._now_s + seconds, next(self._order), woken))
        if self._driver is None or self._driver.done():
            self._driver = loop.create_task(self._drive())
        await woken

    async def _drive(self) -> None:
        while self._sleepers:
            seen = -1
            while seen != len(self._sleepers):
                seen = len(self._sleepers)
                for _ in range(_QUIET_TURNS):
                    await asyncio.sleep(0)
            wake_s, _, woken = heapq.heappop(self._sleepers)
            self._now_s = max(self._now_s, wake_s)
            if not woken.done():
                woken.set_result(None)
