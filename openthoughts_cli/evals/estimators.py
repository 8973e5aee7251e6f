"""From counts of right answers to scores with intervals: pass@k, maj@k, means over problems.

An interval says what it is an interval of. "problems like these" (the default): the score on the
population that the problems were drawn from, so problems are the unit that varies. "these
problems": the score of further answers to the same problems. Both cover at a level of 95%.
"""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from openthoughts_cli.errors import UsageError

__all__ = [
    "LEVEL",
    "Estimand",
    "Interval",
    "mean_interval",
    "mean_intervals",
    "pass_at_k",
    "ratio_interval",
    "same_problems_interval",
    "student_t",
    "vote_correct",
    "vote_rate",
]

FloatArray: TypeAlias = npt.NDArray[np.float64]
Estimand: TypeAlias = Literal[
    "problems like these",
    "these problems",
    "questions like these",
    "problems and seeds like these",
    "questions and seeds like these",
]

LEVEL = 0.95
_PRIOR_PROBLEMS = 1.0
_MOST_SUBSETS = 1000


@dataclass(frozen=True, slots=True)
class Interval:
    """`low` <= score <= `high` at `level`, for the stated estimand, by the named method."""

    low: float
    high: float
    estimand: Estimand
    method: str
    level: float = LEVEL

    def as_record(self) -> dict[str, Any]:
        """As JSON for scores.json."""
        return asdict(self)


def pass_at_k(n: int, correct: int, k: int) -> float:
    """Unbiased estimate of the chance that at least one of k answers is right.

    1 - C(n - c, k) / C(n, k) for c right among n answers, as a stable product: Chen et al. 2021,
    "Evaluating Large Language Models Trained on Code", section 2.1.

    Raises:
        UsageError: k > n, or counts that cannot be.
    """
    if not 1 <= k <= n:
        raise UsageError(
            f"pass@{k} cannot be estimated from {n} answers a problem",
            hint=f"draw at least {k} (--n {k}), or ask for a smaller k",
        )
    if not 0 <= correct <= n:
        raise UsageError(
            f"{correct} of {n} answers cannot be right", hint="correct counts some of the n answers"
        )
    if n - correct < k:
        return 1.0
    return 1.0 - math.prod(1.0 - k / i for i in range(n - correct + 1, n + 1))


def vote_correct(votes: Sequence[tuple[str | None, bool]]) -> bool:
    """Whether the answer named most often is right. `votes` are (parsed, correct) in sample order.

    None votes for nothing; of answers named equally often the one that was sampled first wins; no
    vote at all is wrong.
    """
    named = [answer for answer, _ in votes if answer is not None]
    if not named:
        return False
    # Counter keeps the order of first appearance, and max takes the first of equals.
    counts = Counter(named)
    winner = max(counts, key=lambda answer: counts[answer])
    return any(correct for answer, correct in votes if answer == winner)


def vote_rate(votes: Sequence[tuple[str | None, bool]], k: int, *, seed: int = 0) -> float:
    """maj@k: the chance that a vote among k of the answers, drawn without replacement, is right.

    All subsets are tried while there are at most 1,000 of them; beyond that, 1,000 seeded draws.

    Raises:
        UsageError: k > the number of answers.
    """
    if not 1 <= k <= len(votes):
        raise UsageError(
            f"maj@{k} cannot be computed from {len(votes)} answers", hint=f"draw at least {k}"
        )
    if math.comb(len(votes), k) <= _MOST_SUBSETS:
        subsets = list(itertools.combinations(votes, k))
    else:
        draw = random.Random(seed)
        indices = range(len(votes))
        subsets = [
            tuple(votes[i] for i in sorted(draw.sample(indices, k))) for _ in range(_MOST_SUBSETS)
        ]
    return sum(map(vote_correct, subsets)) / len(subsets)


def mean_interval(scores: Sequence[float]) -> Interval | None:
    """Interval for the mean of per-problem scores in [0, 1], for problems like these.

    None for no problem. See `mean_intervals` for the method.
    """
    if not scores:
        return None
    low, high = mean_intervals(np.asarray([scores], dtype=np.float64))
    return Interval(
        float(low[0]), float(high[0]), "problems like these", "Wilson, shrunken clustered size"
    )


