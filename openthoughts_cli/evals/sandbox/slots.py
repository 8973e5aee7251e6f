"""As many programs at once as there are cores, whoever asks for them."""

from __future__ import annotations

import functools
import os
import threading
from types import TracebackType

__all__ = ["Slots", "machine_slots"]


class Slots:
    """Leave to run one program at a time in each slot. `with slots:` waits for one.

    Args:
        count: how many there are, at least 1.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._free = threading.BoundedSemaphore(count)

    def try_take(self) -> bool:
        """Take a slot if one is idle right now."""
        return self._free.acquire(blocking=False)

    def give(self) -> None:
        """Give one back."""
        self._free.release()

    def __enter__(self) -> None:
        self._free.acquire()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._free.release()


@functools.cache
def machine_slots() -> Slots:
    """The slots that all of this process shares: one for each core that it may use."""
    allowed = getattr(os, "sched_getaffinity", None)
    return Slots(max(1, len(allowed(0)) if allowed else os.cpu_count() or 1))
