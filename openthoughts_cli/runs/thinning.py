"""Which points of a long curve to show: evenly spread, the first and the last among them."""

from __future__ import annotations

__all__ = ["evenly_spread"]


def evenly_spread(count: int, most: int) -> list[int]:
    """Indices of at most `most` of `count` points, ascending; `most` is at least 2."""
    if count <= most:
        return list(range(count))
    last = count - 1
    return sorted({round(i * last / (most - 1)) for i in range(most)})
