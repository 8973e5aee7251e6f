"""Evaluations alongside training: which are due when, and running the owed ones.

An evaluation belongs to saved weights. At its step a named sampler checkpoint is stored and
recorded; the evaluation runs behind it, while training goes on. One that a crash cut short is still
owed to the same weights.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openthoughts_cli.config.benchmark import NLL, BenchmarkConfig
from openthoughts_cli.engine.base import Engine, Sampler
from openthoughts_cli.errors import BudgetError, OtError
from openthoughts_cli.evals.benchmark import Benchmark
from openthoughts_cli.evals.measure import lineage_of, measure
from openthoughts_cli.events import EvalDone, Listener, Notice
from openthoughts_cli.runs.layout import RunDirectory
from openthoughts_cli.runs.log import eval_metrics
from openthoughts_cli.store import as_storage_errors, read_object

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
    """Runs evaluations in the background, one sampler for each set of weights.

    `failures` names what failed; `out_of_money` is set when the limit stopped one.
    """

    def __init__(
        self,
        engine: Engine,
        renderer: Renderer,
        run: RunDirectory,
        evals: Mapping[str, BenchmarkConfig],
        made: Mapping[str, Benchmark],
        held_out: Sequence[Row],
        *,
        model: str,
        listener: Listener,
    ) -> None:
        self._engine = engine
        self._renderer = renderer
        self._run = run
        self._evals = evals
        self._made = made
        self._held_out = held_out
        self._model = model
        self._listener = listener
        self._tasks: list[asyncio.Task[None]] = []
        self.failures: list[str] = []
        self.out_of_money: BudgetError | None = None

    def start(self, step: int, names: Sequence[str], *, sampler_path: str | None) -> None:
        """Begin the named evaluations of the weights after `step` that are not done yet.

        Without a `sampler_path` the base model is measured.
        """
        owed = [name for name in names if self._is_owed(step, name, sampler_path)]
        if owed:
            self._tasks.append(asyncio.create_task(self._measure(step, owed, sampler_path)))

    def is_done(self, step: int, name: str) -> bool:
        """Whether the benchmark's scores of the weights after `step` are there."""
        return self._run.is_scored(self._kind(name), step)

    def tell_recorded(self) -> None:
        """Put scores into the log that a crash kept out of it: they are written just before."""
        logged = {
            (name, step) for name, scores in eval_metrics(self._run).items() for step, _ in scores
        }
        for path in sorted(self._run.path.glob("evals/*/step-*/scores.json")):
            record = _object_or_empty(path)
            name, step = record.get("benchmark"), record.get("step")
            metrics = record.get("metrics")
            if not (isinstance(name, str) and isinstance(step, int) and isinstance(metrics, dict)):
                continue
            if (name, step) not in logged:
                self._listener(EvalDone(name, step, metrics, record))

    def _is_owed(self, step: int, name: str, sampler_path: str | None) -> bool:
        if self.is_done(step, name):
            return False
        self._set_aside_other_weights(self._directory(step, name), sampler_path)
        return True

    def _set_aside_other_weights(self, directory: Path, sampler_path: str | None) -> None:
        """Begin anew where an unfinished evaluation is of weights that can no longer be opened.

        Its answers are kept under a hidden name; they count for nothing.
        """
        lineage = _object_or_empty(directory / "config.json").get("identity", {}).get("lineage")
        if not isinstance(lineage, dict) or lineage.get("sampler_path") == sampler_path:
            return
        number = len(list(directory.parent.glob(f".{directory.name}.other-*"))) + 1
        with as_storage_errors(directory):
            directory.replace(directory.parent / f".{directory.name}.other-{number}")

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

    def _directory(self, step: int, name: str) -> Path:
        return self._run.eval_dir(self._kind(name), step)

    def _kind(self, name: str) -> str:
        kind = self._made.get(name)
        return NLL if kind is None else kind.name

    async def _measure(self, step: int, names: Sequence[str], sampler_path: str | None) -> None:
        try:
            sampler = await self._engine.create_sampler(
                None if sampler_path else self._model, sampler_path=sampler_path
            )
        except OtError as error:
            self._fail(step, ", ".join(names), error)
            return
        await asyncio.gather(
            *(self._measure_one(step, name, sampler, sampler_path) for name in names)
        )

    async def _measure_one(
        self, step: int, name: str, sampler: Sampler, sampler_path: str | None
    ) -> None:
        try:
            await measure(
                self._made.get(name),
                sampler,
                self._renderer,
                self._evals[name],
                held_out=self._held_out,
                directory=self._directory(step, name),
                step=step,
                lineage=lineage_of(
                    run=self._run.run_id,
                    model=self._model,
                    engine=self._engine.kind,
                    step=step,
                    sampler_path=sampler_path,
                ),
                listener=self._listener,
            )
        except BudgetError as error:
            self.out_of_money = error
        except OtError as error:
            self._fail(step, name, error)

    def _fail(self, step: int, what: str, error: OtError) -> None:
        """A failing benchmark is told and recorded; it does not end the run."""
        self.failures.append(f"{what} after step {step}: {error.message}")
        self._listener(Notice(f"{what} after step {step} failed: {error.message}", "warning"))


def _object_or_empty(path: Path) -> dict[str, Any]:
    """What was cut off while it was written, or is not there, is owed and no obstacle."""
    try:
        return read_object(path) or {}
    except OtError:
        return {}
