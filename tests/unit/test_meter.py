"""Money is set aside before it can be spent."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openthoughts_cli.engine.base import Datum, LoraSpec, SamplingParams
from openthoughts_cli.engine.meter import Meter, Price, metered
from openthoughts_cli.errors import BudgetError, ModelError
from tests.doubles.memory_engine import MemoryEngine


def test_a_price_counts_each_kind_of_token() -> None:
    price = Price(prefill=1.0, sample=2.0, train=4.0)
    assert price.usd(prefill=1_000_000, sample=500_000, train=250_000) == pytest.approx(3.0)


@given(
    limit=st.floats(0.1, 10),
    costs=st.lists(st.tuples(st.floats(0, 3), st.floats(0, 1)), max_size=20),
)
def test_spending_never_passes_the_limit(limit: float, costs: list[tuple[float, float]]) -> None:
    meter = Meter(limit)
    for upper, share in costs:
        try:
            meter.reserve(upper)
        except BudgetError:
            assert meter.spent_usd + upper > limit
            continue
        meter.settle(upper, upper * share)
    assert meter.spent_usd <= limit
    assert meter.reserved_usd == pytest.approx(0, abs=1e-9)


def test_reservations_in_flight_count_and_the_message_says_so() -> None:
    meter = Meter(1.0)
    meter.reserve(0.8)
    with pytest.raises(BudgetError, match=r"\$0\.80 in flight"):
        meter.reserve(0.3)
    assert meter.reserved_usd == pytest.approx(0.8)
    meter.settle(0.8, 0.1)
    meter.reserve(0.3)


def test_without_a_limit_everything_is_counted_and_nothing_refused() -> None:
    meter = Meter(None)
    meter.reserve(1e6)
    meter.settle(1e6, 5.0)
    assert meter.spent_usd == 5.0


def test_a_failed_request_is_counted_at_its_upper_bound() -> None:
    async def fails() -> int:
        raise RuntimeError("lost")

    async def scenario() -> float:
        meter = Meter(10.0)
        with pytest.raises(RuntimeError, match="lost"):
            await meter.pay(2.0, fails, lambda _: 0.5)
        assert meter.reserved_usd == 0
        return meter.spent_usd

    assert asyncio.run(scenario()) == 2.0


def test_a_request_that_is_refused_at_the_call_costs_and_holds_nothing() -> None:
    meter = Meter(10.0)
    price = Price(prefill=1.0, sample=1.0, train=1.0)

    async def scenario() -> None:
        async with MemoryEngine() as inner:
            engine = metered(inner, price, meter)
            trainer = await engine.create_trainer("tiny/bigram", LoraSpec(rank=4))
            sampler = await engine.create_sampler("tiny/bigram")
            too_long = np.zeros(65, dtype=np.int64)
            datum = Datum(too_long, too_long, np.ones(65, dtype=np.float32))
            for call in (
                lambda: trainer.forward([datum]),
                lambda: trainer.forward_backward([datum]),
                lambda: sampler.sample([1] * 64, SamplingParams(max_tokens=4)),
                lambda: sampler.logprobs([1] * 65),
            ):
                with pytest.raises(ModelError):
                    call()
            assert (meter.spent_usd, meter.reserved_usd) == (0, 0)
            await sampler.logprobs([1, 2, 3])

    asyncio.run(scenario())
    assert meter.spent_usd == pytest.approx(3e-6)
    assert meter.reserved_usd == 0
