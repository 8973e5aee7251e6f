"""How much a score varies from problem to problem and from training seed to training seed.

A recipe's scores are an array of (seeds, problems). Its mean estimates the score on problems like
these after a new training with another seed; both the problems and the seeds were drawn by chance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from openthoughts_cli.evals.estimators import (
    Estimand,
    Interval,
    mean_interval,
    ratio_interval,
    student_t,
)
from openthoughts_cli.evals.paired import paired_intervals

__all__ = [
    "FloatArray",
    "SeedNoise",
    "difference_interval",
    "estimand_of",
    "recipe_interval",
    "seed_noise",
]

FloatArray: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SeedNoise:
    """The variance of one run's score around its recipe's, with its degrees of freedom.

    Pooled over the recipes that have several seeds, so it holds for all of them if seeds matter
    as much for one as for another. `by_chance` is the part of it that comes from the drawing of
    answers and from how a run meets single problems: a sweep's problems show that part as well.
    """

    variance: float
    degrees: int
    by_chance: float = 0.0

    @property
    def excess(self) -> float:
        """The variance of a whole run, up or down on all problems together."""
        return max(0.0, self.variance - self.by_chance)


def seed_noise(recipes: Sequence[FloatArray]) -> SeedNoise | None:
    """Pooled over recipes, each (seeds, problems); None when no recipe has two seeds."""
    squares, degrees, residual = 0.0, 0, 0.0
    problems = recipes[0].shape[1] if recipes else 0
    for scores in recipes:
        if len(scores) > 1:
            means = scores.mean(axis=1)
            squares += float(((means - means.mean()) ** 2).sum())
            degrees += len(means) - 1
            left = scores - scores.mean(axis=0) - (means - means.mean())[:, None]
            residual += float((left**2).sum())
    if not degrees:
        return None
    per_answer = residual / (degrees * (problems - 1)) if problems > 1 else 0.0
    return SeedNoise(squares / degrees, degrees, per_answer / problems)


def estimand_of(noise: SeedNoise | None, *, bounded: bool) -> Estimand:
    """What an interval or a claim is about, in words."""
    if noise is not None:
        return "problems and seeds like these" if bounded else "questions and seeds like these"
    return "problems like these" if bounded else "questions like these"


def recipe_interval(
    scores: FloatArray, noise: SeedNoise | None, *, sizes: FloatArray | None = None
) -> Interval | None:
    """The 95% interval of a recipe's mean score.

    The variance of the mean is that of the problems (of scores averaged over seeds) plus that of
    the seeds, `noise` / seeds; the chance of drawn answers is in both, which errs to the careful
    side. Degrees of freedom by Satterthwaite. Scores in [0, 1] take the form of Wilson's interval
    with as many trials as give that variance (see `evals.estimators.mean_intervals`).

    Args:
        scores: (seeds, problems), in [0, 1] when `sizes` is None.
        noise: of one run; None when seeds were not varied, and the interval is then of these
            weights.
        sizes: what each score is weighted by, with mean 1: scores are then nats over the mean
            size, and the mean a ratio.

    Returns:
        None for fewer than two problems (with `sizes`) or none.
    """
    means = scores.mean(axis=0)
    alone = (
        mean_interval([float(value) for value in means])
        if sizes is None
        else ratio_interval([float(v) for v in means], [float(size) for size in sizes])
    )
    if alone is None or noise is None:
        return alone
    mean = float(means.mean())
    of_problems = ((alone.high - alone.low) / 2 / student_t(len(means) - 1)) ** 2
    if sizes is None and 0 < mean < 1:
        of_problems = mean * (1 - mean) / _wilson_trials(mean, alone, student_t(len(means) - 1))
    of_seeds = noise.variance / len(scores)
    degrees = _satterthwaite(of_problems, len(means) - 1, of_seeds, noise.degrees)
    t, variance = student_t(degrees), of_problems + of_seeds
    estimand = estimand_of(noise, bounded=sizes is None)
    if sizes is not None:
        half = t * math.sqrt(variance)
        low, high = mean - half, mean + half
        return _at_least(alone, Interval(low, high, estimand, "ratio and seeds, t"))
    if not 0 < mean < 1:
        half = t * math.sqrt(of_seeds)
        low, high = max(0.0, alone.low - half), min(1.0, alone.high + half)
    else:
        low, high = _wilson(mean, mean * (1 - mean) / variance, t)
    return _at_least(alone, Interval(low, high, estimand, "Wilson, problems and seeds"))


def difference_interval(
    differences: FloatArray, noise: SeedNoise | None, runs: float, *, bounded: bool
) -> Interval | None:
    """The 95% interval of the mean of paired differences, one a problem.

    Args:
        differences: of scores averaged over seeds, one for each problem.
        noise: of one run, or None.
        runs: by how much of it the mean of the differences moves: the sum of the squared weights
            of the runs in it; 1/S + 1/S for two recipes of S seeds each.
        bounded: the scores lie in [0, 1].

    Returns:
        None for fewer than two problems.
    """
    if len(differences) < 2:
        return None
    lows, highs = paired_intervals(differences[None, :], 1.0 if bounded else None)
    method = "paired t, shrunken variance" if bounded else "paired t"
    estimand = estimand_of(noise, bounded=bounded)
    alone = Interval(float(lows[0]), float(highs[0]), estimand, method)
    if noise is None:
        return alone
    mean, degrees = float(differences.mean()), len(differences) - 1
    # The wider side: the other may be cut off at the end of the scale.
    half = max(alone.high - mean, mean - alone.low)
    of_problems, of_seeds = (half / student_t(degrees)) ** 2, noise.variance * runs
    t = student_t(_satterthwaite(of_problems, degrees, of_seeds, noise.degrees))
    half = t * math.sqrt(of_problems + of_seeds)
    low, high = mean - half, mean + half
    if bounded:
        low, high = max(low, -1.0), min(high, 1.0)
    return _at_least(alone, Interval(low, high, estimand, "paired t, problems and seeds"))


def _at_least(alone: Interval, both: Interval) -> Interval:
    """`both`, and no narrower than of problems alone: more degrees of freedom are not less noise."""
    return replace(both, low=min(alone.low, both.low), high=max(alone.high, both.high))


def _wilson_trials(mean: float, interval: Interval, t: float) -> float:
    """The number of trials of Wilson's interval with this width: the inverse of `_wilson`.

    The half width h solves 4 h^2 (1 + a)^2 = 4 a mean (1 - mean) + a^2 with a = t^2 / trials.
    """
    h2, spread = ((interval.high - interval.low) / 2) ** 2, mean * (1 - mean)
    square, linear, constant = 4 * h2 - 1, 8 * h2 - 4 * spread, 4 * h2
    if abs(square) < 1e-12:
        a = -constant / linear
    else:
        root = math.sqrt(max(linear**2 - 4 * square * constant, 0.0))
        a = max((-linear + root) / (2 * square), (-linear - root) / (2 * square))
    return t * t / a


def _wilson(mean: float, trials: float, t: float) -> tuple[float, float]:
    a = t * t / trials
    centre = (mean + a / 2) / (1 + a)
    half = math.sqrt(a * mean * (1 - mean) + a * a / 4) / (1 + a)
    return max(0.0, centre - half), min(1.0, centre + half)


def _satterthwaite(one: float, one_degrees: int, other: float, other_degrees: int) -> int:
    """Degrees of freedom of a sum of two variances, rounded down; at least 1."""
    total = one * one / max(one_degrees, 1) + other * other / max(other_degrees, 1)
    return max(1, int((one + other) ** 2 / total)) if total > 0 else max(one_degrees, 1)
