"""Counts, composition and histograms of the rows of an index under a filter, in one pass each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from openthoughts_cli.data.browse import Browse
from openthoughts_cli.data.browse_filter import ALL_ROWS, RowFilter

__all__ = ["GROUPS", "POINTS", "Composition", "Group", "Histogram", "compose", "histogram"]

GroupBy = Literal["", "source", "domain", "difficulty"]
GROUPS: tuple[GroupBy, ...] = ("", "source", "domain", "difficulty")
"""By what a histogram is split; "": not at all."""
POINTS = (5, 25, 50, 75, 95)
"""The percentiles shown, with minimum and maximum."""
_MOST_CELLS = 1 << 22
"""Counting by length takes a cell a length and group; beyond it values are sorted instead."""
_ROUND = (1, 2, 5)


class Composition(NamedTuple):
    """What passes a filter."""

    rows: int
    questions: int
    total_tokens: int
    source: dict[str, int]
    """Rows by source, the most frequent first; so are the others."""
    domain: dict[str, int]
    difficulty: dict[str, int]
    """By level, the lowest first, `none` last."""
    closed: int
    boxed: int
    control: int
    """Rows whose text spells a control token; `ot subset` drops them unless told otherwise."""


class Group(NamedTuple):
    """One group of a histogram: its bars, and its exact percentiles by nearest rank."""

    name: str
    rows: int
    total: int
    mean: float
    percentiles: dict[str, int]
    """min, p5 .. p95, max: each is the length of a real row. Empty where there is none."""
    bars: list[int]
    """Rows by bar; bar i holds values from `edges[i]` up to, not with, `edges[i + 1]`, and the last
    one, if the histogram's end is open, all that are longer."""


class Histogram(NamedTuple):
    """Rows by a token count, split into groups."""

    column: str
    edges: list[int]
    groups: list[Group]
    open_end: bool
    """Whether the last bar holds longer rows too."""

    def records(self) -> list[dict[str, Any]]:
        """One record a bar and group that has rows, for a chart."""
        return [
            {
                "group": group.name,
                "low": self.edges[i],
                "high": self.edges[i + 1],
                "rows": rows,
                "range": self._range(i),
            }
            for group in self.groups
            for i, rows in enumerate(group.bars)
            if rows
        ]

    def _range(self, bar: int) -> str:
        if self.open_end and bar == len(self.edges) - 2:
            return f"{self.edges[bar]:,} or more"
        return f"{self.edges[bar]:,} to {self.edges[bar + 1] - 1:,}"


def compose(browse: Browse, chosen: RowFilter = ALL_ROWS) -> Composition:
    """Count what passes.

    Raises:
        ConfigError: the search is no regular expression.
    """
    mask = browse.mask(chosen)
    kind = browse.kind if mask is None else browse.kind[mask]
    by_kind = np.bincount(kind, minlength=len(browse.kinds))
    question = browse.question if mask is None else browse.question[mask]
    seen = np.zeros(len(browse.questions), dtype=np.bool_)
    seen[question] = True
    tokens = browse.columns["tokens"]
    total = tokens.sum(dtype=np.int64) if mask is None else tokens.sum(dtype=np.int64, where=mask)
    counts = [(kind, int(n)) for kind, n in zip(browse.kinds, by_kind, strict=True) if n]
    levels = _sum([(each.level, n) for each, n in counts])
    return Composition(
        rows=int(by_kind.sum()),
        questions=int(seen.sum()),
        total_tokens=int(total),
        source=_ranked(_sum([(each.source, n) for each, n in counts])),
        domain=_ranked(_sum([(each.domain, n) for each, n in counts])),
        difficulty=dict(sorted(levels.items(), key=lambda item: _level_order(item[0]))),
        closed=sum(n for each, n in counts if each.closed),
        boxed=sum(n for each, n in counts if each.boxed),
        control=sum(n for each, n in counts if each.control),
    )


