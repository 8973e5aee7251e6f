"""What a run measured, as points of curves: against steps, tokens or money, with intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from openthoughts_cli.errors import OtError
from openthoughts_cli.evals.records import EvalDirectory
from openthoughts_cli.runs.layout import RunDirectory
from openthoughts_cli.runs.log import eval_metrics, step_metrics
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
    names = [TRAIN_LOSS] if step_metrics(run) else []
    for benchmark, by_step in eval_metrics(run).items():
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
        values = [(int(line["step"]), float(line["train_mean_nll"])) for line in step_metrics(run)]
    else:
        benchmark, _, metric = name.partition("/")
        found = eval_metrics(run).get(benchmark, [])
        values = [(step, float(scores[metric])) for step, scores in found if metric in scores]
    spread = _spread(values)
    place = _places(run, axis)
    points: list[Point] = []
    for step, value in spread:
        low, high = (None, None) if name == TRAIN_LOSS else _interval(run, name, step)
        points.append(Point(step, place(step), value, low, high))
    return points


def _spread(values: list[tuple[int, float]]) -> list[tuple[int, float]]:
    if len(values) <= _MOST_POINTS:
        return values
    last = len(values) - 1
    chosen = sorted({round(i * last / (_MOST_POINTS - 1)) for i in range(_MOST_POINTS)})
    return [values[index] for index in chosen]


class _Places:
    """Where a step stands on an axis; between two known steps, at the earlier one."""

    def __init__(self, known: dict[int, float] | None) -> None:
        self._known = known
        self._steps = sorted(known or {})

    def __call__(self, step: int) -> float:
        if self._known is None:
            return float(step)
        import bisect

        index = bisect.bisect_right(self._steps, step) - 1
        return self._known[self._steps[index]] if index >= 0 else 0.0


def _places(run: RunDirectory, axis: Axis) -> _Places:
    if axis == "step":
        return _Places(None)
    known: dict[int, float] = {}
    if axis == "tokens":
        total = 0.0
        for line in step_metrics(run):
            tokens = line.get("num_tokens")
            total += tokens if isinstance(tokens, (int, float)) else 0
            known[int(line["step"])] = total
        return _Places(known)
    for line in read_lines(run.events_path):
        step, usd = line.get("step"), line.get("most_spent_usd")
        if isinstance(step, int) and isinstance(usd, (int, float)):
            known[step] = max(float(usd), known.get(step, 0.0))
    return _Places(known)


def _interval(run: RunDirectory, name: str, step: int) -> tuple[float | None, float | None]:
    benchmark, _, metric = name.partition("/")
    try:
        record = EvalDirectory(run.eval_dir(benchmark, step)).scores()
    except OtError:
        return None, None
    entries = (record.get("intervals") or {}).get(metric)
    return (entries[0]["low"], entries[0]["high"]) if entries else (None, None)
