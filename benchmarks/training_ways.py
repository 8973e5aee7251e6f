"""The parts of `benchmarks/training.py`: a run without a subset, and the loops it is set against."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from openthoughts_cli.config.benchmark import BenchmarkConfig
from openthoughts_cli.config.train import TrainConfig
from openthoughts_cli.engine.base import AdamParams, Engine, LoraSpec, ModelInfo, Trainer
from openthoughts_cli.engine.meter import Meter
from openthoughts_cli.evals.benchmark import Benchmark, benchmark
from openthoughts_cli.evals.measure import measure
from openthoughts_cli.events import Listener, fan_out, silent
from openthoughts_cli.runs.layout import RunDirectory
from openthoughts_cli.runs.log import RunLog
from openthoughts_cli.training.curriculum import Batch
from openthoughts_cli.training.examples import Packed, TrainingRows, collate
from openthoughts_cli.training.prepare import Prepared
from openthoughts_cli.training.stop import StopRequest
from openthoughts_cli.training.work import Work
from tests.doubles.scripted_sampler import CharRenderer

__all__ = ["HELD_OUT", "make_run", "naive", "our_loop", "evaluate_inline", "some_rows"]


@dataclass(frozen=True, slots=True)
class _Row:
    row_id: str
    question_id: str
    question: str = "What is 2 + 2?"
    answer: str = "<think>Two and two.</think>4"
    source: str = "none"
    domain: str = "math"


HELD_OUT = tuple(_Row(f"row-{number}", f"question-{number}") for number in range(32))


def some_rows(count: int, tokens: int, vocab_size: int = 1000) -> list[Packed]:
    """Rows of random tokens, an eighth of each the prompt."""
    random = np.random.default_rng(0)
    return [
        Packed(random.integers(3, vocab_size, tokens).astype(np.int32), max(tokens // 8, 1))
        for _ in range(count)
    ]


def make_run(
    model: ModelInfo,
    rows: Sequence[Packed],
    *,
    steps: int,
    batch_size: int,
    evals: Mapping[str, BenchmarkConfig] | None = None,
    **settings: Any,
) -> Prepared:
    """A run of `steps` batches over the rows, again and again, with what the loop looks at."""
    config = TrainConfig.model_validate(
        {
            "subset": "none",
            "batch_size": batch_size,
            "learning_rate": 1e-3,
            "lr_schedule": "constant",
            "evals": dict(evals or {}),
            **settings,
        }
    )
    numbers = np.arange(steps * batch_size).reshape(steps, batch_size) % len(rows)
    batches = tuple(
        Batch(tuple(map(int, some)), epoch=config.epochs * (index + 1) / steps)
        for index, some in enumerate(numbers)
    )
    kept = tuple(_Row(f"kept-{row}", f"question-{row}") for row in range(len(rows)))
    return Prepared(
        config=config,
        subset=cast(Any, None),
        model=model,
        renderer=cast(Any, CharRenderer()),
        max_tokens=model.context_tokens,
        training=TrainingRows(cast(Any, kept), tuple(rows)),
        held_out=TrainingRows(cast(Any, HELD_OUT), ()),
        batches=batches,
    )


def _benchmarks(run: Prepared) -> dict[str, Benchmark]:
    evals = run.config.evals
    return {n: benchmark(n).configured(plan) for n, plan in evals.items() if n != "nll"}


async def our_loop(
    engine: Engine, run: Prepared, folder: Path, *, listener: Listener = silent
) -> float:
    """Wall time of the project's own loop with its log and its evaluations, in seconds."""
    directory = RunDirectory(folder)
    work = Work(
        directory,
        run,
        _benchmarks(run),
        engine,
        StopRequest(),
        fan_out(RunLog(directory, 1), listener),
        1,
        start=None,
        price=None,
        meter=Meter(None),
    )
    started = time.perf_counter()
    ended = await work.run()
    assert ended == "done"
    assert not work.failures, work.failures
    return time.perf_counter() - started


async def naive(engine: Engine, run: Prepared) -> float:
    """The loop of most tutorials: each request is awaited before the next is made."""
    started = time.perf_counter()
    trainer = await engine.create_trainer(run.model.name, LoraSpec())
    for batch in run.batches:
        rows = [run.training.packed[row] for row in batch.rows]
        await trainer.forward_backward(collate(rows, "token"))
        await trainer.optim_step(AdamParams(1e-3))
    await asyncio.gather(trainer.save_state("last"), trainer.save_sampler("last"))
    return time.perf_counter() - started


async def evaluate_inline(engine: Engine, run: Prepared, folder: Path) -> float:
    """A pipelined loop that stands still while it evaluates."""
    started = time.perf_counter()
    trainer = await engine.create_trainer(run.model.name, LoraSpec())
    queued: deque[Any] = deque()
    made = _benchmarks(run)
    for step, batch in enumerate(run.batches, start=1):
        rows = [run.training.packed[row] for row in batch.rows]
        queued.append(trainer.forward_backward(collate(rows, "token")))
        queued.append(trainer.optim_step(AdamParams(1e-3)))
        due = [
            name
            for name, plan in run.config.evals.items()
            if step == len(run.batches) or (plan.every and step % plan.every == 0)
        ]
        while len(queued) > (0 if due else 2):
            await queued.popleft()
        if due:
            await _evaluate(engine, trainer, run, made, due, folder, step)
    await asyncio.gather(trainer.save_state("last"), trainer.save_sampler("last"))
    return time.perf_counter() - started


async def _evaluate(
    engine: Engine,
    trainer: Trainer,
    run: Prepared,
    made: Mapping[str, Benchmark],
    due: Sequence[str],
    folder: Path,
    step: int,
) -> None:
    path = await trainer.save_sampler(f"step-{step}")
    sampler = await engine.create_sampler(sampler_path=path)
    for name in due:
        await measure(
            made.get(name),
            sampler,
            run.renderer,
            run.config.evals[name],
            held_out=cast(Any, HELD_OUT),
            directory=folder / name / f"step-{step}",
            step=step,
            lineage={},
            listener=silent,
        )
