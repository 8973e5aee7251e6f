"""A ranking's numbers as words: shares as percent, nats as they are, ranks as ranges."""

from __future__ import annotations

import json
from typing import Any

from openthoughts_cli.sweeps.metric import Metric

__all__ = ["figure", "level_words", "rank_words", "signed"]


def figure(metric: Metric, value: float | None) -> str:
    """A score: `66.0%`, or nats with four digits."""
    if value is None:
        return "-"
    return f"{value:.1%}" if metric.bounded else f"{value:.4f}"


def signed(metric: Metric, value: float, *, unit: bool = True) -> str:
    """A difference: `+27.5 points`, or nats with four digits."""
    if not metric.bounded:
        return f"{value:+.4f}"
    return f"{100 * value:+.1f}{' points' if unit else ''}"


def rank_words(rank: tuple[int, int] | None) -> str:
    """`1` for a place that is sure, `2-5` for a tie over these places."""
    if rank is None:
        return "-"
    return str(rank[0]) if rank[0] == rank[1] else f"{rank[0]}-{rank[1]}"


def level_words(value: Any) -> str:
    """A value of an axis: text as it is, the rest as JSON; a joined axis by its parts."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return ", ".join(f"{key}={level_words(part)}" for key, part in value.items())
    return json.dumps(value, ensure_ascii=False, default=str)
