"""pass@k, maj@k and intervals against definitions, brute force and tables."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openthoughts_cli.errors import UsageError
from openthoughts_cli.evals.estimators import (
    mean_interval,
    pass_at_k,
    ratio_interval,
    same_problems_interval,
    student_t,
    vote_correct,
    vote_rate,
)


@given(
    st.integers(1, 12).flatmap(
        lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n))
    )
)
def test_pass_at_k_is_the_share_of_subsets_that_hold_a_right_answer(case: tuple[int, int, int]):
    n, correct, k = case
    answers = [index < correct for index in range(n)]
    subsets = list(itertools.combinations(answers, k))
    assert pass_at_k(n, correct, k) == pytest.approx(sum(map(any, subsets)) / len(subsets))


def test_pass_at_k_is_stable_for_many_answers():
    exact = 1 - math.comb(9_000, 500) / math.comb(10_000, 500)
    assert pass_at_k(10_000, 1_000, 500) == pytest.approx(exact)
    assert pass_at_k(1_000_000, 3, 1) == pytest.approx(3e-6)


def test_pass_at_n_is_whether_any_is_right():
    assert [pass_at_k(7, c, 7) for c in (0, 1, 7)] == [0.0, 1.0, 1.0]


@pytest.mark.parametrize(("n", "c", "k"), [(7, 0, 8), (7, 0, 0), (7, 8, 1), (7, -1, 1)])
def test_impossible_counts_are_refused(n: int, c: int, k: int):
    with pytest.raises(UsageError) as caught:
        pass_at_k(n, c, k)
    if k > n:
        assert "--n 8" in str(caught.value.hint)


def test_the_vote_takes_the_most_frequent_answer_and_leaves_nulls_out():
    assert vote_correct([("5", False), ("7", True), ("7", True)])
    assert not vote_correct([("5", False), ("5", False), ("7", True)])
    assert vote_correct([(None, False), (None, False), ("7", True)])
    assert not vote_correct([(None, False), (None, False)])


def test_of_equal_votes_the_first_sampled_wins():
    assert vote_correct([("7", True), ("5", False)])
    assert not vote_correct([("5", False), ("7", True)])
    assert not vote_correct([("5", False), ("7", True), ("7", True), ("5", False)])


def test_vote_rate_over_fewer_answers_is_the_exact_expectation():
    votes = [("7", True), ("5", False), ("7", True), (None, False)]
    assert vote_rate(votes, 4) == 1.0
    assert vote_rate(votes, 1) == 0.5
    subsets = list(itertools.combinations(votes, 2))
    assert vote_rate(votes, 2) == sum(map(vote_correct, subsets)) / len(subsets)
    with pytest.raises(UsageError):
        vote_rate(votes, 5)


def test_vote_rate_over_many_answers_is_seeded():
    votes = [(str(index % 3), index % 3 == 0) for index in range(40)]
    assert vote_rate(votes, 20, seed=1) == vote_rate(votes, 20, seed=1)
    assert 0 < vote_rate(votes, 20, seed=1) < 1


# Two-sided 95%, from printed tables of Student's t.
@pytest.mark.parametrize(
    ("degrees", "value"),
    [(1, 12.706), (2, 4.3027), (3, 3.1824), (4, 2.7764), (9, 2.2622), (29, 2.0452), (0, 1.95996)],
)
def test_student_t_matches_the_tables(degrees: int, value: float):
    assert student_t(degrees) == pytest.approx(value, abs=0.004)


@given(st.lists(st.integers(0, 7).map(lambda c: c / 7), min_size=1, max_size=40))
def test_an_interval_holds_the_score_and_stays_within_0_and_1(scores: list[float]):
    interval = mean_interval(scores)
    assert interval is not None
    mean = float(np.mean(scores))
    assert 0 <= interval.low <= mean + 1e-12
    assert mean - 1e-12 <= interval.high <= 1
    assert interval.low < interval.high


def test_no_success_still_has_an_upper_bound_and_all_success_a_lower():
    none, every = mean_interval([0.0] * 30), mean_interval([1.0] * 30)
    assert none is not None
    assert every is not None
    assert none.low == 0.0
    assert 0.09 < none.high < 0.14
    assert (every.low, every.high) == pytest.approx((1 - none.high, 1.0))


def test_alike_problems_give_a_narrower_interval_than_all_or_nothing():
    alike = mean_interval([3 / 7, 4 / 7] * 15)
    split = mean_interval([0.0, 1.0] * 15)
    assert alike is not None
    assert split is not None
    assert alike.high - alike.low < 0.7 * (split.high - split.low)


def test_the_interval_states_what_it_is_of():
    like, same = mean_interval([0.5, 1.0]), same_problems_interval(3, 4)
    assert like is not None
    assert same is not None
    assert like.as_record()["estimand"] == "problems like these"
    assert same.as_record()["estimand"] == "these problems"
    assert same_problems_interval(0, 0) is None
    assert mean_interval([]) is None


def test_the_ratio_interval_varies_by_question():
    interval = ratio_interval([10.0, 30.0, 20.0], [10, 20, 30])
    assert interval is not None
    assert interval.low < 1.0 < interval.high
    assert ratio_interval([10.0], [10]) is None
    exact = ratio_interval([10.0, 20.0], [10, 20])
    assert exact is not None
    assert exact.low == pytest.approx(1.0)
    assert exact.high == pytest.approx(1.0)
