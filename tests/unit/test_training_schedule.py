"""The learning rate at each step."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openthoughts_cli.training.schedule import (
    Schedule,
    advised_learning_rate,
    learning_rate_at,
)

SCHEDULES: tuple[Schedule, ...] = ("linear", "cosine", "constant")


@given(total=st.integers(1, 200), warmup=st.integers(0, 250), schedule=st.sampled_from(SCHEDULES))
def test_no_step_has_a_rate_of_zero_or_above_the_peak(
    total: int, warmup: int, schedule: Schedule
) -> None:
    rates = [
        learning_rate_at(step, total_steps=total, peak=1e-3, schedule=schedule, warmup_steps=warmup)
        for step in range(1, total + 1)
    ]
    assert all(0 < rate <= 1e-3 for rate in rates)
    rising = rates[: min(warmup, total)]
    falling = rates[len(rising) :]
    assert rising == sorted(rising)
    assert falling == sorted(falling, reverse=True)


def test_linear_with_warmup_by_hand() -> None:
    rates = [
        learning_rate_at(step, total_steps=6, peak=1.0, schedule="linear", warmup_steps=2)
        for step in range(1, 7)
    ]
    assert rates == pytest.approx([0.5, 1.0, 1.0, 0.75, 0.5, 0.25])


def test_cosine_is_half_way_down_in_the_middle() -> None:
    rates = [
        learning_rate_at(step, total_steps=4, peak=1.0, schedule="cosine") for step in range(1, 5)
    ]
    assert rates[0] == 1.0
    assert rates[2] == pytest.approx(0.5)


@pytest.mark.parametrize("step", [0, 5])
def test_steps_outside_the_run_are_refused(step: int) -> None:
    with pytest.raises(ValueError, match="outside"):
        learning_rate_at(step, total_steps=4, peak=1.0, schedule="constant")


def test_the_published_advice_for_a_hidden_size_of_2560_is_about_4_9e_4() -> None:
    assert advised_learning_rate("Qwen/Qwen3-4B", 2560) == pytest.approx(4.9e-4, rel=0.01)
    assert advised_learning_rate("meta-llama/Llama-3.2-1B", 2000) == pytest.approx(5e-4)


def test_nothing_is_published_for_other_families() -> None:
    with pytest.raises(ValueError, match="no learning rate is published"):
        advised_learning_rate("mistralai/Mistral-7B", 4096)
