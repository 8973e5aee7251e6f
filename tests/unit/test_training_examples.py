"""From rows to weighted, shifted batches."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openthoughts_cli.training.examples import LossNormalization, Packed, collate

rows = st.builds(
    lambda prompt, target: Packed(np.arange(prompt + target, dtype=np.int32), prompt_length=prompt),
    prompt=st.integers(1, 8),
    target=st.integers(1, 8),
)


def test_a_row_is_shifted_by_one_and_only_its_target_carries_loss() -> None:
    datum = Packed(np.array([5, 6, 7, 8], dtype=np.int32), prompt_length=2).datum(0.5)
    assert datum.input_tokens.tolist() == [5, 6, 7]
    assert datum.target_tokens.tolist() == [6, 7, 8]
    assert datum.weights.tolist() == [0.0, 0.5, 0.5]
    assert (datum.input_tokens.dtype, datum.weights.dtype) == (np.int64, np.float32)


def test_without_a_prompt_the_first_token_cannot_carry_loss() -> None:
    row = Packed(np.array([5, 6, 7], dtype=np.int32), prompt_length=0)
    assert row.num_loss_tokens == 2
    assert row.datum(1.0).weights.tolist() == [1.0, 1.0]


@given(batch=st.lists(rows, min_size=1, max_size=6))
def test_token_weights_sum_to_one_over_the_batch(batch: list[Packed]) -> None:
    total = sum(float(datum.weights.sum()) for datum in collate(batch, "token"))
    assert total == pytest.approx(1.0, rel=1e-5)


@given(batch=st.lists(rows, min_size=1, max_size=6))
def test_each_sequence_weighs_the_same(batch: list[Packed]) -> None:
    for datum in collate(batch, "sequence"):
        assert float(datum.weights.sum()) == pytest.approx(1 / len(batch), rel=1e-5)


@given(
    batch=st.lists(rows, min_size=1, max_size=6),
    normalization=st.sampled_from(("token", "sequence", "sum")),
)
def test_the_loss_tokens_are_the_targets(
    batch: list[Packed], normalization: LossNormalization
) -> None:
    for row, datum in zip(batch, collate(batch, normalization), strict=True):
        assert int((datum.weights > 0).sum()) == row.num_loss_tokens
        assert len(row.tokens) - row.prompt_length == row.num_loss_tokens
