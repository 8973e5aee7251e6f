"""How the parts of a mixture take turns, so that shares are met and a larger choice nests.

A divisor method: the next turn goes to the part with the smallest (taken + next / 2) / share. Counted
in rows this is the method of Webster and Sainte-Lague (Balinski and Young, Fair Representation,
1982), which is monotone in the total; the turns form one sequence, of which every total takes a
beginning. Counted in tokens `next` is the size of the part's next unit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import lcm

from openthoughts_cli.data.draw import Chosen, Unit

__all__ = ["NOTHING_DRAWN", "Mixed", "mix_units", "seats"]

NOTHING_DRAWN = -(1 << 300)
"""The key of the last unit of a part that had no turn: before every key."""


@dataclass(slots=True)
class Mixed:
    """The rows of all parts in their one order."""

    chosen: list[Chosen]
    last: list[int | None]
    """Of each part the key of the last unit taken; None: its units were used up."""
    skipped: Counter[str] = field(default_factory=Counter[str])
    """Rows left out because another part had given their question, by the step of the funnel."""

    @property
    def short(self) -> list[int]:
        """The parts that had fewer units than turns."""
        return [part for part, key in enumerate(self.last) if key is None]


def seats(shares: Sequence[float], total: int) -> list[int]:
    """How many of `total` units each part gets."""
    scale = _scales(shares)
    # All turns up to a threshold at once: a part has had its turn t when (t - 1/2) / share is below
    # it. The threshold of `total - parts` leaves at most two turns a part to be given one by one.
    exact = [Fraction(1, each) for each in scale]
    quotas = [share / sum(exact) * max(total - len(shares), 0) for share in exact]
    taken = [int(quota + Fraction(1, 2)) for quota in quotas]
    while sum(taken) < total:
        taken[_turn(taken, [1] * len(shares), scale)] += 1
    return taken


def mix_units(
    parts: Sequence[Sequence[Unit]],
    shares: Sequence[float],
    wanted: int,
    *,
    by_tokens: bool = False,
    cap: int | None = None,
    distinct: bool = False,
) -> Mixed:
    """Let the parts take turns until `wanted` turns are over or all units are taken.

    A part whose units are used up still has its turns, which then bring nothing: the others keep
    their shares. In tokens such a turn counts as the mean of the part's units.

    Args:
        parts: the units of each part in their order.
        shares: of each part, above 0; what they add up to does not matter.
        wanted: units in all.
        by_tokens: the shares are of tokens, not of units.
        cap: the most rows of one question, through all parts.
        distinct: no two rows of a question may have the same answer.
    """
    scale = _scales(shares)
    lines = [_Line(units) for units in parts]
    mixed = Mixed([], [NOTHING_DRAWN] * len(parts))
    guard = _Guard(cap, distinct=distinct)
    taken = [0] * len(parts)
    for _ in range(wanted):
        heads = [line.head(guard, mixed.skipped) for line in lines]
        if not any(heads) and all(key is None for key in mixed.last):
            break
        sizes = [
            line.size(head) if by_tokens else 1 for line, head in zip(lines, heads, strict=True)
        ]
        turn = _turn(taken, sizes, scale)
        taken[turn] += sizes[turn]
        head = heads[turn]
        if not head:
            mixed.last[turn] = None
            continue
        guard.take(head)
        mixed.chosen += head
        if mixed.last[turn] is not None:
            mixed.last[turn] = head[0].unit
        lines[turn].step(head, guard, mixed.skipped)
    return mixed


class _Guard:
    """The cap on a question's rows, through all parts."""

    def __init__(self, cap: int | None, *, distinct: bool) -> None:
        self._cap = cap
        self._distinct = distinct
        self._taken: dict[str, list[int]] = {}

    def step_out(self, row: Chosen) -> str | None:
        """The step of the funnel that keeps a row out now; None: none does."""
        answers = self._taken.get(row.question_id)
        if answers is None:
            return None
        if self._cap is not None and len(answers) >= self._cap:
            return "other_answers"
        return "duplicates" if self._distinct and row.answer in answers else None

    def room(self, question_id: str) -> int | None:
        """How many more rows of a question may be taken; None: any number."""
        if self._cap is None:
            return None
        return self._cap - len(self._taken.get(question_id, ()))

    def take(self, rows: Unit) -> None:
        if self._cap is not None or self._distinct:
            for row in rows:
                self._taken.setdefault(row.question_id, []).append(row.answer)


class _Line:
    """The units of a part that are still to come."""

    def __init__(self, units: Sequence[Unit]) -> None:
        self._units = units
        self._next = 0
        sizes = [sum(row.counts.total for row in unit) for unit in units]
        self._mean = max(round(sum(sizes) / len(sizes)), 1) if sizes else 1

    def head(self, guard: _Guard, skipped: Counter[str]) -> Unit:
        """The rows of the next unit that may be taken; none when the units are used up."""
        while self._next < len(self._units):
            unit = self._units[self._next]
            # Within a unit the cap holds already; the guard speaks of the rows of other parts.
            allowed = [row for row in unit if guard.step_out(row) is None]
            if allowed := allowed[: guard.room(unit[0].question_id)]:
                return allowed
            self.step([], guard, skipped)
        return []

    def size(self, head: Unit) -> int:
        return sum(row.counts.total for row in head) if head else self._mean

    def step(self, taken: Unit, guard: _Guard, skipped: Counter[str]) -> None:
        """Go on behind the next unit, of which these rows were taken."""
        for row in self._units[self._next]:
            if not any(row is each for each in taken):
                skipped[guard.step_out(row) or "other_answers"] += 1
        self._next += 1


def _turn(taken: Sequence[int], sizes: Sequence[int], scale: Sequence[int]) -> int:
    return min(range(len(taken)), key=lambda i: ((2 * taken[i] + sizes[i]) * scale[i], i))


def _scales(shares: Sequence[float]) -> list[int]:
    """Integers in inverse proportion to the shares, so that turns compare exactly."""
    exact = [1 / Fraction(str(share)) for share in shares]
    common = lcm(*(share.denominator for share in exact))
    return [int(share * common) for share in exact]
