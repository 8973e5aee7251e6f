"""The choice itself, apart from where rows are read: offers go in, chosen rows and a funnel come out.

Rows may be offered in any order, and a supplier may leave out those that `could_take` refuses. What
comes out depends on the rows alone: a row behind the last chosen one counts as "not drawn", and a
row behind the last one of its question as a further answer, even if it was tested and failed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openthoughts_cli.config.choice import short_source_name
from openthoughts_cli.data.criteria import Criteria, packed_key, question_order_key
from openthoughts_cli.data.draw import Chosen, Draw
from openthoughts_cli.data.funnel import DRAWN_STEPS, Funnel
from openthoughts_cli.data.mixture import Mixed, mix_units, seats
from openthoughts_cli.data.overlap import Match
from openthoughts_cli.data.rejected import REMEMBER_ROWS, Keys, Rejected
from openthoughts_cli.data.rows import row_id
from openthoughts_cli.errors import EmptyResultError

__all__ = ["KEPT_TEXT_BYTES", "Overlapping", "Sieve"]

KEPT_TEXT_BYTES = 256 << 20
"""Texts of chosen rows held in memory; beyond it they are read again when they are written."""
_STEPS = tuple(DRAWN_STEPS)


@dataclass(frozen=True, slots=True)
class Overlapping:
    """A row whose question is also a benchmark's, and how that was seen."""

    row_id: str
    question_id: str
    source: str
    match: Match

    def record(self) -> dict[str, Any]:
        """A line of removed.jsonl."""
        return {
            "row_id": self.row_id,
            "question_id": self.question_id,
            "source": self.source,
            "reason": f"its question is that of {self.match.benchmark} {self.match.problem}",
            **asdict(self.match),
        }


