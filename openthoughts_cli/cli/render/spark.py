"""A curve in one line of text."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

__all__ = ["sparkline"]

_BARS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float], width: int) -> str:
    """The newest course of `values` in at most `width` characters, from lowest to highest bar.

    Longer series are averaged in equal groups, so that the whole course is seen.
    """
    if not values or width < 1:
        return ""
    if len(values) > width:
        edges = [round(i * len(values) / width) for i in range(width + 1)]
        values = [sum(values[a:b]) / (b - a) for a, b in itertools.pairwise(edges) if b > a]
    low, high = min(values), max(values)
    span = high - low
    if span == 0:
        return _BARS[3] * len(values)
    return "".join(_BARS[min(int((value - low) / span * 8), 7)] for value in values)
