"""How the cost of a piece of work grows with its size, for tests that may bound no time.

The processor's time of two sizes is compared with one another, so a slow or busy machine makes no
difference. Nothing else in the tests compares a clock: see `hostile/test_code_rules.py`.
"""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["NEARLY_LINEAR", "growth"]

NEARLY_LINEAR = 30.0
"""Eight times the size costs about 8 times as much where the cost is linear, 64 where quadratic."""


def growth(work: Callable[[int], object], size: int) -> float:
    """How many times as much `work(8 * size)` takes of the processor as `work(size)`.

    The best of three of each. `size` should be worth milliseconds.
    """
    return _least_s(work, 8 * size) / max(_least_s(work, size), 1e-4)


def _least_s(work: Callable[[int], object], size: int) -> float:
    taken_s: list[float] = []
    for _ in range(3):
        began_s = time.process_time()
        work(size)
        taken_s.append(time.process_time() - began_s)
    return min(taken_s)
