"""Every row of every epoch once, in the order that the mode promises."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openthoughts_cli.errors import ConfigError
from openthoughts_cli.training.curriculum import CurriculumMode, batches, order_rows

MODES: tuple[CurriculumMode, ...] = ("none", "easy_to_hard", "first_epoch_only", "grouped_shuffle")

sizes = st.integers(1, 40)
keys_lists = st.lists(st.integers(0, 4), min_size=1, max_size=40)


def ids_of(count: int) -> list[str]:
    return [f"row-{index}" for index in range(count)]


@given(
    keys=keys_lists,
    epochs=st.integers(1, 4),
    batch_size=st.integers(1, 12),
    mode=st.sampled_from(MODES),
    seed=st.integers(0, 5),
)
def test_every_row_of_every_epoch_is_trained_exactly_once(
    keys: list[int], epochs: int, batch_size: int, mode: CurriculumMode, seed: int
) -> None:
    order = order_rows(ids_of(len(keys)), keys, epochs=epochs, mode=mode, seed=seed)
    cut = batches(order, batch_size, epochs=epochs)
    counts = Counter(row for batch in cut for row in batch.rows)
    assert counts == dict.fromkeys(range(len(keys)), epochs)
    assert all(1 <= len(batch.rows) <= batch_size for batch in cut)
    assert cut[-1].epoch == pytest.approx(epochs)


@given(keys=keys_lists, epochs=st.integers(1, 4), seed=st.integers(0, 5))
def test_easy_to_hard_ascends_in_every_epoch(keys: list[int], epochs: int, seed: int) -> None:
    for epoch in order_rows(ids_of(len(keys)), keys, epochs=epochs, mode="easy_to_hard", seed=seed):
        assert [keys[row] for row in epoch] == sorted(keys)


@given(keys=keys_lists, seed=st.integers(0, 5))
def test_first_epoch_only_shuffles_the_later_epochs_as_none_does(
    keys: list[int], seed: int
) -> None:
    ids = ids_of(len(keys))
    ordered = order_rows(ids, keys, epochs=3, mode="first_epoch_only", seed=seed)
    shuffled = order_rows(ids, keys, epochs=3, mode="none", seed=seed)
    assert [keys[row] for row in ordered[0]] == sorted(keys)
    assert ordered[1:] == shuffled[1:]


@given(keys=keys_lists, epochs=st.integers(1, 4), seed=st.integers(0, 5))
def test_grouped_shuffle_pools_the_epochs_and_ascends(
    keys: list[int], epochs: int, seed: int
) -> None:
    (pool,) = order_rows(ids_of(len(keys)), keys, epochs=epochs, mode="grouped_shuffle", seed=seed)
    assert [keys[row] for row in pool] == sorted(keys * epochs)


@given(count=sizes, seed=st.integers(0, 5), mode=st.sampled_from(MODES), data=st.data())
def test_the_order_follows_from_the_ids_not_from_the_place_in_the_file(
    count: int, seed: int, mode: CurriculumMode, data: st.DataObject
) -> None:
    ids = ids_of(count)
    keys = [index % 3 for index in range(count)]
    moved = data.draw(st.permutations(range(count)))
    here = order_rows(ids, keys, epochs=2, mode=mode, seed=seed)
    there = order_rows(
        [ids[i] for i in moved], [keys[i] for i in moved], epochs=2, mode=mode, seed=seed
    )
    assert [[ids[row] for row in part] for part in here] == [
        [ids[moved[row]] for row in part] for part in there
    ]


def test_epochs_and_seeds_shuffle_differently() -> None:
    ids = ids_of(50)
    keys = [None] * 50
    first, second = order_rows(ids, keys, epochs=2, mode="none", seed=0)
    (other,) = order_rows(ids, keys, epochs=1, mode="none", seed=1)
    assert first != second
    assert first != other
    assert first != list(range(50))


def test_rows_without_the_key_are_counted_and_refused_with_the_alternatives() -> None:
    with pytest.raises(ConfigError, match="2 of 3 training rows have none") as caught:
        order_rows(ids_of(3), [7, None, None], epochs=1, mode="easy_to_hard")
    assert "curriculum_missing" in str(caught.value.hint)


@pytest.mark.parametrize(("missing", "expected"), [("first", [1, 2, 0]), ("last", [2, 0, 1])])
def test_rows_without_the_key_go_where_they_are_sent(missing: str, expected: list[int]) -> None:
    (order,) = order_rows(
        ids_of(3),
        [9, None, 8],
        epochs=1,
        mode="easy_to_hard",
        missing=missing,  # pyright: ignore[reportArgumentType]
    )
    assert order == expected


def test_rows_without_the_key_can_be_dropped_but_not_all_of_them() -> None:
    (order,) = order_rows(ids_of(3), [9, None, 8], epochs=1, mode="easy_to_hard", missing="drop")
    assert order == [2, 0]
    with pytest.raises(ConfigError, match="leaves no rows"):
        order_rows(ids_of(2), [None, None], epochs=1, mode="easy_to_hard", missing="drop")


def test_a_split_smaller_than_a_batch_is_one_step_an_epoch() -> None:
    order = order_rows(ids_of(3), [None] * 3, epochs=2, mode="none")
    cut = batches(order, 32, epochs=2)
    assert [len(batch.rows) for batch in cut] == [3, 3]
    assert [batch.epoch for batch in cut] == [1.0, 2.0]
