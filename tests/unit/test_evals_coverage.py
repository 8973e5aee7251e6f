"""The seeded simulation by which the interval of a score was chosen.

For 30 and 50 problems, 7 answers each, and five true means, problems differ as Beta(mean s,
(1 - mean) s) for several s, up to both ends: all alike, and all or nothing. Print the table with
`pytest tests/unit/test_evals_coverage.py -s`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from openthoughts_cli.evals.estimators import mean_intervals

Array = npt.NDArray[np.float64]

MEANS = (0.03, 0.1, 0.3, 0.5, 0.8)
SPREADS = ("all or nothing", 0.2, 0.5, 1.0, 2.0, 5.0, 20.0, "alike")
ANSWERS = 7
ROUNDS = 3000
ERROR = 3 * (0.92 * 0.08 / ROUNDS) ** 0.5


def draw(generator: np.random.Generator, problems: int, mean: float, spread: float | str) -> Array:
    shape = (ROUNDS, problems)
    if spread == "all or nothing":
        rates = (generator.random(shape) < mean).astype(np.float64)
    elif isinstance(spread, str):
        rates = np.full(shape, mean)
    else:
        rates = generator.beta(mean * spread, (1 - mean) * spread, shape)
    return generator.binomial(ANSWERS, rates) / ANSWERS


@pytest.mark.slow
@pytest.mark.parametrize("problems", [30, 50])
def test_the_interval_covers_at_least_92_percent_everywhere(problems: int):
    generator = np.random.default_rng(20261124)
    print(f"\n{problems} problems x {ANSWERS} answers: coverage (mean width) by spread", *SPREADS)
    for mean in MEANS:
        cells: list[str] = []
        for spread in SPREADS:
            low, high = mean_intervals(draw(generator, problems, mean, spread))
            coverage = float(((low <= mean) & (mean <= high)).mean())
            cells.append(f"{coverage:.3f} ({(high - low).mean():.2f})")
            assert coverage >= 0.92 - ERROR, (problems, mean, spread, coverage)
        print(f"mean {mean:<5}", "  ".join(cells))


@pytest.mark.slow
def test_the_intervals_narrow_when_problems_are_alike():
    generator = np.random.default_rng(7)
    low, high = mean_intervals(draw(generator, 30, 0.3, "alike"))
    split_low, split_high = mean_intervals(draw(generator, 30, 0.3, "all or nothing"))
    assert (high - low).mean() < 0.55 * (split_high - split_low).mean()


@pytest.mark.slow
def test_a_percentile_bootstrap_would_fail_at_a_mean_of_0_03():
    """The reason for the method above, kept true."""
    generator = np.random.default_rng(20261124)
    scores = draw(generator, 30, 0.03, 1.0)[:400]
    picks = generator.integers(0, 30, size=(400, 30))
    covered = 0
    for row in scores:
        low, high = np.quantile(row[picks].mean(axis=1), [0.025, 0.975])
        covered += bool(low <= 0.03 <= high)
    assert covered / 400 < 0.85
