"""The speed of a machine, measured before its first run: tokens over time, and nothing is kept."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest

from benchmarks.training_ways import make_run
from openthoughts_cli.config.benchmark import BenchmarkConfig
from openthoughts_cli.engine.base import ModelInfo
from openthoughts_cli.evals.benchmark import benchmark
from openthoughts_cli.events import Event, Notice, StageDone
from openthoughts_cli.training.examples import Packed
from openthoughts_cli.training.plan import make_plan
from openthoughts_cli.training.speed import Speed, measure_speed
from tests.doubles.memory_engine import MemoryEngine

MODEL = ModelInfo("tiny/bigram-long", 4096)
ROWS = [Packed(np.arange(length, dtype=np.int32) % 30, 3) for length in (40, 20, 30, 50)]


def measured(model: ModelInfo, *, samples: bool) -> tuple[Speed | None, MemoryEngine, list[Event]]:
    """With a clock on which each look takes half a second."""
    ticks = itertools.count()
    heard: list[Event] = []
    engine = MemoryEngine()

    async def scenario() -> Speed | None:
        run = make_run(model, ROWS, steps=2, batch_size=4)
        async with engine:
            return await measure_speed(
                engine, run, samples=samples, listener=heard.append, now_s=lambda: next(ticks) / 2
            )

    return asyncio.run(scenario()), engine, heard


def test_the_first_batch_is_trained_for_about_three_seconds_and_a_few_answers_drawn() -> None:
    speed, engine, heard = measured(MODEL, samples=True)
    # 20 tokens in half a second: 120 are about three seconds, which are the first three rows
    assert speed == Speed(train_tokens_per_s=180.0, sample_tokens_per_s=8 * 12 / 0.5)
    kinds = [request.kind for request in engine.requests]
    assert kinds == [
        "create_trainer", "forward_backward", "forward_backward", "create_sampler", "sample",
    ]  # fmt: skip
    assert engine.store == {}
    assert isinstance(heard[-1], StageDone)


def test_without_benchmarks_that_sample_no_answer_is_drawn() -> None:
    speed, engine, _ = measured(MODEL, samples=False)
    assert speed == Speed(180.0)
    assert "sample" not in [request.kind for request in engine.requests]


def test_an_engine_that_cannot_is_told_of_and_the_plan_goes_on() -> None:
    speed, _, heard = measured(ModelInfo("tiny/unknown", 64), samples=True)
    assert speed is None
    assert any(isinstance(event, Notice) and "is not served" in event.text for event in heard)


@pytest.mark.parametrize("speed", [None, Speed(100.0, 10.0), Speed(100.0)])
def test_the_plan_says_what_a_measurement_means_for_the_run(speed: Speed | None) -> None:
    evals = {"arithmetic": BenchmarkConfig(limit=3, n=2, max_tokens=8)}
    run = make_run(MODEL, ROWS, steps=5, batch_size=4, evals=evals)
    plan = make_plan(
        dataclasses.replace(run, subset=_Named()),  # type: ignore[arg-type]
        engine_kind="local",
        costs_money=False,
        made={"arithmetic": benchmark("arithmetic").configured(evals["arithmetic"])},
        price=None,
        prices_as_of=None,
        tokens_per_answer={},
        train_tokens_per_s=None,
        seconds_beside_training=0.0,
        speed=speed,
    )
    assert plan.first_on_machine == (speed is not None)
    if speed is None:
        assert (plan.expected_s, plan.most_answers_s) == (None, None)
        return
    assert plan.expected_s is not None
    assert plan.expected_s >= plan.train_tokens / 100 == 7.0
    assert plan.most_answers_s == (None if speed.sample_tokens_per_s is None else 3 * 2 * 8 / 10)


class _Named:
    name = "s"
    digest = "d"
    path = Path("s")
