"""The in-memory double is itself right: exact gradients, AdamW's step, clock cycles, kept states."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from openthoughts_cli.engine.base import AdamParams, Datum, LoraSpec, OptimResult, SamplingParams
from tests.doubles.clocks import VirtualClock
from tests.doubles.directory_store import DirectoryStore
from tests.doubles.memory_engine import MemoryEngine
from tests.doubles.memory_model import Adapter, BaseModel, draw


def _datum() -> Datum:
    tokens = np.array([1, 5, 5, 2, 9, 1, 5], dtype=np.int64)
    return Datum(tokens[:-1], tokens[1:], np.array([0, 1, 0.5, 2, 1, 1], dtype=np.float32))


def _loss(base: BaseModel, adapter: Adapter) -> float:
    datum = _datum()
    logprobs, _ = base.log_probabilities(datum.input_tokens, adapter)
    picked = logprobs[np.arange(6), base.bucket_of(datum.target_tokens)]
    return float(-(picked * datum.weights).sum())


def _trained() -> tuple[BaseModel, Adapter]:
    base = BaseModel("m", 40, max_buckets=12)
    adapter = Adapter.fresh(base, LoraSpec(rank=2, seed=3))
    adapter.b = np.random.default_rng(0).normal(size=adapter.b.shape)
    return base, adapter


@pytest.mark.parametrize("name", ["a", "b"])
def test_gradients_are_exact(name: str) -> None:
    base, adapter = _trained()
    adapter.add_gradient(base, _datum())
    weights, gradient = getattr(adapter, name), getattr(adapter, f"grad_{name}")
    numeric = np.zeros_like(weights)
    for place in np.ndindex(weights.shape):
        around: list[float] = []
        for change in (1e-6, -1e-6):
            weights[place] += change
            around.append(_loss(base, adapter))
            weights[place] -= change
        numeric[place] = (around[0] - around[1]) / 2e-6
    assert np.abs(gradient).max() > 0.1
    np.testing.assert_allclose(gradient, numeric, atol=1e-6)


def test_the_first_step_is_adamw_s() -> None:
    base, adapter = _trained()
    before = adapter.b.copy()
    adapter.add_gradient(base, _datum())
    gradient = adapter.grad_b.copy()
    adapter.step(AdamParams(0.1, eps=1e-8, weight_decay=0.5))
    expected = before * (1 - 0.1 * 0.5) - 0.1 * gradient / (np.abs(gradient) + 1e-8)
    np.testing.assert_allclose(adapter.b, expected, rtol=1e-9)
    assert not adapter.grad_b.any()


def test_a_folded_vocabulary_is_a_proper_distribution() -> None:
    base, adapter = _trained()
    logprobs = base.token_logprobs(5, adapter)
    scored = base.score(np.full(40, 5), np.arange(40), adapter)
    assert np.exp(scored.astype(np.float64)).sum() == pytest.approx(1.0)
    np.testing.assert_allclose(scored, logprobs[np.arange(40) % 12], rtol=1e-6)


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        (SamplingParams(1), [0.5, 0.3, 0.15, 0.05]),
        (SamplingParams(1, top_k=2), [0.625, 0.375, 0, 0]),
        (SamplingParams(1, top_p=0.6), [0.625, 0.375, 0, 0]),
        (SamplingParams(1, top_k=3, top_p=0.5), [1, 0, 0, 0]),
        (SamplingParams(1, temperature=0.5), [0.685, 0.247, 0.062, 0.007]),
    ],
)
def test_draws_follow_the_distribution(params: SamplingParams, expected: list[float]) -> None:
    base = BaseModel("m", 4)
    rng = np.random.default_rng(0)
    logprobs = np.log(np.array([0.5, 0.3, 0.15, 0.05]))
    drawn = [draw(base, logprobs, params, rng) for _ in range(4000)]
    assert [drawn.count(token) / 4000 for token in range(4)] == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize(
    ("params", "tokens"),
    [
        (SamplingParams(1), {0, 2, 4, 1, 3}),
        (SamplingParams(1, top_k=4), {0, 2, 4, 1}),
        (SamplingParams(1, top_p=0.5), {0, 2}),
        (SamplingParams(1, top_p=0.85), {0, 2, 4, 1}),
    ],
)
def test_draws_cut_inside_a_bucket(params: SamplingParams, tokens: set[int]) -> None:
    base = BaseModel("m", 5, max_buckets=2)  # bucket 0: 0, 2, 4 at 0.25 each; bucket 1: 1, 3
    rng = np.random.default_rng(0)
    logprobs = np.log(np.array([0.25, 0.125]))
    assert {draw(base, logprobs, params, rng) for _ in range(500)} == tokens


def test_a_pipelined_loop_takes_one_cycle_a_step() -> None:
    async def seconds(*, pipelined: bool) -> float:
        clock = VirtualClock()
        async with MemoryEngine(cycle_s=10.0, clock=clock) as engine:
            trainer = await engine.create_trainer("tiny/bigram", LoraSpec(rank=2))
            pending: list[asyncio.Future[OptimResult]] = []
            for _ in range(4):
                loss = trainer.forward_backward([_datum()])
                if not pipelined:
                    await loss
                step = trainer.optim_step(AdamParams(0.1))
                if not pipelined:
                    await step
                pending.append(asyncio.ensure_future(step))
            await asyncio.gather(*pending)
            return clock.now()

    assert asyncio.run(seconds(pipelined=True)) == 40.0
    assert asyncio.run(seconds(pipelined=False)) == 80.0


def test_samples_wait_side_by_side() -> None:
    async def scenario() -> float:
        clock = VirtualClock()
        async with MemoryEngine(latency_s=3.0, clock=clock) as engine:
            sampler = await engine.create_sampler("tiny/bigram")
            start = clock.now()
            await asyncio.gather(*[sampler.sample([1], SamplingParams(2)) for _ in range(20)])
            return clock.now() - start

    assert asyncio.run(scenario()) == 3.0


def test_states_in_a_directory_outlive_the_engine(tmp_path: Path) -> None:
    async def save() -> str:
        async with MemoryEngine(store=DirectoryStore(tmp_path)) as engine:
            trainer = await engine.create_trainer("tiny/bigram", LoraSpec(rank=2))
            return await trainer.save_state("kept")

    first, second = asyncio.run(save()), asyncio.run(save())
    assert first != second
    assert set(DirectoryStore(tmp_path)) == {first, second}


def test_requests_are_recorded_in_order() -> None:
    async def scenario() -> list[str]:
        async with MemoryEngine() as engine:
            trainer = await engine.create_trainer("tiny/bigram", LoraSpec(rank=2))
            trainer.forward_backward([_datum()])
            await trainer.optim_step(AdamParams(0.1))
            return [request.kind for request in engine.requests]

    assert asyncio.run(scenario()) == ["create_trainer", "forward_backward", "optim_step"]
