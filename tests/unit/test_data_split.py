"""The split by question."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openthoughts_cli.data.split import split_by_question

questions = st.lists(st.integers(0, 30).map(lambda n: f"q{n}"), min_size=1, max_size=120)
fractions = st.floats(0.01, 1.0)
seeds = st.integers(0, 2**32)


@given(questions, fractions, seeds)
def test_every_row_is_on_one_side_and_no_question_on_both(
    ids: list[str], fraction: float, seed: int
) -> None:
    train, held = split_by_question(ids, train_fraction=fraction, seed=seed)
    assert sorted(train + held) == list(range(len(ids)))
    assert not {ids[i] for i in train} & {ids[i] for i in held}
    assert train == sorted(train) and held == sorted(held)


@given(questions, fractions, seeds)
def test_the_fraction_is_met_within_one_questions_rows(
    ids: list[str], fraction: float, seed: int
) -> None:
    train, _ = split_by_question(ids, train_fraction=fraction, seed=seed)
    largest = max(ids.count(question) for question in set(ids))
    assert abs(len(train) - fraction * len(ids)) <= largest


@given(questions, fractions, seeds)
def test_no_side_is_empty_where_it_need_not_be(ids: list[str], fraction: float, seed: int) -> None:
    train, held = split_by_question(ids, train_fraction=fraction, seed=seed)
    assert train
    assert bool(held) == (fraction < 1 and len(set(ids)) >= 2)


@given(questions, fractions, seeds, st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_matter(
    ids: list[str], fraction: float, seed: int, chance: random.Random
) -> None:
    train, _ = split_by_question(ids, train_fraction=fraction, seed=seed)
    mixed = ids[:]
    chance.shuffle(mixed)
    other, _ = split_by_question(mixed, train_fraction=fraction, seed=seed)
    assert {ids[i] for i in train} == {mixed[i] for i in other}


@given(questions, seeds, fractions, fractions)
def test_a_larger_fraction_contains_the_smaller(
    ids: list[str], seed: int, one: float, two: float
) -> None:
    less, more = sorted((one, two))
    small, _ = split_by_question(ids, train_fraction=less, seed=seed)
    large, _ = split_by_question(ids, train_fraction=more, seed=seed)
    assert set(small) <= set(large)


def test_the_seed_decides_which_questions() -> None:
    ids = [f"q{i}" for i in range(40)]
    sides = {tuple(split_by_question(ids, train_fraction=0.5, seed=seed)[0]) for seed in range(5)}
    assert len(sides) == 5


def test_a_split_is_the_same_for_ever() -> None:
    ids = [f"q{i}" for i in range(10)]
    assert split_by_question(ids, train_fraction=0.7, seed=42)[1] == [0, 2, 7]


@pytest.mark.parametrize("fraction", [0, -0.1, 1.01])
def test_an_impossible_fraction_is_refused(fraction: float) -> None:
    with pytest.raises(ValueError, match="not in"):
        split_by_question(["a"], train_fraction=fraction, seed=0)


def test_no_rows_cannot_be_divided() -> None:
    with pytest.raises(ValueError, match="no rows"):
        split_by_question([], train_fraction=0.5, seed=0)
