"""What a run measured, as points of curves: against steps, tokens or money, with intervals.

A page asks for a dozen curves of a run every few seconds, so what its logs say is kept until they grow.
"""

from __future__ import annotations

import bisect
import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

from openthoughts_cli.errors import OtError
from openthoughts_cli.evals.records import EvalDirectory
from openthoughts_cli.runs.layout import RunDirectory
from openthoughts_cli.runs.log import eval_metrics, step_metrics
from openthoughts_cli.runs.thinning import evenly_spread
from openthoughts_cli.stamps import Stamp, file_stamp
from openthoughts_cli.store import read_lines

__all__ = ["AXES", "TRAIN_LOSS", "Axis", "Point", "curve", "curve_names"]

Axis: TypeAlias = Literal["step", "tokens", "usd"]
AXES: dict[Axis, str] = {
    "step": "optimiser step",
    "tokens": "training tokens",
    "usd": "dollars spent at most",
}
TRAIN_LOSS = "train/mean_nll"
_MOST_POINTS = 1_000
_KEPT_LOGS = 16
_KEPT_INTERVALS = 4_096


@dataclass(frozen=True, slots=True)
class Point:
    """One value; `low` and `high` are its 95% interval where one was recorded."""

    step: int
    at: float
    value: float
    low: float | None = None
    high: float | None = None


def curve_names(run: RunDirectory) -> list[str]:
    """The curves that a run has: the training loss, then `<benchmark>/<metric>`."""
    measured = _measured(run)
    names = [TRAIN_LOSS] if measured.losses else []
    for benchmark, by_step in measured.evals.items():
        metrics = dict.fromkeys(metric for _, values in by_step for metric in values)
        names += [f"{benchmark}/{metric}" for metric in metrics]
    return names


def curve(run: RunDirectory, name: str, axis: Axis = "step") -> list[Point]:
    """The points of one curve, ascending in the step; at most a thousand, evenly spread.

    Args:
        name: one of `curve_names`.
        axis: what the points stand at: the step, the training tokens of all steps up to it, or the
            dollars that the log gives for that moment (an upper bound; 0 on an engine that is free).
    """
    if name == TRAIN_LOSS:
        values = _measured(run).losses
    else:
        benchmark, _, metric = name.partition("/")
        found = _measured(run).evals.get(benchmark, [])
        values = [(step, float(scores[metric])) for step, scores in found if metric in scores]
    place = _places(run, axis)
    points: list[Point] = []
    for index in evenly_spread(len(values), _MOST_POINTS):
        step, value = values[index]
        low, high = (None, None) if name == TRAIN_LOSS else _interval(run, name, step)
        points.append(Point(step, place(step), value, low, high))
    return points


class _Places:
    """Where a step stands on an axis; between two known steps, at the earlier one."""

    def __init__(self, known: dict[int, float] | None) -> None:
        self._known = known
        self._steps = sorted(known or {})

    def __call__(self, step: int) -> float:
        if self._known is None:
            return float(step)
        index = bisect.bisect_right(self._steps, step) - 1
        return self._known[self._steps[index]] if index >= 0 else 0.0


def _places(run: RunDirectory, axis: Axis) -> _Places:
    if axis == "step":
        return _Places(None)
    if axis == "tokens":
        return _Places(_measured(run).tokens)
    return _Places(_spent(run.events_path, file_stamp(run.events_path)))


class _Measured(NamedTuple):
    """What curves need of metrics.jsonl; shared, so nobody changes it."""

    losses: list[tuple[int, float]]
    tokens: dict[int, float]
    """The training tokens of all steps up to each."""
    evals: dict[str, list[tuple[int, dict[str, float]]]]


def _measured(run: RunDirectory) -> _Measured:
    return _read(run.path, file_stamp(run.metrics_path))


@functools.lru_cache(maxsize=_KEPT_LOGS)
def _read(path: Path, stamp: Stamp) -> _Measured:
    del stamp  # a log that grew is read again
    run = RunDirectory(path)
    losses: list[tuple[int, float]] = []
    tokens: dict[int, float] = {}
    total = 0.0
    for line in step_metrics(run):
        step, count = int(line["step"]), line.get("num_tokens")
        total += count if isinstance(count, (int, float)) else 0
        losses.append((step, float(line["train_mean_nll"])))
        tokens[step] = total
    return _Measured(losses, tokens, eval_metrics(run))


@functools.lru_cache(maxsize=_KEPT_LOGS)
def _spent(events: Path, stamp: Stamp) -> dict[int, float]:
    """Dollars spent at most when each step was logged."""
    del stamp
    known: dict[int, float] = {}
    for line in read_lines(events):
        step, usd = line.get("step"), line.get("most_spent_usd")
        if isinstance(step, int) and isinstance(usd, (int, float)):
            known[step] = max(float(usd), known.get(step, 0.0))
    return known


def _interval(run: RunDirectory, name: str, step: int) -> tuple[float | None, float | None]:
    benchmark, _, metric = name.partition("/")
    place = run.eval_dir(benchmark, step)
    return _intervals(place, file_stamp(EvalDirectory(place).scores_path)).get(metric, (None, None))


@functools.lru_cache(maxsize=_KEPT_INTERVALS)
def _intervals(place: Path, stamp: Stamp) -> dict[str, tuple[float | None, float | None]]:
    """The 95% interval of each metric of one evaluation: a page asks for all of them every few seconds."""
    del stamp
    try:
        found = EvalDirectory(place).scores().get("intervals") or {}
    except OtError:
        return {}
    return {metric: (each[0]["low"], each[0]["high"]) for metric, each in found.items() if each}
