"""Many recipes are many comparisons: which differences are more than the best of so many chances?

Of 8 equal recipes one will look best. The largest difference of all pairs is compared with the
largest that chance makes: the max-statistic of a paired permutation test (Westfall & Young 1993,
"Resampling-based multiple testing"), step-down.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from openthoughts_cli.errors import DataError
from openthoughts_cli.sweeps.seeds import FloatArray, SeedNoise

__all__ = ["ALPHA", "MaxTest", "max_test", "rank_ranges"]

ALPHA = 0.05
_DRAWS = 10_000
_LEAST_DRAWS = 1_000
# Draws times pairs that are looked at, so that a sweep of hundreds of recipes stays a second's work.
_MOST_STATISTICS = 60_000_000
_CHUNK_STATISTICS = 2_000_000
# Draws times problems whose signs are drawn at once: 64 MB of them.
_CHUNK_SIGNS = 8_000_000
# Beyond this many pairs (91 recipes) stepping down finds hardly more, and takes many times longer.
_MOST_STEPPED = 4_096


@dataclass(frozen=True, slots=True)
class MaxTest:
    """All pairs of recipes. Arrays are (recipes, recipes); [i, j] is about recipe j minus i.

    `difference`: of the means. `p_value`: adjusted for all pairs together. `draws` of chance it
    rests on.
    """

    difference: FloatArray
    p_value: FloatArray
    draws: int


def max_test(
    recipes: Sequence[FloatArray],
    noise: SeedNoise | None = None,
    *,
    seed: int = 0,
    draws: int | None = None,
) -> MaxTest:
    """Test all pairs of recipes on the same problems.

    If two recipes are equally good, each problem's difference has either sign with equal chance. So
    all differences of a problem are given a random sign together, which keeps how the pairs hang
    together. The statistic is the difference over its standard error, which under random signs
    stays as it is, so that no pair that differs in earnest hides another.

    Where seeds were varied, each recipe's mean is also moved by a normal draw of the seeds'
    variance, itself drawn from what its few degrees of freedom leave open (v d / chi^2_d, the
    fiducial form of the Behrens-Fisher problem; a plug-in variance claims too much when there are
    two or three seeds). The part that the drawing of answers explains is not counted twice.

    Args:
        recipes: each (seeds, problems): the same problems in the same order; numbers of seeds may
            differ.
        noise: of one run; None takes the weights as they are, and the claims are about them.
        seed: of the random signs.
        draws: how many; unset: 10,000, fewer where there are very many pairs.

    Raises:
        DataError: no problem, or recipes of different problems.
    """
    if not recipes or any(
        scores.ndim != 2 or scores.shape[1] != recipes[0].shape[1] or not scores.size
        for scores in recipes
    ):
        raise DataError(
            "the recipes were not measured on the same problems, or on none",
            hint="give every recipe scores of the same problems, at least one",
        )
    means = np.stack([scores.mean(axis=0) for scores in recipes])
    count, problems = means.shape
    first, second = np.triu_indices(count, k=1)
    totals = means.mean(axis=1)
    difference = totals[None, :] - totals[:, None]
    if not len(first):
        return MaxTest(difference, np.ones((1, 1)), 0)
    if draws is None:
        draws = max(_LEAST_DRAWS, min(_DRAWS, _MOST_STATISTICS // len(first)))
    means = means - means.mean(axis=0)  # differences stay, and lose no digits
    gram = means @ means.T
    squares = np.diag(gram)
    of_problems = (squares[first] + squares[second] - 2 * gram[first, second]).clip(0) / problems**2
    of_problems[of_problems < 1e-15] = 0.0
    runs = np.asarray([float(len(scores)) for scores in recipes])
    of_seeds = (0.0 if noise is None else noise.excess) / runs
    error = np.sqrt(of_problems + of_seeds[first] + of_seeds[second])
    observed = _studentised(difference[first, second], error)
    generator = np.random.default_rng(seed)
    draw = partial(_moved, generator, means=means, noise=noise, runs=runs)
    if len(first) > _MOST_STEPPED:
        adjusted = _single_step(draw, draws, error, observed, count)
    else:
        adjusted = _step_down(draw, draws, error, observed, count)
    values = np.ones((count, count))
    values[first, second] = adjusted
    values[second, first] = adjusted
    return MaxTest(difference, values, draws)


class _Draw(Protocol):
    """(draws, recipes): means that chance alone makes."""

    def __call__(self, draws: int) -> FloatArray: ...


def _step_down(
    draw: _Draw, draws: int, error: FloatArray, observed: FloatArray, count: int
) -> FloatArray:
    """p-values of the pairs: each against the largest of itself and of all that look smaller."""
    order = np.argsort(-observed, kind="stable")
    first, second = (index[order] for index in np.triu_indices(count, k=1))
    least = _just_below(observed)[order][None, :]
    hits = np.zeros(len(order), dtype=np.int64)
    size = max(1, _CHUNK_STATISTICS // len(order))
    for start in range(0, draws, size):
        moved = draw(min(size, draws - start))
        chance = _studentised(
            moved[:, first] - moved[:, second], error[order].astype(np.float32)[None, :]
        )
        largest = np.maximum.accumulate(chance[:, ::-1], axis=1)[:, ::-1]
        hits += (largest >= least).sum(axis=0)
    values = np.empty(len(order))
    values[order] = np.maximum.accumulate((hits + 1) / (draws + 1))
    return values


def _single_step(
    draw: _Draw, draws: int, error: FloatArray, observed: FloatArray, count: int
) -> FloatArray:
    """p-values of the pairs, each against the largest of all: never smaller, and much faster."""
    moved = np.ascontiguousarray(draw(draws).T)
    per_error = _studentised(np.ones_like(error), error).astype(np.float32)
    largest = np.zeros(draws, dtype=np.float32)
    done = 0
    for i in range(count - 1):
        pairs = count - 1 - i
        chance = np.abs(moved[i + 1 :] - moved[i])
        chance *= per_error[done : done + pairs, None]
        np.maximum(largest, chance.max(axis=0), out=largest)
        done += pairs
    below = np.searchsorted(np.sort(largest), _just_below(observed), side="left")
    return (draws - below + 1) / (draws + 1)


def _just_below(observed: FloatArray) -> FloatArray:
    """Statistics that are equal on paper differ in their last bits, and count as equal."""
    return observed * (1 - 1e-6) - 1e-9


def _moved(
    generator: np.random.Generator,
    draws: int,
    *,
    means: FloatArray,
    noise: SeedNoise | None,
    runs: FloatArray,
) -> FloatArray:
    """(draws, recipes), as float32: means that chance alone makes."""
    count, problems = means.shape
    size = max(1, _CHUNK_SIGNS // problems)
    parts: list[FloatArray] = []
    for start in range(0, draws, size):
        shape = (min(size, draws - start), problems)
        signs = generator.integers(0, 2, size=shape, dtype=np.int8) * 2.0 - 1.0
        parts.append((signs @ means.T) / problems)
    moved: Any = np.concatenate(parts)
    if noise is not None:
        open_ = noise.degrees / generator.chisquare(noise.degrees, size=(draws, 1))
        variance = np.maximum(noise.variance * open_ - noise.by_chance, 0.0)
        moved = moved + generator.standard_normal((draws, count)) * np.sqrt(variance / runs)
    return moved.astype(np.float32)


def _studentised(difference: FloatArray, error: npt.NDArray[np.floating[Any]]) -> FloatArray:
    """|difference| / error; 0 where nothing differs on any problem."""
    size = np.abs(difference)
    return np.divide(size, error, out=np.zeros_like(size), where=error > 0)


def rank_ranges(
    test: MaxTest, *, higher_is_better: bool, alpha: float = ALPHA
) -> list[tuple[int, int]]:
    """For each recipe the ranks that it may have: (1 + those surely better, all - surely worse).

    With 1 - alpha confidence all of them hold at once. A recipe is claimed to be the winner where
    its range is (1, 1); recipes whose ranges overlap that cannot be told apart are ties.
    Source: Mogstad, Romano, Shaikh & Wilhelm 2024, "Inference for ranks".
    """
    gain = test.difference if higher_is_better else -test.difference
    better = (gain > 0) & (test.p_value <= alpha)  # [i, j]: j is surely better than i
    count = len(gain)
    return [(1 + int(better[i].sum()), count - int(better[:, i].sum())) for i in range(count)]
