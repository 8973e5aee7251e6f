"""The ranking of a sweep as values: its recipes best first, its effects, and what is to be said of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from openthoughts_cli.evals.estimators import Interval
from openthoughts_cli.sweeps.effects import Effect
from openthoughts_cli.sweeps.max_test import ALPHA
from openthoughts_cli.sweeps.metric import Metric
from openthoughts_cli.sweeps.results import HELD_OUT_RULE, At, CellResult

__all__ = ["Entry", "Leaderboard", "Pairs", "Versus"]


@dataclass(frozen=True, slots=True)
class Versus:
    """A recipe minus the baseline, on the same problems; `p_value` is adjusted for all pairs."""

    difference: float
    interval: Interval | None
    p_value: float

    def as_record(self) -> dict[str, Any]:
        """As JSON."""
        interval = None if self.interval is None else self.interval.as_record()
        return {"difference": self.difference, "interval": interval, "p_value": self.p_value}


@dataclass(frozen=True, slots=True)
class Entry:
    """One recipe. `rank` is the range of ranks it may have; None where it is not ranked.

    `tied` tells whether it cannot be told apart from the recipe with the best score. `score` is the
    mean over problems and seeds. `versus` is None for the baseline itself.
    """

    recipe: str
    axes: Mapping[str, Any]
    results: tuple[CellResult, ...]
    score: float | None = None
    interval: Interval | None = None
    rank: tuple[int, int] | None = None
    tied: bool = False
    versus: Versus | None = None

    @property
    def ranked(self) -> tuple[CellResult, ...]:
        """The cells that the score is of."""
        return tuple(result for result in self.results if result.scores is not None)

    @property
    def train_tokens(self) -> int:
        return sum(result.train_tokens for result in self.results)

    @property
    def sampled_tokens(self) -> int:
        return sum(result.sampled_tokens for result in self.results)

    @property
    def seconds(self) -> float:
        return sum(result.seconds for result in self.results)

    @property
    def usd(self) -> float:
        return sum(result.usd for result in self.results)

    def as_record(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "recipe": self.recipe,
            "axes": dict(self.axes),
            "rank": None if self.rank is None else list(self.rank),
            "tied_with_best": self.tied,
            "score": self.score,
            "interval": None if self.interval is None else self.interval.as_record(),
            "versus_baseline": None if self.versus is None else self.versus.as_record(),
            "seeds": len(self.ranked),
            "train_tokens": self.train_tokens,
            "sampled_tokens": self.sampled_tokens,
            "seconds": self.seconds,
            "usd": self.usd,
            "cells": [result.as_record() for result in self.results],
        }


@dataclass(frozen=True, slots=True)
class Pairs:
    """Every ranked recipe against every other, in the order of the ranking.

    `difference[i][j]` is recipe j minus recipe i; `p_value[i][j]` is adjusted for all pairs.
    """

    recipes: tuple[str, ...]
    difference: tuple[tuple[float, ...], ...]
    p_value: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class Leaderboard:
    """The ranking of a sweep by one metric; entries best first, those without a rank last.

    `notes` say what the numbers are of; `warnings` what makes them less than they look. `winner`:
    the recipe that is better than every other one beyond chance, or None.
    """

    sweep: str
    metric: Metric
    at: At
    baseline: str | None
    entries: tuple[Entry, ...]
    effects: tuple[Effect, ...]
    problems: int
    winner: str | None
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    pairs: Pairs | None = None

    def __repr__(self) -> str:
        winner = f"{self.winner} wins" if self.winner is not None else "no recipe wins"
        return (
            f"<Leaderboard of {self.sweep} by {self.metric.key} at {self.at}: "
            f"{len(self.entries)} recipes over {self.problems:,} problems, {winner}>"
        )

    def as_record(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "sweep": self.sweep,
            "metric": self.metric.key,
            "at": self.at,
            "held_out_rule": HELD_OUT_RULE,
            "baseline": self.baseline,
            "problems": self.problems,
            "winner": self.winner,
            "alpha": ALPHA,
            "entries": [entry.as_record() for entry in self.entries],
            "effects": [effect.as_record() for effect in self.effects],
            "notes": list(self.notes),
            "warnings": list(self.warnings),
        }
