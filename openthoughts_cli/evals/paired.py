"""Is B better than A? Two evaluations of the same problems, compared problem by problem."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from openthoughts_cli.errors import DataError
from openthoughts_cli.evals.estimators import Interval, student_t

__all__ = ["PairedResult", "paired_difference", "paired_intervals", "sign_flip_p_value"]

FloatArray: TypeAlias = npt.NDArray[np.float64]

_EXACT_UP_TO = 16
_DRAWS = 20_000
_RULE_OF_THREE = 3.0


@dataclass(frozen=True, slots=True)
class PairedResult:
    """The mean of B - A over the common problems.

    `p_value` is of the sign-flip test that B and A do not differ; None without problems.
    """

    difference: float
    interval: Interval | None
    p_value: float
    problems: int


def paired_difference(
    a: Sequence[float], b: Sequence[float], *, bound: float | None = 1.0, seed: int = 0
) -> PairedResult:
    """Compare scores of the same problems, in the same order.

    The interval is Student's t over the differences, with their variance shrunk towards the
    careful value for J differing problems among M, as if one more had differed:
    (J s^2 + v0) / (J + 1), v0 = bound (sum |d| + 3 bound) / (M + 3) - mean^2, the variance if the
    differences were all or nothing and 3 more problems had differed (the rule of three). A plain t
    interval covers as little as 20% when hardly any problem differs.

    Args:
        a, b: scores, one for each problem.
        bound: the largest possible |difference|; None where there is no bound (then plain t).
        seed: of the test's random flips, when there are too many to try all.

    Raises:
        DataError: no problem, or two lengths.
    """
    if len(a) != len(b) or not a:
        raise DataError(
            f"a paired comparison needs the same problems on both sides, and there are {len(a)} "
            f"and {len(b)}",
            hint="give the scores of the same problems in the same order, at least one",
        )
    differences = np.asarray(b, dtype=np.float64) - np.asarray(a, dtype=np.float64)
    low, high = paired_intervals(differences[None, :], bound)
    method = "paired t" if bound is None else "paired t, shrunken variance"
    return PairedResult(
        difference=float(differences.mean()),
        interval=None
        if len(differences) < 2
        else Interval(float(low[0]), float(high[0]), "problems like these", method),
        p_value=sign_flip_p_value(differences, seed=seed),
        problems=len(differences),
    )


def paired_intervals(
    differences: FloatArray, bound: float | None = 1.0
) -> tuple[FloatArray, FloatArray]:
    """The intervals of many experiments at once: `differences` is (experiments, problems)."""
    count = differences.shape[1]
    mean = differences.mean(axis=1)
    variance = differences.var(axis=1, ddof=1) if count > 1 else np.zeros_like(mean)
    if bound is not None:
        absolute = np.abs(differences).sum(axis=1)
        careful = bound * (absolute + _RULE_OF_THREE * bound) / (count + _RULE_OF_THREE) - mean**2
        telling = (differences != 0).sum(axis=1)
        variance = (telling * variance + np.maximum(careful, 0.0)) / (telling + 1)
    half = student_t(count - 1) * np.sqrt(variance / count)
    if bound is None:
        return mean - half, mean + half
    return np.clip(mean - half, -bound, bound), np.clip(mean + half, -bound, bound)


def sign_flip_p_value(differences: FloatArray, *, seed: int = 0, draws: int = _DRAWS) -> float:
    """Two-sided p-value of the paired permutation test on the sum of the differences.

    If A and B do not differ, each problem's difference has either sign with equal chance. Up to 16
    differences that are not 0, all flips are tried and the test is exact; beyond, `draws` seeded
    flips, with the observed one counted among them, so that the test stays valid.
    """
    telling = differences[differences != 0]
    if telling.size == 0:
        return 1.0
    # Sums that are equal on paper differ in their last bits.
    at_least = abs(float(telling.sum())) - 1e-9 * float(np.abs(telling).sum())
    if telling.size <= _EXACT_UP_TO:
        bits = np.arange(2**telling.size)[:, None] >> np.arange(telling.size)[None, :]
        sums = np.abs((1 - 2 * (bits & 1)) @ telling)
        return float((sums >= at_least).mean())
    generator = np.random.default_rng(seed)
    hits = 0
    for size in _chunks(draws, 2_000):
        signs = generator.integers(0, 2, size=(size, telling.size), dtype=np.int8)
        hits += int((np.abs((1 - 2 * signs) @ telling) >= at_least).sum())
    return (hits + 1) / (draws + 1)


def _chunks(total: int, size: int) -> list[int]:
    return [min(size, total - start * size) for start in range(math.ceil(total / size))]
