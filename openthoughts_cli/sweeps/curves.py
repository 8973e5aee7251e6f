"""The curves of many runs, read fast: metrics.jsonl of hundreds of runs in about polars' own time.

Nothing is kept from one reading to the next: the log is read as it stands.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from openthoughts_cli.runs.thinning import evenly_spread
from openthoughts_cli.store import read_lines

if TYPE_CHECKING:
    import polars

__all__ = ["Curve", "RunCurves", "read_curves"]

_LOSS = "train_mean_nll"
_NUMBERS = (_LOSS, "num_tokens", "time/step")


@dataclass(frozen=True, slots=True)
class Curve:
    """Values by step, ascending; of a step that was done twice, the newest line's."""

    steps: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]

    def points(self, most: int | None = None) -> list[tuple[float, float]]:
        """(step, value); at most so many, evenly spread, the last one included."""
        count = len(self.steps)
        chosen = slice(None) if most is None else evenly_spread(count, most)
        pairs = zip(self.steps[chosen], self.values[chosen], strict=True)
        return [(float(step), float(value)) for step, value in pairs]


@dataclass(frozen=True, slots=True)
class RunCurves:
    """One run's log: the training loss, and each metric asked for that it has.

    `train_tokens` and `seconds` are of the steps that count.
    """

    loss: Curve
    metrics: Mapping[str, Curve]
    train_tokens: int
    seconds: float


def read_curves(path: Path, metrics: Sequence[str]) -> RunCurves:
    """Read one metrics.jsonl; the keys in `metrics` are such as `eval/nll/mean`.

    Lines that are torn or foreign, and values that are no finite number, are left out, as
    `runs.log.step_metrics` does. A file that does not exist has no points.
    """
    import polars

    keys = [*_NUMBERS, *(key for key in dict.fromkeys(metrics) if key not in _NUMBERS)]
    columns: Mapping[str, npt.NDArray[np.float64]]
    try:
        frame = polars.read_ndjson(path, schema=_schema(polars, keys))
        steps, columns = _columns(frame, keys)
    except FileNotFoundError:
        steps, columns = _lines([], keys)
    except (polars.exceptions.PolarsError, OverflowError):
        steps, columns = _lines(read_lines(path), keys)
    loss, tokens = _curve(steps, columns[_LOSS]), columns["num_tokens"]
    trained = np.isfinite(columns[_LOSS])
    return RunCurves(
        loss=loss,
        metrics={key: _curve(steps, columns[key]) for key in metrics},
        train_tokens=int(_total(steps[trained], tokens[trained])),
        seconds=_total(steps[trained], columns["time/step"][trained]),
    )


def _schema(polars: Any, keys: Sequence[str]) -> Any:
    return {"step": polars.Int64, **dict.fromkeys(keys, polars.Float64)}


def _columns(
    frame: polars.DataFrame, keys: Sequence[str]
) -> tuple[npt.NDArray[np.int64], dict[str, npt.NDArray[np.float64]]]:
    # Where a value is missing, numpy has NaN (and integers become floats).
    steps = frame["step"].to_numpy()
    columns = {key: frame[key].to_numpy() for key in keys}
    if steps.dtype.kind != "f":
        return steps, columns
    there = np.isfinite(steps)
    return steps[there].astype(np.int64), {key: column[there] for key, column in columns.items()}


def _lines(
    lines: Sequence[Mapping[str, Any]], keys: Sequence[str]
) -> tuple[npt.NDArray[np.int64], dict[str, npt.NDArray[np.float64]]]:
    """The careful way, line by line, for a log that polars refuses."""
    known = [line for line in lines if _is_step(line.get("step"))]
    steps = np.asarray([line["step"] for line in known], dtype=np.int64)
    return steps, {
        key: np.asarray([_number(line.get(key)) for line in known], dtype=np.float64)
        for key in keys
    }


def _is_step(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53


def _number(value: Any) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.nan


def _curve(steps: npt.NDArray[np.int64], values: npt.NDArray[np.float64]) -> Curve:
    there = np.isfinite(values)
    return Curve(*_newest(steps[there], values[there]))


def _newest(
    steps: npt.NDArray[np.int64], values: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    if len(steps) < 2 or bool((np.diff(steps) > 0).all()):
        return steps, values
    # Of equal steps the last line: unique keeps the first of the reversed.
    unique, index = np.unique(steps[::-1], return_index=True)
    return unique, values[::-1][index]


def _total(steps: npt.NDArray[np.int64], values: npt.NDArray[np.float64]) -> float:
    _, newest = _newest(steps, values)
    return float(np.nansum(newest))
