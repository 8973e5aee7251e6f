"""Rows that were tested and failed: enough of each to say at the end whether it was drawn.

A row behind the worst one that is kept now is behind the last one chosen in the end, so it counts as
not drawn whatever its test said, and is forgotten. What is remembered is therefore bounded by the
choice (and its rate of passing), not by the data.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from openthoughts_cli.data.mixture import NOTHING_DRAWN

__all__ = ["REMEMBER_ROWS", "Keys", "Rejected"]

_MASK = (1 << 64) - 1
_KINDS = (np.uint16, np.uint8, np.int64, np.uint64, np.int64, np.uint64, np.uint64)
_CODES = "HBqQqQQ"
REMEMBER_ROWS = 1 << 16
"""Rejected rows told before those that cannot count are forgotten."""


class Keys(NamedTuple):
    """A row's place in the order, and that of its unit (itself, or its question)."""

    row: int
    unit: int


class Rejected:
    """Columns of rejected rows: part, step, key of the row, key of its unit, question.

    Args:
        by_question: a unit is a question; its last one is drawn with all its rows.
        remember_rows: forget what cannot count each time so many more rows were told.
    """

    def __init__(self, *, by_question: bool, remember_rows: int) -> None:
        self._by_question = by_question
        self._single = [array(code) for code in _CODES]
        self._chunks: list[tuple[NDArray[Any], ...]] = []
        self._remember_rows = remember_rows

    def __len__(self) -> int:
        return len(self._single[0]) + sum(len(chunk[0]) for chunk in self._chunks)

    @property
    def is_full(self) -> bool:
        """Whether it is time to `forget`."""
        return len(self._single[0]) >= self._remember_rows

    def add(self, part: int, step: int, keys: Keys, question: int) -> None:
        """Remember one row; `question` is the upper half of its question's hash."""
        values = (
            part,
            step,
            keys.row >> 192,
            keys.row >> 128 & _MASK,
            keys.unit >> 192,
            keys.unit >> 128 & _MASK,
            question,
        )
        for column, value in zip(self._single, values, strict=True):
            column.append(value)

    def add_many(self, columns: tuple[NDArray[Any], ...]) -> None:
        """Remember many: part, step, and (leading, place) of the row and of its unit, question."""
        self._chunks.append(columns)

    def forget(self, worst: Sequence[int | None]) -> None:
        """Forget the rows behind the worst unit that each part keeps (None: it takes any)."""
        columns = self._columns()
        kept = np.ones(len(columns[0]), dtype=np.bool_)
        for part, last in enumerate(worst):
            if last is not None:
                before = _before(columns[4], columns[5], last, or_equal=True)
                kept &= (columns[0] != part) | before
        self._single = [array(code) for code in _CODES]
        self._chunks = [tuple(column[kept] for column in columns)]
        # Where little can be forgotten, look again only when there is twice as much.
        self._remember_rows = max(self._remember_rows, int(kept.sum()))

    def _columns(self) -> tuple[NDArray[Any], ...]:
        single = [
            np.array(column, dtype=kind) for column, kind in zip(self._single, _KINDS, strict=True)
        ]
        return tuple(
            np.concatenate([column, *(chunk[i] for chunk in self._chunks)])
            for i, column in enumerate(single)
        )

    def counted(
        self, last: Sequence[int | None], cap_ends: Mapping[int, int], cap_step: int
    ) -> NDArray[np.uint8]:
        """The step of each row that was drawn.

        Args:
            last: of each part the key of the last unit taken (None: all were).
            cap_ends: of each question with all the rows it may have, by the upper half of its
                hash: the key of its last row. A row behind it is of `cap_step`.
            cap_step: the step of further answers.
        """
        parts, steps, leading, place, unit_leading, unit_place, question = self._columns()
        counted = np.zeros(len(steps), dtype=np.bool_)
        for part, key in enumerate(last):
            if key is None:
                counted |= parts == part
            elif key != NOTHING_DRAWN:
                before = _before(unit_leading, unit_place, key, or_equal=self._by_question)
                counted |= (parts == part) & before
        steps = steps.astype(np.uint8)
        if cap_ends:
            halves = np.array(sorted(cap_ends), dtype=np.uint64)
            ends = [cap_ends[half] for half in halves.tolist()]
            end_leading = np.array([end >> 192 for end in ends], dtype=np.int64)
            end_place = np.array([end >> 128 & _MASK for end in ends], dtype=np.uint64)
            at = np.minimum(np.searchsorted(halves, question), len(halves) - 1)
            behind = (leading > end_leading[at]) | (
                (leading == end_leading[at]) & (place > end_place[at])
            )
            steps[(halves[at] == question) & behind] = cap_step
        return steps[counted]


def _before(leading: Any, place: Any, last: int, *, or_equal: bool) -> NDArray[np.bool_]:
    last_leading, last_place = last >> 192, np.uint64(last >> 128 & _MASK)
    earlier = place <= last_place if or_equal else place < last_place
    return (leading < last_leading) | ((leading == last_leading) & earlier)
