"""The best rows seen so far, whatever the order in which they are seen.

A `Draw` holds the first `wanted` units among the rows it was given. A unit is a row, or a question
with its rows. A cap on the rows of one question, and a demand that their answers differ, hold at
every moment, so that what is kept after the last row does not depend on the order of the rows.
"""

from __future__ import annotations

import heapq
from bisect import insort
from collections.abc import Iterator
from dataclasses import dataclass
from operator import attrgetter
from typing import NamedTuple

from openthoughts_cli.data.raw_rows import RawRow
from openthoughts_cli.data.rows import row_id
from openthoughts_cli.data.tokens import TokenCounts

__all__ = ["Chosen", "Draw", "Out", "Place", "Unit"]


class Place(NamedTuple):
    """Where a row stands in the corpus."""

    part: int
    row_group: int
    row: int


@dataclass(slots=True)
class Chosen:
    """A row that may be written. `raw` is None when its text is not in memory."""

    key: int
    """Smaller comes first: `packed_key` of the row."""
    unit: int
    """The key of its unit: its own, or its question's."""
    content: int
    place: Place
    question_id: str
    answer: int
    """XXH3-64 of the answer's text."""
    counts: TokenCounts
    raw: RawRow | None = None
    occurrence: int = 0
    dropped: bool = False

    @property
    def row_id(self) -> str:
        return row_id(self.content, self.occurrence)


class Out(NamedTuple):
    """A row that a draw let go. `step` is that of the funnel, or None: it is not drawn."""

    item: Chosen
    step: str | None


Unit = list[Chosen]
_by_key = attrgetter("key")


class Draw:
    """The first units of one part of a corpus.

    Args:
        wanted: how many units.
        by_question: a unit is a question with all its rows; else a row.
        cap: the most rows of one question.
        distinct: no two rows of a question may have the same answer.
    """

    def __init__(
        self, wanted: int, *, by_question: bool = False, cap: int | None, distinct: bool = False
    ) -> None:
        self._wanted = wanted
        self._by_question = by_question
        self._cap = cap
        self._distinct = distinct
        self._heap: list[tuple[int, int, Chosen]] = []  # (-unit key, number, row): the worst first
        self._pushed = 0
        self._units = 0
        self._rows_of: dict[str, Unit] = {}
        self._by_name = by_question or cap is not None

    def could_take(self, key: int, unit: int, question_id: str | None) -> bool:
        """Whether a row with these keys could still be kept, if it passes."""
        return self._place_for(key, unit, question_id) == "free"

    def over(self, unit: int) -> bool:
        """Whether no row with this unit key, or a later one, can be kept any more."""
        self._forget_dropped()
        return self._units >= self._wanted and not (self._heap and unit <= -self._heap[0][0])

    def worst(self) -> int | None:
        """The key of the worst unit kept, behind which no row can be chosen; None: any can."""
        self._forget_dropped()
        return -self._heap[0][0] if self._heap and self._units >= self._wanted else None

    def _place_for(self, key: int, unit: int, question_id: str | None) -> str:
        rows = self._rows_of.get(question_id) if question_id is not None else None
        known_unit = self._by_question and rows
        if not known_unit and self._units >= self._wanted and not self._before_worst(unit):
            return "behind"
        if rows and self._cap is not None and len(rows) >= self._cap and key >= rows[-1].key:
            return "capped"
        return "free"

    def _before_worst(self, unit: int) -> bool:
        self._forget_dropped()
        return bool(self._heap) and unit < -self._heap[0][0]

    def add(self, item: Chosen) -> list[Out]:
        """Take a row that passed every test; returns the rows let go for it, or itself."""
        place = self._place_for(item.key, item.unit, item.question_id)
        if place != "free":
            return [Out(item, "other_answers" if place == "capped" else None)]
        gone: list[Out] = []
        rows = self._rows_of.get(item.question_id, []) if self._by_name else []
        if self._distinct:
            same = next((row for row in rows if row.answer == item.answer), None)
            if same is not None and same.key <= item.key:
                return [Out(item, "duplicates")]
            if same is not None:
                gone.append(self._drop(same, "duplicates"))
        if self._cap is not None and len(rows) >= self._cap:
            gone.append(self._drop(rows[-1], "other_answers"))
        self._insert(item)
        while self._units > self._wanted:
            gone += self._drop_worst()
        return gone

    def _insert(self, item: Chosen) -> None:
        new_unit = True
        if self._by_name:
            rows = self._rows_of.setdefault(item.question_id, [])
            new_unit = not (self._by_question and rows)
            if not new_unit:
                item.unit = rows[0].unit
            insort(rows, item, key=_by_key)
        if new_unit:
            self._units += 1
            self._pushed += 1
            heapq.heappush(self._heap, (-item.unit, self._pushed, item))

    def _drop(self, item: Chosen, step: str | None) -> Out:
        item.dropped = True
        rows = self._rows_of.get(item.question_id)
        if rows is not None and self._by_name:
            rows[:] = [row for row in rows if row is not item]
            if not rows:
                del self._rows_of[item.question_id]
        if not self._by_question or not rows:
            self._units -= 1
        else:
            # The question's place in the heap must not fall with one of its rows.
            self._pushed += 1
            heapq.heappush(self._heap, (-rows[0].unit, self._pushed, rows[0]))
        return Out(item, step)

    def _drop_worst(self) -> Iterator[Out]:
        self._forget_dropped()
        worst = heapq.heappop(self._heap)[2]
        if not self._by_question:
            yield self._drop(worst, None)
            return
        rows = self._rows_of.pop(worst.question_id)
        self._units -= 1
        for row in rows:
            row.dropped = True
            yield Out(row, None)

    def _forget_dropped(self) -> None:
        while self._heap and self._heap[0][2].dropped:
            heapq.heappop(self._heap)

    def kept(self) -> Iterator[Chosen]:
        """All rows kept, in no order."""
        if self._by_question:
            for rows in self._rows_of.values():
                yield from rows
        else:
            yield from (item for _, _, item in self._heap if not item.dropped)

    def units(self) -> list[Unit]:
        """The units in their order, the rows of each in theirs."""
        if self._by_question:
            return sorted(self._rows_of.values(), key=lambda rows: (rows[0].unit, rows[0].place))
        rows = sorted(self.kept(), key=lambda item: (item.key, item.place))
        return [[item] for item in rows]