def mean_intervals(scores: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The same for many experiments at once: `scores` is (experiments, problems), in [0, 1].

    Wilson's interval with Student's t and an effective number of trials M / r for M problems.
    r is the variance between problems relative to that of all-or-nothing problems, m (1 - m): 1
    when every problem is always or never solved (M problems are M trials), 1/n when all are alike
    (M n trials). With few successes r cannot be told from the data, so it is shrunk towards 1, the
    careful end, as if one more problem had shown it: r = (J r_hat + 1) / (J + 1), where J is the
    smaller of the numbers of problems with any success and with any failure.

    In simulation (tests/unit/test_evals_coverage.py) it covers at least 93% of the time for 30 and
    50 problems, true means from 0.03 to 0.8 and any spread; a percentile bootstrap drops to 60%.
    """
    problems = scores.shape[1]
    mean = scores.mean(axis=1)
    spread = mean * (1.0 - mean)
    if problems > 1:
        variance = scores.var(axis=1, ddof=1)
        ratio = np.where(spread > 0, variance / np.where(spread > 0, spread, 1.0), 1.0)
    else:
        ratio = np.ones_like(mean)
    telling = np.minimum((scores > 0).sum(axis=1), (scores < 1).sum(axis=1))
    shrunk = (telling * np.minimum(ratio, 1.0) + _PRIOR_PROBLEMS) / (telling + _PRIOR_PROBLEMS)
    return _wilson(mean, problems / shrunk, student_t(problems - 1))


def same_problems_interval(correct: int, answers: int) -> Interval | None:
    """Interval for the mean over further answers to these same problems.

    Wilson's with every answer a trial. It is careful: the variance of answers to fixed problems is
    at most that of as many independent trials at the mean rate.
    """
    if answers < 1:
        return None
    low, high = _wilson(np.asarray([correct / answers]), np.asarray([float(answers)]), student_t(0))
    return Interval(float(low[0]), float(high[0]), "these problems", "Wilson over all answers")


def ratio_interval(totals: Sequence[float], sizes: Sequence[float]) -> Interval | None:
    """Interval for sum(totals) / sum(sizes) over questions, such as nats over tokens.

    The linearised ratio estimator with questions as clusters (Cochran, "Sampling Techniques",
    section 6.4), with Student's t. None for fewer than two questions.
    """
    if len(totals) < 2 or sum(sizes) <= 0:
        return None
    y, x = np.asarray(totals, dtype=np.float64), np.asarray(sizes, dtype=np.float64)
    count, ratio = len(y), float(y.sum() / x.sum())
    residuals = y - ratio * x
    error = math.sqrt(count / (count - 1) * float((residuals**2).sum())) / float(x.sum())
    half = student_t(count - 1) * error
    return Interval(ratio - half, ratio + half, "questions like these", "ratio estimator, t")


def student_t(degrees: int, level: float = LEVEL) -> float:
    """The two-sided quantile of Student's t; `degrees` < 1 gives the normal distribution's.

    Exact for 1 and 2 degrees; above, the expansion of Abramowitz & Stegun 26.7.5, whose error is
    below 0.004 at 3 degrees and falls fast.
    """
    tail = (1 + level) / 2
    if degrees == 1:
        return math.tan(math.pi * (tail - 0.5))
    if degrees == 2:
        return (2 * tail - 1) * math.sqrt(2 / (4 * tail * (1 - tail)))
    z = NormalDist().inv_cdf(tail)
    if degrees < 1:
        return z
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / degrees**power for power, term in enumerate(terms, start=1))


def _wilson(mean: FloatArray, trials: FloatArray, t: float) -> tuple[FloatArray, FloatArray]:
    """Wilson 1927, with any real number of trials."""
    scale = 1.0 + t * t / trials
    centre = (mean + t * t / (2 * trials)) / scale
    half = t * np.sqrt(mean * (1 - mean) / trials + t * t / (4 * trials * trials)) / scale
    # The bounds at means of exactly 0 and 1 are 0 and 1; rounding must not move them.
    low = np.where(mean <= 0, 0.0, np.clip(centre - half, 0.0, 1.0))
    high = np.where(mean >= 1, 1.0, np.clip(centre + half, 0.0, 1.0))
    return low, high
