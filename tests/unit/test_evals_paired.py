"""The paired comparison: exactness, symmetry, and its error rates in simulation."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openthoughts_cli.errors import DataError
from openthoughts_cli.evals.paired import paired_difference, paired_intervals, sign_flip_p_value

SCORES = st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), min_size=1, max_size=12)


@given(SCORES)
def test_up_to_16_differences_the_p_value_is_that_of_all_flips(pairs: list[tuple[int, int]]):
    whole = [b - a for a, b in pairs]
    flips = itertools.product((1, -1), repeat=len(whole))
    sums = [abs(sum(s * d for s, d in zip(signs, whole, strict=True))) for signs in flips]
    exact = sum(value >= abs(sum(whole)) for value in sums) / len(sums)
    assert sign_flip_p_value(np.asarray(whole) / 7) == pytest.approx(exact)


@given(SCORES)
def test_swapping_a_and_b_turns_the_sign_and_keeps_the_p_value(pairs: list[tuple[int, int]]):
    a, b = [x / 7 for x, _ in pairs], [y / 7 for _, y in pairs]
    forth, back = paired_difference(a, b), paired_difference(b, a)
    assert forth.difference == pytest.approx(-back.difference)
    assert forth.p_value == pytest.approx(back.p_value)
    if forth.interval is not None and back.interval is not None:
        assert forth.interval.low == pytest.approx(-back.interval.high)


def test_many_differences_are_tested_by_seeded_flips():
    differences = np.linspace(-1, 2, 40)
    first = sign_flip_p_value(differences, seed=3)
    assert first == sign_flip_p_value(differences, seed=3)
    assert 0 < first < 0.01


def test_equal_scores_do_not_differ_but_have_an_interval():
    result = paired_difference([0.5] * 30, [0.5] * 30)
    assert (result.difference, result.p_value, result.problems) == (0.0, 1.0, 30)
    assert result.interval is not None
    assert result.interval.low < 0 < result.interval.high


def test_other_problems_are_refused():
    with pytest.raises(DataError):
        paired_difference([1.0], [1.0, 0.0])
    with pytest.raises(DataError):
        paired_difference([], [])


@pytest.mark.slow
@pytest.mark.parametrize("problems", [30, 50])
@pytest.mark.parametrize("mean", [0.03, 0.3, 0.8])
@pytest.mark.parametrize("spread", [0.5, 2.0, None])
def test_false_alarms_are_at_most_5_percent(problems: int, mean: float, spread: float | None):
    generator = np.random.default_rng(20261124)
    rounds = 600
    shape = (rounds, problems)
    rates = (
        np.full(shape, mean)
        if spread is None
        else generator.beta(mean * spread, (1 - mean) * spread, shape)
    )
    differences = (generator.binomial(7, rates) - generator.binomial(7, rates)) / 7
    alarms = np.mean([sign_flip_p_value(row, draws=1000) <= 0.05 for row in differences])
    assert alarms <= 0.05 + 3 * (0.05 * 0.95 / rounds) ** 0.5


@pytest.mark.slow
def test_the_paired_interval_covers_the_true_difference():
    generator = np.random.default_rng(20261124)
    rounds, worst = 2000, 1.0
    for problems, mean, spread, gain, n in itertools.product(
        (30, 50), (0.03, 0.3, 0.8), (0.5, 2.0), (0.0, 0.03, 0.3), (1, 7)
    ):
        before = generator.beta(mean * spread, (1 - mean) * spread, (rounds, problems))
        gained = (generator.random(before.shape) < gain) * generator.random(before.shape)
        after = before + gained * (1 - before)
        true = gain * 0.5 * (1 - mean)
        differences = (generator.binomial(n, after) - generator.binomial(n, before)) / n
        low, high = paired_intervals(differences)
        worst = min(worst, float(((low <= true) & (true <= high)).mean()))
    assert worst >= 0.92 - 3 * (0.92 * 0.08 / rounds) ** 0.5
