"""What one cell of a sweep came to: its score on each problem, its cost, its best checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from openthoughts_cli.config.benchmark import NLL
from openthoughts_cli.errors import OtError
from openthoughts_cli.runs.layout import RunDirectory
from openthoughts_cli.runs.log import spent_usd
from openthoughts_cli.sweeps.curves import Curve, RunCurves, read_curves
from openthoughts_cli.sweeps.layout import SweepCell
from openthoughts_cli.sweeps.metric import Metric, ProblemScores, problem_scores
from openthoughts_cli.sweeps.states import owed_scores, status_of
from openthoughts_cli.training.receipt import read_receipt

__all__ = ["At", "Best", "CellResult", "HELD_OUT_RULE", "held_out_key", "measured", "read_cell"]

At: TypeAlias = Literal["final", "best"]

HELD_OUT_RULE = (
    "the best checkpoint is the one with the lowest held-out NLL, the earlier of equals; no test "
    "score chooses it"
)


def held_out_key() -> str:
    """The metric by which the best checkpoint is chosen."""
    return f"eval/{NLL}/mean"


@dataclass(frozen=True, slots=True)
class Best:
    """A run's best checkpoint by its held-out NLL. `name` is None where no weights are stored."""

    step: int
    nll: float
    name: str | None


@dataclass(frozen=True, slots=True)
class CellResult:
    """One cell, ranked or not.

    `scores` is None where it cannot be ranked, and `reason` says why. `step` is that of the weights
    that were scored. Tokens and seconds are of training; `usd` is what all attempts cost at most.
    """

    cell: SweepCell
    scores: ProblemScores | None
    step: int | None
    reason: str
    best: Best | None
    curves: RunCurves | None
    train_tokens: int
    sampled_tokens: int
    seconds: float
    usd: float

    @property
    def score(self) -> float | None:
        return None if self.scores is None else self.scores.score

    def as_record(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "cell": self.cell.name,
            "seed": self.cell.seed,
            "state": self.cell.state,
            "run": None if self.cell.run is None else self.cell.run.run_id,
            "score": self.score,
            "step": self.step,
            "reason": self.reason,
            "best": None
            if self.best is None
            else {"step": self.best.step, "nll": self.best.nll, "checkpoint": self.best.name},
            "train_tokens": self.train_tokens,
            "sampled_tokens": self.sampled_tokens,
            "seconds": self.seconds,
            "usd": self.usd,
        }


def read_cell(cell: SweepCell, metric: Metric, *, at: At = "final") -> CellResult:
    """Read what a cell's run came to; only a cell that is done has a score.

    Args:
        at: score the final weights, or those of the best checkpoint by the held-out rule.
    """
    if cell.run is None:
        return CellResult(cell, None, None, _why(cell), None, None, 0, 0, 0.0, 0.0)
    run = cell.run
    curves = read_curves(run.metrics_path, [held_out_key(), metric.key])
    best = _best(run, curves.metrics[held_out_key()])
    scores, step, reason = None, None, _why(cell)
    if cell.state == "interrupted" and status_of(run) == "done":
        # Trained to its end: the scores that are there are damaged, or some are owed.
        _, measured_at, wrong = _scored(run, metric, best if at == "best" else None, at)
        owed = f"evaluations are owed: {', '.join(owed_scores(run))}"
        reason = wrong if wrong and measured_at is not None else owed
    if not reason:
        scores, step, reason = _scored(run, metric, best if at == "best" else None, at)
    actual = _mapping(read_receipt(run).get("actual"))
    done = cell.state == "done"
    return CellResult(
        cell=cell,
        scores=scores,
        step=step,
        reason=reason,
        best=best,
        curves=curves,
        train_tokens=curves.train_tokens,
        sampled_tokens=_whole(actual.get("sampled_tokens")),
        seconds=curves.seconds,
        # The receipt of a run that is done is its last word; of another, the log goes on.
        usd=float(actual["usd"]) if done and _is_number(actual.get("usd")) else spent_usd(run),
    )


def measured(run: RunDirectory) -> dict[str, dict[str, float]]:
    """The metrics of each benchmark's newest stored evaluation, damaged ones left out."""
    from openthoughts_cli.evals.records import EvalDirectory

    found: dict[str, dict[str, float]] = {}
    root = run.path / "evals"
    for place in sorted(root.iterdir()) if root.is_dir() else ():
        steps = _stored_steps(place)
        if steps:
            try:
                record = EvalDirectory(place / f"step-{steps[-1]}").scores()
            except OtError:
                continue
            found[place.name] = _mapping(record.get("metrics"))
    return found


def _why(cell: SweepCell) -> str:
    """Why a cell has no score; empty where it is done."""
    if cell.state == "done":
        return ""
    said = {
        "running": "it is running",
        "interrupted": "it was interrupted",
        "waiting": "it has not begun",
        "failed": "it failed",
    }[cell.state]
    return f"{said}: {cell.reason}" if cell.reason else said


def _scored(
    run: RunDirectory, metric: Metric, best: Best | None, at: At
) -> tuple[ProblemScores | None, int | None, str]:
    steps = _stored_steps(run.path / "evals" / metric.benchmark)
    if not steps:
        return None, None, f"it has no finished evaluation of {metric.benchmark}"
    if at == "final":
        step, total = steps[-1], run.read_record().get("total_steps")
        if isinstance(total, int) and step != total:
            reason = (
                f"{metric.benchmark} was measured last at step {step} of {total}, not at the end"
            )
            return None, None, reason
    elif best is None:
        return None, None, "it has no held-out NLL, which chooses the best checkpoint"
    elif best.step in steps:
        step = best.step
    else:
        return (
            None,
            None,
            (f"{metric.benchmark} was not measured at step {best.step}, its best checkpoint"),
        )
    try:
        return problem_scores(run.eval_dir(metric.benchmark, step), metric), step, ""
    except OtError as error:
        return None, step, f"{error.message}; {error.hint}" if error.hint else error.message


def _best(run: RunDirectory, curve: Curve) -> Best | None:
    trained = [(step, value) for step, value in curve.points() if step > 0]
    if not trained:
        return None
    step, value = min(trained, key=lambda point: (point[1], point[0]))
    named = [entry.name for entry in run.checkpoints() if entry.batch == step]
    return Best(int(step), value, named[-1] if named else None)


def _stored_steps(place: Path) -> list[int]:
    """The steps of finished evaluations of one benchmark, ascending."""
    if not place.is_dir():
        return []
    numbers = [
        int(number)
        for entry in place.iterdir()
        if (number := entry.name.removeprefix("step-")).isdecimal()
        and (entry / "scores.json").is_file()
    ]
    return sorted(numbers)


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _whole(value: Any) -> int:
    return int(value) if _is_number(value) else 0
