"""What an axis does on average: its main effect, from recipes that differ in nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from openthoughts_cli.digests import digest_value
from openthoughts_cli.evals.estimators import Interval
from openthoughts_cli.sweeps.seeds import FloatArray, SeedNoise, difference_interval

__all__ = ["Effect", "main_effects"]


@dataclass(frozen=True, slots=True)
class Effect:
    """The mean score at `level` of an axis minus that at its `reference`, all else the same.

    `axis`: its key; keys whose values always go together (zip) cannot be told apart and are one
    axis, joined by " & ". `matched`: the pairs of recipes that differ in this axis alone;
    `difference` and `interval` are None where there is none. The interval is of this effect alone.
    """

    axis: str
    level: Any
    reference: Any
    difference: float | None
    interval: Interval | None
    matched: int

    def as_record(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "axis": self.axis,
            "level": self.level,
            "reference": self.reference,
            "difference": self.difference,
            "interval": None if self.interval is None else self.interval.as_record(),
            "matched": self.matched,
        }


def main_effects(
    axes: Sequence[Mapping[str, Any]],
    recipes: Sequence[FloatArray],
    noise: SeedNoise | None,
    *,
    bounded: bool,
) -> list[Effect]:
    """The effects of all axes that vary, in their order; the first value met is the reference.

    Args:
        axes: of each recipe, dotted key -> value; a key that one lacks counts as None.
        recipes: scores, each (seeds, problems), on the same problems.
        noise: of one run, or None.
        bounded: the scores lie in [0, 1].
    """
    effects: list[Effect] = []
    merged = _merged(axes)
    for axis in merged[0] if merged else ():
        levels = {digest_value(entry[axis]): entry[axis] for entry in merged}
        reference, *others = levels
        places = _places(axis, merged)
        for level in others:
            pairs = [(at[reference], at[level]) for at in places if {reference, level} <= at.keys()]
            effects.append(
                _effect(
                    axis, levels[level], levels[reference], pairs, recipes, noise, bounded=bounded
                )
            )
    return effects


def _effect(
    axis: str,
    level: Any,
    reference: Any,
    pairs: Sequence[tuple[int, int]],
    recipes: Sequence[FloatArray],
    noise: SeedNoise | None,
    *,
    bounded: bool,
) -> Effect:
    if not pairs:
        return Effect(axis, level, reference, None, None, 0)
    differences = np.mean(
        [recipes[there].mean(axis=0) - recipes[here].mean(axis=0) for here, there in pairs], axis=0
    )
    runs = sum(1 / len(recipes[i]) for pair in pairs for i in pair) / len(pairs) ** 2
    interval = difference_interval(differences, noise, runs, bounded=bounded)
    return Effect(axis, level, reference, float(differences.mean()), interval, len(pairs))


def _places(axis: str, merged: Sequence[Mapping[str, Any]]) -> list[dict[str, int]]:
    """For each setting of the other axes: level of this one -> recipe."""
    found: dict[str, dict[str, int]] = {}
    for index, entry in enumerate(merged):
        others = {key: value for key, value in entry.items() if key != axis}
        found.setdefault(digest_value(others), {})[digest_value(entry[axis])] = index
    return list(found.values())


def _merged(axes: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The axes that vary, those joined whose values always go together."""
    keys = list(dict.fromkeys(key for entry in axes for key in entry))
    pattern: dict[tuple[int, ...], list[str]] = {}
    for key in keys:
        seen: dict[str, int] = {}
        numbers = tuple(seen.setdefault(digest_value(e.get(key)), len(seen)) for e in axes)
        if len(seen) > 1:
            pattern.setdefault(numbers, []).append(key)
    return [
        {
            " & ".join(group): entry.get(group[0])
            if len(group) == 1
            else {key: entry.get(key) for key in group}
            for group in pattern.values()
        }
        for entry in axes
    ]