class Sieve:
    """Takes what suppliers offer and keeps the choice."""

    def __init__(
        self,
        criteria: Criteria,
        *,
        keep_bytes: int = KEPT_TEXT_BYTES,
        remember_rows: int = REMEMBER_ROWS,
    ) -> None:
        self.criteria = criteria
        self.funnel = Funnel()
        self.eligible = 0
        """Rows that passed the label steps."""
        self._keep_bytes = keep_bytes
        self._kept_bytes = 0
        self._shares = [share for _, share in criteria.mix] or [1.0]
        self._part_of = {source: part for part, (source, _) in enumerate(criteria.mix)}
        self._draws = [
            Draw(
                wanted,
                by_question=criteria.by_question,
                cap=criteria.cap,
                distinct=criteria.dedup,
            )
            for wanted in self._wanted()
        ]
        self._cap_step = (
            "duplicates"
            if criteria.dedup and criteria.answers_per_question is None
            else "other_answers"
        )
        self._rejected = Rejected(by_question=criteria.by_question, remember_rows=remember_rows)
        self._overlapping: list[tuple[Keys, int, int, str, str, Match]] = []

    def _wanted(self) -> list[int]:
        criteria = self.criteria
        # Where a part's rows may be passed over for another part's, or turns differ in size, any
        # part may need all of its first `limit` units.
        if criteria.cap is not None or criteria.mix_by_tokens:
            return [criteria.limit] * len(self._shares)
        return seats(self._shares, criteria.limit)

    def part_of(self, source: str) -> int:
        """The number of the mixture's part that holds rows of a source."""
        return self._part_of.get(source, 0)

    def keys(self, leading: int, place: int, content: int, question_id: str | None) -> Keys:
        """The keys of a row.

        Args:
            leading: what the order looks at before the seed.
            place: `order_key` of the content.
            content: the row's content hash.
            question_id: needed where questions are counted.
        """
        key = packed_key(leading, place, content)
        if not self.criteria.by_question:
            return Keys(key, key)
        assert question_id is not None
        place = question_order_key(question_id, self.criteria.seed)
        return Keys(key, packed_key(leading, place, int(question_id, 16)))

    def could_take(self, part: int, keys: Keys, question_id: str | None) -> bool:
        """Whether a row that is not tested yet could be chosen."""
        return self._draws[part].could_take(keys.row, keys.unit, question_id)

    def over(self, part: int, unit: int) -> bool:
        """Whether no unit of this key or a later one can be chosen any more."""
        return self._draws[part].over(unit)

    def accept(self, part: int, item: Chosen) -> None:
        """Offer a row that passed every test."""
        if item.raw is not None:
            self._kept_bytes += _num_bytes(item)
        for gone, step in self._draws[part].add(item):
            if gone.raw is not None:
                self._kept_bytes -= _num_bytes(gone)
            if step is not None:
                self._reject_as(part, step, Keys(gone.key, gone.unit), gone.question_id)
        if self._kept_bytes > self._keep_bytes:
            for draw in self._draws:
                for kept in draw.kept():
                    kept.raw = None
            self._kept_bytes = 0

    def reject(self, part: int, step: str, keys: Keys, question_id: str | None) -> None:
        """Tell of a row that a step of the funnel took out."""
        self._reject_as(part, step, keys, question_id)

    def reject_many(
        self,
        part: int,
        steps: NDArray[np.object_],
        leading: NDArray[np.int64],
        place: NDArray[np.uint64],
        unit_place: NDArray[np.uint64],
        question: NDArray[np.uint64],
    ) -> None:
        """The same of many rows; `question` holds the upper half of each question hash."""
        codes = np.zeros(len(steps), dtype=np.uint8)
        for code, step in enumerate(_STEPS):
            codes[steps == step] = code
        parts = np.full(len(codes), part, dtype=np.uint16)
        self._rejected.add_many((parts, codes, leading, place, leading, unit_place, question))

    def overlaps(
        self, part: int, keys: Keys, content: int, question_id: str, source: str, match: Match
    ) -> None:
        """Tell of a row whose question a benchmark has."""
        self._reject_as(part, "contaminated", keys, question_id)
        self._overlapping.append((keys, part, content, question_id, source, match))

    def _reject_as(self, part: int, step: str, keys: Keys, question_id: str | None) -> None:
        if step == "other_answers":
            step = self._cap_step
        half = int(question_id[:16], 16) if question_id is not None else 0
        self._rejected.add(part, _STEPS.index(step), keys, half)
        if self._rejected.is_full:
            self._rejected.forget([draw.worst() for draw in self._draws])

    def finish(self) -> tuple[list[Chosen], Funnel, list[Overlapping]]:
        """The chosen rows in their order, where the others went, and which overlapped.

        Raises:
            EmptyResultError: a part of a mixture has fewer rows than its share.
        """
        criteria = self.criteria
        units = [draw.units() for draw in self._draws]
        mixed = mix_units(
            units,
            self._shares,
            criteria.limit,
            by_tokens=criteria.mix_by_tokens,
            cap=criteria.cap,
            distinct=criteria.dedup,
        )
        if criteria.mix and mixed.short:
            self._refuse_short(mixed, [len(part) for part in units])
        seen: Counter[int] = Counter()
        for item in mixed.chosen:
            item.occurrence = seen[item.content]
            seen[item.content] += 1
        steps = self._rejected.counted(
            mixed.last, self._cap_ends(mixed.chosen), _STEPS.index(self._cap_step)
        )
        funnel = self.funnel
        for step, count in mixed.skipped.items():
            funnel.out[self._cap_step if step == "other_answers" else step] += count
        for code, count in zip(*np.unique(steps, return_counts=True), strict=True):
            funnel.out[_STEPS[int(code)]] += int(count)
        funnel.chosen = len(mixed.chosen)
        drawn = sum(funnel.out[step] for step in _STEPS)
        funnel.out["not_drawn"] = self.eligible - drawn - funnel.chosen
        return mixed.chosen, funnel, self._listed(mixed)

    def _cap_ends(self, chosen: Sequence[Chosen]) -> dict[int, int]:
        """Of each question that has all the rows it may have: the key of its last row."""
        cap = self.criteria.cap
        if cap is None:
            return {}
        rows: dict[str, list[int]] = {}
        for item in chosen:
            rows.setdefault(item.question_id, []).append(item.key)
        return {int(name[:16], 16): max(keys) for name, keys in rows.items() if len(keys) >= cap}

    def _listed(self, mixed: Mixed) -> list[Overlapping]:
        found: list[Overlapping] = []
        seen: Counter[int] = Counter()
        rows = sorted(self._overlapping, key=lambda each: each[0])
        for keys, part, content, question_id, source, match in rows:
            last = mixed.last[part]
            # Of the last question all rows are drawn; of single rows those before the last.
            reach = keys.unit - self.criteria.by_question
            if last is None or reach < last:
                name = row_id(content, seen[content])
                seen[content] += 1
                found.append(Overlapping(name, question_id, source, match))
        return found

    def _refuse_short(self, mixed: Mixed, had: Sequence[int]) -> None:
        """Raise where a part is exhausted and that is not allowed, or has nothing at all."""
        criteria = self.criteria
        noun = "questions" if criteria.by_question else "rows"
        wanted = seats(self._shares, criteria.limit)
        for part in mixed.short:
            name = short_source_name(criteria.mix[part][0])
            if had[part] and criteria.allow_short:
                continue
            share = "its share of tokens needs more"
            if not criteria.mix_by_tokens:
                share = f"its share of {criteria.limit:,} is {wanted[part]:,}"
            fewer = "--questions" if criteria.by_question else "--limit"
            raise EmptyResultError(
                f"the mixture's source {name} has {had[part]:,} {noun} that pass, and {share}",
                hint=f"lower {fewer}, loosen the filters, or take what there is with --allow-short"
                if had[part]
                else f"no row of {name} passes: loosen the filters, or leave it out of the mixture",
            )


def _num_bytes(item: Chosen) -> int:
    raw = item.raw
    return 0 if raw is None else len(raw.question) + len(raw.answer)
