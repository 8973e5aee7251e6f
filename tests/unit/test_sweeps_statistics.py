"""The ranking's statistics, by seeded simulation: what is claimed of equal recipes, and of better ones."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openthoughts_cli.errors import DataError, UsageError
from openthoughts_cli.sweeps.max_test import MaxTest, max_test, rank_ranges
from openthoughts_cli.sweeps.power import (
    Setting,
    critical_difference,
    detectable_difference,
    problems_needed,
)
from openthoughts_cli.sweeps.seeds import (
    FloatArray,
    difference_interval,
    recipe_interval,
    seed_noise,
)

DRAWS = 499  # of each test; the product takes 10,000


def draw(
    generator: np.random.Generator,
    recipe_means: FloatArray,
    *,
    problems: int,
    seeds: int = 1,
    answers: int = 1,
    between: float = 0.6,
    agreement: float = 0.9,
    seed_sd: float = 0.0,
) -> list[FloatArray]:
    """Scores by the model of `sweeps.power`; (seeds, problems) for each recipe."""
    mean = 0.5
    spread = np.sqrt(between * mean * (1 - mean))
    hard = generator.standard_normal(problems) * np.sqrt(agreement)
    recipes: list[FloatArray] = []
    for shift in recipe_means:
        own = generator.standard_normal(problems) * np.sqrt(1 - agreement)
        runs = generator.standard_normal((seeds, 1)) * seed_sd
        chance = np.clip(mean + spread * (hard + own) + shift + runs, 0, 1)
        recipes.append(generator.binomial(answers, chance) / answers)
    return recipes


def simulated(
    rounds: int, make: Callable[[np.random.Generator], list[FloatArray]]
) -> tuple[float, float]:
    """The shares of sweeps in which any difference, and in which a winner, is claimed."""
    generator = np.random.default_rng(20261124)
    differences = winners = 0
    for number in range(rounds):
        recipes = make(generator)
        test = max_test(recipes, seed_noise(recipes), seed=number, draws=DRAWS)
        ranges = rank_ranges(test, higher_is_better=True)
        differences += any(span != (1, len(recipes)) for span in ranges)
        winners += (1, 1) in ranges
    return differences / rounds, winners / rounds


ROUNDS = 200
# Three standard errors of a share of 0.05 above it.
AT_MOST = 0.05 + 3 * (0.05 * 0.95 / ROUNDS) ** 0.5


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recipes", "problems", "seeds", "answers", "seed_sd"),
    [
        (8, 30, 1, 1, 0.0),
        (8, 60, 1, 7, 0.0),
        (8, 60, 3, 1, 0.03),
        (8, 200, 2, 4, 0.05),
        (2, 200, 2, 4, 0.05),
    ],
)
def test_of_equal_recipes_a_winner_is_claimed_in_at_most_5_percent(
    recipes: int, problems: int, seeds: int, answers: int, seed_sd: float
) -> None:
    any_claim, winner = simulated(
        ROUNDS,
        lambda generator: draw(
            generator,
            np.zeros(recipes),
            problems=problems,
            seeds=seeds,
            answers=answers,
            seed_sd=seed_sd,
        ),
    )
    print(f"\n{problems} problems, {seeds} seeds: any claim {any_claim:.3f}, a winner {winner:.3f}")
    assert winner <= (0.05 if recipes == 8 else AT_MOST)  # of two, any claim is of a winner
    assert any_claim <= AT_MOST


@pytest.mark.slow
def test_a_recipe_that_is_much_better_does_not_hide_that_the_others_are_equal() -> None:
    def make(generator: np.random.Generator) -> list[FloatArray]:
        return draw(generator, np.asarray([0.3, *[0.0] * 7]), problems=60)

    generator = np.random.default_rng(3)
    false_claims = 0
    for number in range(ROUNDS):
        ranges = rank_ranges(
            max_test(make(generator), seed=number, draws=DRAWS), higher_is_better=True
        )
        # Among the seven equal ones nobody may be ranked below another.
        false_claims += any(low > 2 or high < 8 for low, high in ranges[1:])
    assert false_claims / ROUNDS <= AT_MOST


@pytest.mark.slow
@pytest.mark.parametrize(("seeds", "seed_sd"), [(1, 0.0), (5, 0.02)])
def test_a_better_recipe_is_found_about_as_often_as_the_power_model_says(
    seeds: int, seed_sd: float
) -> None:
    setting = Setting(cells=8, seeds=seeds, answers=4, between=0.2, seed_sd=seed_sd)
    problems, rounds = 150, 80
    difference = detectable_difference(setting, problems)
    found = {1: 0, 2: 0}
    winners = {1: 0, 2: 0}
    generator = np.random.default_rng(5)
    for times in found:
        shifts = np.asarray([times * difference, *[0.0] * 7])
        for number in range(rounds):
            recipes = draw(
                generator,
                shifts,
                problems=problems,
                seeds=seeds,
                answers=4,
                between=0.2,
                seed_sd=seed_sd,
            )
            test = max_test(recipes, seed_noise(recipes), seed=number, draws=DRAWS)
            found[times] += bool(test.p_value[1, 0] <= 0.05)
            winners[times] += rank_ranges(test, higher_is_better=True)[0] == (1, 1)
    print(f"\n{seeds} seeds: {difference:.3f} found {found}, won {winners} of {rounds}")
    # The model takes the seeds' noise as known; the test has to estimate it, and finds less.
    assert (0.7 if seeds == 1 else 0.6) <= found[1] / rounds <= 0.92
    assert winners[2] / rounds >= 0.95


@pytest.mark.slow
def test_without_seeds_the_claims_are_about_the_weights_alone() -> None:
    """Training seeds that matter make false winners of recipes: why the board says what it tells."""

    def make(generator: np.random.Generator) -> list[FloatArray]:
        return draw(generator, np.zeros(8), problems=400, answers=4, seed_sd=0.08)

    any_claim, _ = simulated(50, make)
    assert any_claim > 0.5


@pytest.mark.slow
@pytest.mark.parametrize(("seeds", "seed_sd"), [(1, 0.0), (3, 0.03), (5, 0.08)])
def test_the_interval_of_a_recipe_covers_its_mean(seeds: int, seed_sd: float) -> None:
    generator = np.random.default_rng(11)
    covered = compared = rounds = 0
    for _ in range(400):
        recipes = draw(generator, np.zeros(4), problems=50, seeds=seeds, answers=4, seed_sd=seed_sd)
        noise = seed_noise(recipes)
        interval = recipe_interval(recipes[0], noise)
        paired = difference_interval(
            recipes[1].mean(axis=0) - recipes[0].mean(axis=0), noise, 2 / seeds, bounded=True
        )
        assert interval is not None
        assert paired is not None
        covered += interval.low <= 0.5 <= interval.high
        compared += paired.low <= 0 <= paired.high
        rounds += 1
    assert covered / rounds >= 0.92
    assert compared / rounds >= 0.92


@given(
    seeds=st.integers(1, 4),
    problems=st.integers(2, 20),
    rate=st.floats(0, 1),
    number=st.integers(0, 1000),
)
@settings(max_examples=80)
def test_an_interval_holds_its_mean_and_widens_with_the_noise_of_seeds(
    seeds: int, problems: int, rate: float, number: int
) -> None:
    generator = np.random.default_rng(number)
    scores = (generator.random((seeds, problems)) < rate).astype(np.float64)
    alone = recipe_interval(scores, None)
    noise = seed_noise([scores, np.asarray([[0.0] * problems, [1.0] * problems])])
    with_seeds = recipe_interval(scores, noise)
    assert alone is not None
    assert with_seeds is not None
    mean = scores.mean()
    for interval in (alone, with_seeds):
        assert 0 <= interval.low <= mean + 1e-12
        assert mean - 1e-12 <= interval.high <= 1
    assert with_seeds.low <= alone.low + 1e-9
    assert with_seeds.high >= alone.high - 1e-9


@given(count=st.integers(2, 6), problems=st.integers(1, 12), number=st.integers(0, 1000))
@settings(max_examples=60)
def test_adjusted_p_values_are_symmetric_and_no_smaller_than_a_single_tests(
    count: int, problems: int, number: int
) -> None:
    generator = np.random.default_rng(number)
    recipes = [generator.random((1, problems)) for _ in range(count)]
    test = max_test(recipes, draws=200)
    assert np.allclose(test.p_value, test.p_value.T)
    assert np.allclose(test.difference, -test.difference.T)
    assert ((test.p_value > 0) & (test.p_value <= 1)).all()
    assert (np.diag(test.p_value) == 1).all()
    pair = max_test(recipes[:2], draws=200)
    assert test.p_value[0, 1] >= pair.p_value[0, 1] - 0.1


def test_recipes_that_answered_alike_are_ties() -> None:
    same = np.asarray([[1.0, 0.0, 1.0]])
    test = max_test([same, same, same])
    assert (test.p_value == 1).all()
    assert rank_ranges(test, higher_is_better=True) == [(1, 3)] * 3


def test_ranks_follow_what_is_sure() -> None:
    p_value = np.asarray([[1.0, 0.5, 0.01], [0.5, 1.0, 0.01], [0.01, 0.01, 1.0]])
    difference = np.asarray([[0.0, 0.1, 0.5], [-0.1, 0.0, 0.4], [-0.5, -0.4, 0.0]])
    test = MaxTest(difference, p_value, 100)
    assert rank_ranges(test, higher_is_better=True) == [(2, 3), (2, 3), (1, 1)]
    assert rank_ranges(test, higher_is_better=False) == [(1, 2), (1, 2), (3, 3)]


def test_many_problems_take_little_memory() -> None:
    generator = np.random.default_rng(5)
    recipes = draw(generator, np.asarray([0.0, 0.3]), problems=20_000)
    tracemalloc.start()
    try:
        p_value = max_test(recipes, draws=1_000).p_value[0, 1]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert p_value == pytest.approx(1 / 1_001)
    assert peak < 200e6


def test_recipes_of_other_problems_are_refused() -> None:
    with pytest.raises(DataError, match="same problems"):
        max_test([np.zeros((1, 3)), np.zeros((1, 4))])
    with pytest.raises(DataError, match="same problems"):
        max_test([])


def test_one_recipe_has_nobody_to_differ_from() -> None:
    test = max_test([np.zeros((2, 3))])
    assert rank_ranges(test, higher_is_better=True) == [(1, 1)]


def test_the_noise_of_seeds_is_pooled() -> None:
    two = np.asarray([[0.0, 0.0], [1.0, 1.0]])
    assert seed_noise([np.zeros((1, 2))]) is None
    noise = seed_noise([two, np.zeros((1, 2)), two])
    assert noise is not None
    assert (noise.variance, noise.degrees, noise.by_chance) == (0.5, 2, 0.0)


@pytest.mark.parametrize(
    ("cells", "range_quantile"), [(2, 2.772), (3, 3.314), (4, 3.633), (8, 4.286), (10, 4.474)]
)
def test_the_critical_difference_is_tukeys(cells: int, range_quantile: float) -> None:
    # Upper 5% points of the studentised range, infinite degrees of freedom: Pearson & Hartley's
    # tables.
    assert critical_difference(cells) * 2**0.5 == pytest.approx(range_quantile, abs=2e-3)


def test_problems_needed_is_the_inverse_of_the_detectable_difference() -> None:
    setting = Setting(cells=5, seeds=3, answers=4, seed_sd=0.01)
    for difference in (0.05, 0.1, 0.2):
        problems = problems_needed(setting, difference)
        assert problems is not None
        assert detectable_difference(setting, problems) <= difference
        if problems > 2:
            assert detectable_difference(setting, problems - 1) > difference


def test_no_number_of_problems_outweighs_the_seeds() -> None:
    assert problems_needed(Setting(seeds=1, seed_sd=0.03), 0.05) is None
    assert problems_needed(Setting(seeds=20, seed_sd=0.03), 0.05) is not None


def test_impossible_questions_of_power_are_refused() -> None:
    with pytest.raises(UsageError, match="at least two"):
        critical_difference(1)
    with pytest.raises(UsageError, match="above 0"):
        problems_needed(Setting(), 0.0)
    with pytest.raises(UsageError, match="at least one"):
        detectable_difference(Setting(), 0)


def test_with_very_many_recipes_the_test_is_single_step_and_still_finds_the_best() -> None:
    generator = np.random.default_rng(2)
    recipes = draw(generator, np.asarray([0.5, *[0.0] * 119]), problems=250, agreement=1.0)
    test = max_test(recipes, draws=400)
    ranges = rank_ranges(test, higher_is_better=True)
    assert ranges[0] == (1, 1)
    assert {low for low, _ in ranges[1:]} == {2}
