"""What has become of a cell's run, read from the run's own files.

Only `done` counts, and it means all of it: the log says that the run ended well, and each of its
scheduled evaluations has its scores.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias

from openthoughts_cli.errors import DataError
from openthoughts_cli.runs.follow import is_held
from openthoughts_cli.runs.layout import RunDirectory
from openthoughts_cli.runs.log import run_status

__all__ = ["CellState", "owed_scores", "state_of", "status_of"]

CellState: TypeAlias = Literal["done", "running", "interrupted", "failed", "waiting"]

_TAIL_BYTES = 8192
_HEAD_BYTES = 2048
_METRICS = re.compile(rb'"metrics": \{([^{}]*)\}')
_ERRORS = re.compile(rb'"errors": (\d+(?:\.\d+)?)')


def state_of(run: RunDirectory) -> CellState:
    """`interrupted` is a run that goes on when it is asked to: stopped, out of money, killed, or
    trained to its end with evaluations still owed."""
    status = status_of(run)
    if status == "unfinished":
        return "running" if is_held(run) else "interrupted"
    if status == "done":
        return "interrupted" if owed_scores(run) else "done"
    return "failed" if status == "failed" else "interrupted"


def status_of(run: RunDirectory) -> str:
    """As `run_status`, from the log's last lines where these tell it."""
    try:
        with run.events_path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(size - _TAIL_BYTES, 0))
            tail = file.read()
    except FileNotFoundError:
        return "unfinished"
    for raw in reversed(tail.splitlines()):
        if b"run_finished" not in raw and b"run_started" not in raw:
            continue
        try:
            line = json.loads(raw)
        except ValueError:
            continue  # torn, or cut by the beginning of the tail
        if line.get("event") == "run_finished":
            return str(line.get("status"))
        if line.get("event") == "run_started":
            return "unfinished"
    return run_status(run) if size > _TAIL_BYTES else "unfinished"


def owed_scores(run: RunDirectory) -> list[str]:
    """The scheduled evaluations without scores, as `benchmark/step-n`; all, of a damaged run."""
    try:
        config, record = run.read_config(), run.read_record()
    except DataError:
        return ["config.json"]
    total = record.get("total_steps")
    evals = config.get("evals")
    if not isinstance(total, int) or not isinstance(evals, dict):
        return ["record.json"]
    return [
        f"{name}/step-{step}"
        for name, settings in evals.items()
        for step in _due(settings, total)
        if not _is_scored(run, _directory(name), step)
    ]


def _is_scored(run: RunDirectory, benchmark: str, step: int) -> bool:
    """As `RunDirectory.is_scored`, from the file's beginning where that tells it: a sweep has
    thousands of these files, and the metrics stand first."""
    try:
        # one Path: joining it part by part costs more than the reading
        with Path(f"{run.path}/evals/{benchmark}/step-{step}/scores.json").open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        return False
    metrics = _METRICS.search(head)
    if metrics is None:
        return run.is_scored(benchmark, step)
    errors = _ERRORS.search(metrics[1])
    return errors is None or float(errors[1]) == 0


def _due(settings: Mapping[str, Any], total: int) -> Iterator[int]:
    """The steps after which a benchmark is due, as `training.evaluations.EvalSchedule` has it."""
    if settings.get("at_start"):
        yield 0
    every = settings.get("every")
    steps = range(every, total + 1, every) if isinstance(every, int) and every > 0 else range(0)
    yield from steps
    if settings.get("at_end", True) and total not in steps:
        yield total


def _directory(name: str) -> str:
    """The name of a benchmark's directory; one of a file's own says it itself."""
    if ".py:" not in name:
        return name
    from openthoughts_cli.evals.benchmark import benchmark

    return benchmark(name).name
