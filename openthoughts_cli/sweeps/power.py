"""How many problems and seeds it takes to see a difference, and what a sweep of a size can see.

The model: on each problem a recipe has a chance to answer rightly; `between` of the variance of an
answer, m (1 - m), lies between problems, the rest is the chance of each answer. Two recipes agree
on which problems are hard by the correlation `agreement`. A training seed moves the whole score by
a standard deviation of `seed_sd`. A difference between two of `cells` recipes counts when it is
above what the largest difference of all pairs of equal recipes reaches once in 20 sweeps, as in
`sweeps.max_test`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

import numpy as np

from openthoughts_cli.errors import UsageError
from openthoughts_cli.sweeps.max_test import ALPHA

__all__ = ["Setting", "critical_difference", "detectable_difference", "problems_needed"]

_POWER = 0.8


@dataclass(frozen=True, slots=True)
class Setting:
    """What the scores of a sweep are like.

    mean: the share of right answers. between: the part of an answer's variance that lies between
    problems. agreement: the correlation of two recipes' chances over problems. seed_sd: standard
    deviation over seeds, as a share (0.02: two points). answers: drawn for each problem.
    seeds: for each recipe. cells: recipes that are compared with each other.
    """

    cells: int = 2
    seeds: int = 1
    answers: int = 1
    mean: float = 0.5
    between: float = 0.6
    agreement: float = 0.9
    seed_sd: float = 0.0

    def variance_per_problem(self) -> float:
        """The variance of one problem's difference, of scores averaged over answers and seeds."""
        spread = self.mean * (1 - self.mean)
        lasting = self.between * (1 - self.agreement)
        by_chance = (1 - self.between) / (self.answers * self.seeds)
        return 2 * spread * (lasting + by_chance)

    def variance_of_seeds(self) -> float:
        """The variance that seeds add to a difference, however many problems there are."""
        return 2 * self.seed_sd**2 / self.seeds


def detectable_difference(setting: Setting, problems: int, *, power: float = _POWER) -> float:
    """The smallest true difference that is claimed with probability `power`, as a share.

    Raises:
        UsageError: no problem, or fewer than two cells.
    """
    if problems < 1:
        raise UsageError(f"{problems} problems: at least one is needed", hint="give at least 1")
    error = math.sqrt(setting.variance_per_problem() / problems + setting.variance_of_seeds())
    return (critical_difference(setting.cells) + NormalDist().inv_cdf(power)) * error


def problems_needed(setting: Setting, difference: float, *, power: float = _POWER) -> int | None:
    """Problems that it takes to claim a true `difference` (a share) with probability `power`.

    None where no number of problems is enough: the seeds alone hide it.

    Raises:
        UsageError: the difference is not above 0, or fewer than two cells.
    """
    if not difference > 0:
        raise UsageError(
            f"a difference of {difference} cannot be seen: it must be above 0",
            hint="give a share, such as 0.05 for five points",
        )
    quantiles = critical_difference(setting.cells) + NormalDist().inv_cdf(power)
    left = (difference / quantiles) ** 2 - setting.variance_of_seeds()
    return None if left <= 0 else max(2, math.ceil(setting.variance_per_problem() / left))


@lru_cache
def critical_difference(cells: int, alpha: float = ALPHA) -> float:
    """The standard errors that the largest difference of all pairs must exceed.

    The upper quantile of the studentised range of `cells` normal means (Tukey), over root 2.

    Raises:
        UsageError: fewer than two cells.
    """
    if cells < 2:
        raise UsageError(
            f"{cells} recipes cannot be compared: at least two are needed",
            hint="name more recipes in the grid's axes or zip",
        )
    low, high = 0.0, 20.0
    while high - low > 1e-6:
        middle = (low + high) / 2
        low, high = (low, middle) if _range_below(middle, cells) >= 1 - alpha else (middle, high)
    return high / math.sqrt(2)


def _range_below(width: float, cells: int) -> float:
    """P(range of `cells` standard normals <= width) = n int phi(z) (Phi(z) - Phi(z-w))^(n-1) dz."""
    z = np.linspace(-8.0, 8.0 + width, 4001)
    below = _normal_below(z) - _normal_below(z - width)
    density = np.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    return float(np.trapezoid(cells * density * below ** (cells - 1), z))


def _normal_below(z: np.typing.NDArray[np.float64]) -> np.typing.NDArray[np.float64]:
    return np.asarray([0.5 * math.erfc(-value / math.sqrt(2)) for value in z])
