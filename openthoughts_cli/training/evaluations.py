"""Evaluations alongside training: which are due when, and running the owed ones.

An evaluation belongs to saved weights. At its step a named sampler checkpoint is stored and
recorded; the evaluation runs behind it, while training goes on. One that a crash cut short is still
owed to the same weights.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from openthoughts_cli.config.benchmark import NLL, BenchmarkConfig
from openthoughts_cli.engine.base import Engine
from openthoughts_cli.errors import BudgetError, OtError
from openthoughts_cli.evals.benchmark import benchmark
from openthoughts_cli.evals.nll import evaluate_nll, forward_of_sampler
from openthoughts_cli.evals.run import evaluate
from openthoughts_cli.events import Listener, Notice
from openthoughts_cli.runs.layout import RunDirectory

if TYPE_CHECKING:
    from openthoughts_cli.chat.renderer import Renderer
    from openthoughts_cli.data.rows import Row

__all__ = ["EvalSchedule", "Evaluations"]


class EvalSchedule:
    """Which benchmarks are due after which step; step 0 is the untrained model."""

    def __init__(self, evals: Mapping[str, BenchmarkConfig], total_steps: int) -> None:
        self._evals = evals
        self._total_steps = total_steps

    def due(self, step: int) -> tuple[str, ...]:
        """The benchmarks that measure the weights after `step` steps."""
        return tuple(name for name, plan in self._evals.items() if self._is_due(plan, step))

    def all_due(self) -> Iterator[tuple[int, str]]:
        """Every (step, benchmark) of the run, ascending."""
        for step in range(self._total_steps + 1):
            for name in self.due(step):
                yield step, name

    def _is_due(self, plan: BenchmarkConfig, step: int) -> bool:
        if step == 0:
            return plan.at_start
        if step == self._total_steps:
            return plan.at_end or self._every(plan, step)
        return self._every(plan, step)

    @staticmethod
    def _every(plan: BenchmarkConfig, step: int) -> bool:
        return plan.every is not None and step % plan.every == 0


class Evaluations:
    """Runs evaluations in the background, one sampler for each set of weights."""

    def __init__(
        self,
        engine: Engine,
        renderer: Renderer,
        run: RunDirectory,
        evals: Mapping[str, BenchmarkConfig],
        held_out: Sequence[Row],
        *,
        lineage: Mapping[str, Any],
        listener: Listener,
    ) -> None:
        self._engine = engine
        self._renderer = renderer
        self._run = run
        self._evals = evals
        self._held_out = held_out
        self._lineage = lineage
        self._listener = listener
        self._tasks: list[asyncio.Task[None]] = []
        self.failures: list[str] = []
        self.out_of_money: BudgetError | None = None

    def start(
        self, step: int, names: Sequence[str], *, model: str | None, sampler_path: str | None
    ) -> None:
        """Begin the named evaluations of the weights after `step` that are not done yet."""
        owed = [name for name in names if not self.is_done(step, name)]
        if owed:
            self._tasks.append(asyncio.create_task(self._measure(step, owed, model, sampler_path)))

    def is_done(self, step: int, name: str) -> bool:
        """Whether the scores are on disk."""
        return (self._run.eval_dir(name, step) / "scores.json").is_file()

    async def finish(self) -> None:
        """Wait for all that was started."""
        while self._tasks:
            await self._tasks.pop(0)

    async def abandon(self) -> None:
        """Stop what is going on; it stays owed, and what is recorded is not asked again."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    async def _measure(
        self, step: int, names: Sequence[str], model: str | None, sampler_path: str | None
    ) -> None:
        for name in names:
            try:
                await self._measure_one(step, name, model, sampler_path)
            except BudgetError as error:
                self.out_of_money = error
                return
            except OtError as error:
                self.failures.append(f"{name} after step {step}: {error.message}")
                self._listener(
                    Notice(f"{name} after step {step} failed: {error.message}", "warning")
                )

    async def _measure_one(
        self, step: int, name: str, model: str | None, sampler_path: str | None
    ) -> None:
        sampler = await self._engine.create_sampler(
            None if sampler_path else model, sampler_path=sampler_path
        )
        settings = self._evals[name]
        directory = self._run.eval_dir(name, step)
        lineage = {**self._lineage, "step": step, "sampler_path": sampler_path}
        if name == NLL:
            await evaluate_nll(
                forward_of_sampler(sampler),
                self._renderer,
                self._held_out,
                settings,
                directory=directory,
                step=step,
                lineage=lineage,
                listener=self._listener,
            )
        else:
            await evaluate(
                benchmark(name),
                sampler,
                self._renderer,
                settings,
                directory=directory,
                step=step,
                lineage=lineage,
                listener=self._listener,
            )
