"""Numbers that describe a set of rows: lengths, composition, shares."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from openthoughts_cli.data.rows import Row
from openthoughts_cli.data.trace import CLOSE

__all__ = ["BOXED", "Bar", "describe_rows", "percentiles", "token_bars"]

BOXED = "\\boxed"

_COUNTS = ("tokens", "tokens_question", "tokens_thinking", "tokens_answer")
_POINTS = (0, 5, 25, 50, 75, 95, 100)


class Bar(NamedTuple):
    """One bar of a histogram: values from `low` up to, but not with, `high`."""

    low: int
    high: int
    rows: int


def percentiles(values: Sequence[int]) -> dict[str, int]:
    """Minimum, p5 .. p95 and maximum: each the smallest value that so many do not exceed.

    The nearest-rank definition: every figure is the length of a real row. Empty for no values.
    """
    if not values:
        return {}
    ordered = sorted(values)
    names = {0: "min", 100: "max"}
    return {
        names.get(point, f"p{point}"): ordered[max(math.ceil(point / 100 * len(ordered)) - 1, 0)]
        for point in _POINTS
    }


def token_bars(values: Sequence[int], most: int = 12) -> list[Bar]:
    """A histogram of at most `most` bars of one round width (1, 2 or 5 times a power of ten)."""
    if not values:
        return []
    low, high = min(values), max(values)
    widths = (lead * 10**power for power in range(19) for lead in (1, 2, 5))
    width = next(width for width in widths if high // width - low // width < most)
    counts = Counter(value // width for value in values)
    first, last = low // width, high // width
    return [Bar(i * width, (i + 1) * width, counts[i]) for i in range(first, last + 1)]


def describe_rows(rows: Iterable[Row]) -> dict[str, Any]:
    """All figures of a set of rows, in one pass that keeps no text.

    Returns:
        `rows`, `questions` (different ones), `copies` (rows whose content another row has),
        `total_tokens`, `percentiles` of each token count, `token_bars` (a histogram of rows by
        tokens), `composition` (rows by source, domain and difficulty, the largest first), `shares`
        (0 to 1: `closed` have `</think>`, `boxed` a `\\boxed`).
    """
    lengths = {name: array("q") for name in _COUNTS}
    kinds = {name: Counter[str]() for name in ("source", "domain", "difficulty")}
    questions: set[str] = set()
    contents: set[str] = set()
    num_rows = closed = boxed = 0
    for row in rows:
        num_rows += 1
        questions.add(row.question_id)
        contents.add(row.row_id.rpartition("-")[0])
        closed += CLOSE in row.answer
        boxed += BOXED in row.answer
        for name, values in lengths.items():
            values.append(getattr(row, name))
        kinds["source"][row.source] += 1
        kinds["domain"][row.domain] += 1
        kinds["difficulty"]["none" if row.difficulty is None else str(row.difficulty)] += 1
    return {
        "rows": num_rows,
        "questions": len(questions),
        "copies": num_rows - len(contents),
        "total_tokens": sum(lengths["tokens"]),
        "percentiles": {name: percentiles(values) for name, values in lengths.items()},
        "token_bars": [bar._asdict() for bar in token_bars(lengths["tokens"])],
        "composition": {name: _ranked(counts) for name, counts in kinds.items()},
        "shares": {"closed": closed / max(num_rows, 1), "boxed": boxed / max(num_rows, 1)},
    }


def _ranked(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
