"""A sweep that has run: real files, made-up scores."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from openthoughts_cli.digests import digest_value
from openthoughts_cli.evals.records import EvalDirectory
from openthoughts_cli.events import EvalDone, RunFinished, RunStarted, StepDone
from openthoughts_cli.runs.layout import RunDirectory
from openthoughts_cli.runs.log import RunLog
from openthoughts_cli.store import append_line
from openthoughts_cli.sweeps.layout import CellEntry, SweepDirectory

__all__ = ["FinishedSweep"]


class FinishedSweep:
    """Writes a sweep under `root`/sweeps and its runs under `root`/runs ($OT_RUNS must say so).

    Args:
        axes: dotted keys and their values; all combinations are recipes.
        shift: what a recipe adds to the chance of a right answer, by the value of an axis.
    """

    def __init__(
        self,
        root: Path,
        axes: Mapping[str, Sequence[Any]],
        *,
        name: str = "sweep",
        seeds: Sequence[int] = (0,),
        problems: int = 40,
        answers: int = 4,
        steps: int = 6,
        measure_every: int = 3,
        shift: Mapping[Any, float] | None = None,
        metric: str = "eval/arithmetic/mean@1",
        held_out: str = "rows",
        number: int = 1,
    ) -> None:
        self.directory = SweepDirectory(root / "sweeps" / name)
        self._runs = root / "runs"
        self._generator = np.random.default_rng(number)
        self._hard = self._generator.normal(0.0, 0.25, problems)
        self._answers, self._steps, self._every = answers, steps, measure_every
        self._shift = dict(shift or {})
        self.held_out = held_out
        entries: list[CellEntry] = []
        for values in itertools.product(*axes.values()):
            setting = dict(zip(axes, values, strict=True))
            recipe = ",".join(f"{key.split('.')[-1]}={value}" for key, value in setting.items())
            for seed in seeds:
                identity = digest_value([name, setting, seed])
                cell = f"{recipe},seed={seed}" if len(seeds) > 1 else recipe
                entries.append(CellEntry(cell, recipe, setting, seed, identity, not entries))
        self.entries = tuple(entries)
        self.directory.write({"metric": metric, "name": name}, self.entries)
        for entry in self.entries:
            self.finish(entry)

    @property
    def name(self) -> str:
        return str(self.directory.path)

    def run(self, entry: CellEntry) -> RunDirectory:
        """The run of a cell."""
        return RunDirectory(self._runs / f"run-{entry.identity[:8]}")

    def finish(self, entry: CellEntry) -> None:
        """Write a cell's run, done."""
        run, shift = self.run(entry), sum(self._shift.get(v, 0.0) for v in entry.axes.values())
        due = {"every": self._every, "at_end": True}
        run.write_config(
            {
                "model": "tiny",
                "engine": {"kind": "local"},
                "subset": "rows",
                "evals": {"nll": due, "arithmetic": due},
                "seed": entry.seed,
                **{key.partition(".")[2] or key: value for key, value in entry.axes.items()},
            },
            {
                "identity": entry.identity,
                "total_steps": self._steps,
                "created": "2026-11-24T10:00:00+00:00",
                "model": {"name": "tiny"},
                "subset": {"name": "rows", "digest": "d" * 32},
                "split": {"held_out_digest": self.held_out},
                "environment": {"packages": {"numpy": "2"}, "python": "3.11", "platform": "test"},
            },
        )
        log = RunLog(run, 1)
        log(RunStarted(run.run_id, str(run.path), self._steps, 1, "tiny", "local"))
        for step in range(1, self._steps + 1):
            loss = 2.0 - shift - step / self._steps
            log(StepDone(step, self._steps, step / self._steps, 1e-3, 1000, 800, loss, 0.5))
            if step % self._every == 0 or step == self._steps:
                self._measure(run, log, step, shift)
        append_line(
            run.checkpoints_path,
            {"name": "final", "batch": self._steps, "final": True, "sampler_path": "x"},
        )
        log(RunFinished(run.run_id, "done", self._steps, 3.0))

    def _measure(self, run: RunDirectory, log: RunLog, step: int, shift: float) -> None:
        chance = np.clip(0.4 + self._hard + shift * step / self._steps, 0, 1)
        right = self._generator.binomial(self._answers, chance)
        mean = float((right / self._answers).mean())
        self._write(
            run,
            log,
            "arithmetic",
            step,
            {"mean@1": mean},
            {
                "problems": [
                    {"id": f"p{i}", "answers": self._answers, "correct": int(c), "truncated": 0}
                    for i, c in enumerate(right)
                ],
                "config": {"data": {"digest": "problems"}, "renderer": {"digest": "r"}},
            },
        )
        nats = 10.0 + self._hard - shift + self._generator.normal(0, 0.1, len(self._hard))
        files = EvalDirectory(run.eval_dir("nll", step))
        for i, value in enumerate(nats):
            row = {"row_id": f"r{i}", "question_id": f"q{i}", "nats": float(value)}
            more = {"tokens": 8 + i % 3, "bytes": 30, "thinking_nats": None, "thinking_tokens": 0}
            append_line(files.rows_path, {**row, **more})
        tokens = sum(8 + i % 3 for i in range(len(nats)))
        self._write(
            run,
            log,
            "nll",
            step,
            {"mean": float(nats.sum()) / tokens},
            {"config": {"data": {"digest": self.held_out}, "renderer": {"digest": "r"}}},
        )

    def _write(
        self,
        run: RunDirectory,
        log: RunLog,
        benchmark: str,
        step: int,
        metrics: dict[str, float],
        record: dict[str, Any],
    ) -> None:
        EvalDirectory(run.eval_dir(benchmark, step)).write_scores(
            {"benchmark": benchmark, "step": step, "metrics": metrics, **record}
        )
        log(EvalDone(benchmark, step, metrics))
