"""Draws that fall the same on every machine and every Python.

`random.Random` promises stability for `random()` alone; its integer methods may change between
Python versions. What is committed or compared over months (the sample rows, the arithmetic
benchmark) draws from here instead: BLAKE2b of the labels and a counter.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

__all__ = ["Dice", "stable_bucket"]

T = TypeVar("T")


def _number(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def stable_bucket(text: str, buckets: int) -> int:
    """The bucket, 0 to `buckets` - 1, that `text` falls into; the same everywhere."""
    return _number(text) % buckets


class Dice:
    """A stream of draws named by its labels: other labels, an unrelated stream.

    So a new kind of question with its own label leaves the draws of the others as they were.
    """

    def __init__(self, *labels: str | int) -> None:
        self._name = "/".join(str(label) for label in labels)
        self._count = 0

    def below(self, bound: int) -> int:
        """A whole number from 0 to `bound` - 1 (bias below 2**-50 for any bound used here)."""
        self._count += 1
        return _number(f"{self._name}#{self._count}") % bound

    def between(self, low: int, high: int) -> int:
        """A whole number from `low` to `high`, both included."""
        return low + self.below(high - low + 1)

    def pick(self, choices: Sequence[T]) -> T:
        """One of `choices`."""
        return choices[self.below(len(choices))]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """The items in a drawn order (Fisher-Yates)."""
        result = list(items)
        for last in range(len(result) - 1, 0, -1):
            other = self.below(last + 1)
            result[last], result[other] = result[other], result[last]
        return result
