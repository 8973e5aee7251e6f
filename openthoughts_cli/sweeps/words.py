"""A ranking's numbers as words: shares as percent, nats as they are, ranks as ranges."""

from __future__ import annotations

import json
from typing import Any

from openthoughts_cli.sweeps.effects import Effect
from openthoughts_cli.sweeps.leaderboard import Leaderboard
from openthoughts_cli.sweeps.metric import Metric
from openthoughts_cli.sweeps.results import Best

__all__ = [
    "axis_level_words",
    "change_words",
    "checkpoint_words",
    "figure",
    "headline",
    "level_words",
    "p_words",
    "rank_words",
    "signed",
    "spaced",
    "time_words",
]


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


def p_words(p_value: float) -> str:
    """`0.012`; `<0.001` where rounding would say that chance cannot do it."""
    return "<0.001" if p_value < 0.001 else f"{p_value:.3f}"


def rank_words(rank: tuple[int, int] | None) -> str:
    """`1` for a place that is sure, `2-5` for a tie over these places."""
    if rank is None:
        return "-"
    return str(rank[0]) if rank[0] == rank[1] else f"{rank[0]}-{rank[1]}"


def spaced(name: str) -> str:
    """A cell's or a recipe's name with room to break lines at; `--baseline` takes both forms."""
    return name.replace(",", ", ")


def level_words(value: Any) -> str:
    """A value of an axis: text as it is, the rest as JSON; a joined axis by its parts."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return ", ".join(f"{key}={level_words(part)}" for key, part in value.items())
    return json.dumps(value, ensure_ascii=False, default=str)


def axis_level_words(axis: str, value: Any) -> str:
    """A level of an axis; of axes that were joined their values, in the order of the keys: `4 & 2`."""
    keys = axis.split(" & ")
    if len(keys) > 1 and isinstance(value, dict) and list(value) == keys:
        return " & ".join(level_words(part) for part in value.values())
    return level_words(value)


def change_words(effect: Effect) -> str:
    """`train.learning_rate: 1e-05 to 0.001`."""
    levels = [axis_level_words(effect.axis, level) for level in (effect.reference, effect.level)]
    return f"{effect.axis}: {' to '.join(levels)}"


def headline(board: Leaderboard) -> str:
    """What can be claimed, in one sentence."""
    ranked = [entry for entry in board.entries if entry.rank]
    if not ranked:
        return f"{board.sweep}: no ranking by {board.metric.key}"
    if board.winner is not None:
        return f"{board.sweep}: {spaced(board.winner)} is the best of {len(ranked)} by {board.metric.key}"
    if len(ranked) == 1:
        return f"{board.sweep}: one recipe has a score by {board.metric.key}"
    ties = 1 + sum(entry.tied for entry in ranked)
    return (
        f"{board.sweep}: no winner by {board.metric.key}; "
        f"{'all' if ties == len(ranked) else ties} of {len(ranked)} recipes may be the best"
    )


def checkpoint_words(best: Best) -> str:
    """`final, 1.0813`: the checkpoint and its held-out NLL."""
    if best.name == "final":
        return f"final, {best.nll:.4f}"
    kept = "" if best.name is not None else " (not kept)"
    return f"step {best.step}{kept}, {best.nll:.4f}"


def time_words(seconds: float) -> str:
    """`1:05` minutes and seconds, `2:03:04` with hours."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