def _sum(pairs: Sequence[tuple[str, int]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for name, rows in pairs:
        found[name] = found.get(name, 0) + rows
    return found


def _ranked(counts: dict[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _level_order(level: str) -> tuple[bool, int]:
    return level == "none", 0 if level == "none" else int(level)


def histogram(
    browse: Browse,
    chosen: RowFilter = ALL_ROWS,
    *,
    column: str = "tokens",
    by: GroupBy = "",
    most_bars: int = 40,
) -> Histogram:
    """Rows by a token count.

    Args:
        browse: the rows.
        chosen: which of them.
        column: one of `browse.COUNTS`, or `answers`.
        by: what to split by; groups come with the most rows first, levels from the lowest on.
        most_bars: bars of one round width (1, 2 or 5 times a power of ten). They reach to where 99%
            of the rows are; the last holds all that is longer.

    Raises:
        ConfigError: the search is no regular expression.
    """
    mask = browse.mask(chosen)
    values, kind = browse.columns[column], browse.kind
    if mask is not None:
        values, kind = values[mask], kind[mask]
    names, group_of_kind = _groups(browse, by)
    width = int(values.max(initial=0)) + 1
    if width * len(names) <= _MOST_CELLS:
        found = _by_counting(values, kind, group_of_kind, len(names), width)
    else:
        found = _by_sorting(values, kind, group_of_kind, len(names))
    edges, open_end = _edges(found, most_bars)
    groups = [
        _group(name, *pair, edges) for name, pair in zip(names, found, strict=True) if pair[1].sum()
    ]
    if by != "difficulty":
        groups.sort(key=lambda group: -group.rows)
    return Histogram(column, edges, groups, open_end)


Lengths = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Different values in order, and how many rows have each."""


def _groups(browse: Browse, by: GroupBy) -> tuple[list[str], NDArray[np.int64]]:
    """The names of the groups, and of each kind the number of its group."""
    if not by:
        return ["all"], np.zeros(len(browse.kinds), dtype=np.int64)
    of_kind = [kind.level if by == "difficulty" else getattr(kind, by) for kind in browse.kinds]
    order = _level_order if by == "difficulty" else None
    names: list[str] = sorted(set(of_kind), key=order)
    number = {name: i for i, name in enumerate(names)}
    return names, np.array([number[name] for name in of_kind], dtype=np.int64)


def _by_counting(
    values: NDArray[Any], kind: NDArray[Any], group_of_kind: NDArray[Any], groups: int, width: int
) -> list[Lengths]:
    if groups > 1:
        # One addition a row: the place where the row's group begins, and its length.
        values = (group_of_kind * width).astype(np.int32).take(kind) + values
    cells = np.bincount(values, minlength=groups * width).reshape(groups, width)
    found: list[Lengths] = []
    for row in cells:
        there = np.flatnonzero(row)
        found.append((there, row[there]))
    return found


def _by_sorting(
    values: NDArray[Any], kind: NDArray[Any], group_of_kind: NDArray[Any], groups: int
) -> list[Lengths]:
    group = group_of_kind.take(kind)
    return [
        tuple(part.astype(np.int64) for part in np.unique(values[group == i], return_counts=True))  # pyright: ignore[reportReturnType]
        for i in range(groups)
    ]


def _edges(found: Sequence[Lengths], most_bars: int) -> tuple[list[int], bool]:
    """Steps of one round width, and whether longer rows are in the last bar."""
    values = np.concatenate([pair[0] for pair in found]) if found else np.empty(0, dtype=np.int64)
    rows = np.concatenate([pair[1] for pair in found]) if found else values
    if not len(values):
        return [0, 1], False
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(rows[order])
    near = int(values[order][np.searchsorted(reached, math.ceil(reached[-1] * 0.99))])
    first, last = int(values.min()), int(values.max())
    widths = (lead * 10**power for power in range(19) for lead in _ROUND)
    width = next(each for each in widths if near // each - first // each + 2 <= max(most_bars, 2))
    edges = list(range(first // width * width, near // width * width + width + 1, width))
    open_end = last >= edges[-1]
    if open_end:
        edges.append(edges[-1] + width)
    return edges, open_end


def _group(
    name: str, values: NDArray[np.int64], rows: NDArray[np.int64], edges: Sequence[int]
) -> Group:
    total_rows = int(rows.sum())
    reached = np.cumsum(rows)
    percentiles = {"min": int(values[0])}
    for point in POINTS:
        rank = max(math.ceil(point / 100 * total_rows), 1)
        percentiles[f"p{point}"] = int(values[np.searchsorted(reached, rank)])
    percentiles["max"] = int(values[-1])
    places = np.searchsorted(np.asarray(edges[:-1]), values, side="right") - 1
    bars = np.bincount(places, weights=rows, minlength=len(edges) - 1).astype(np.int64)
    total = int((values * rows).sum())
    return Group(name, total_rows, total, total / total_rows, percentiles, bars.tolist())
