"""A run in a few figures, read from its files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from openthoughts_cli.errors import OtError
from openthoughts_cli.runs.layout import RunDirectory
from openthoughts_cli.runs.log import eval_metrics, how_it_ended, step_metrics

__all__ = ["EvalSummary", "RunSummary", "summarise"]


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class EvalSummary:
    """One benchmark of a run: the first and the last step that it was measured at."""

    benchmark: str
    first_step: int
    first: dict[str, float]
    last_step: int
    last: dict[str, float]
    times: int


@dataclass(frozen=True, slots=True)
class RunSummary:
    """What a table of runs shows. `reason` says why a run failed; `problem` is set when the run's
    own files are damaged."""

    run_id: str
    path: str
    status: str
    model: str
    engine: str
    subset: str
    created: str
    steps_done: int
    total_steps: int
    first_loss: float | None
    last_loss: float | None
    train_tokens: int
    seconds: float
    evals: tuple[EvalSummary, ...]
    checkpoints: int
    problem: str = ""
    reason: str = ""

    def __repr__(self) -> str:
        losses = (self.first_loss, self.last_loss)
        loss = "" if None in losses else ", loss {:.3f} -> {:.3f}".format(*losses)
        scores = "; " + ", ".join(item.benchmark for item in self.evals) if self.evals else ""
        why = f"; {self.problem or self.reason}" if self.problem or self.reason else ""
        return (
            f"<RunSummary {self.run_id}: {self.status}, {self.model} on {self.subset}, "
            f"{self.steps_done:,} of {self.total_steps:,} steps{loss}{scores}{why}>"
        )


def summarise(run: RunDirectory) -> RunSummary:
    """The summary of a run, whatever state its files are in."""
    problems: list[str] = []

    def tried(read: Callable[[], T], otherwise: T) -> T:
        try:
            return read()
        except OtError as error:
            problems.append(error.message)
            return otherwise

    nothing: dict[str, Any] = {}
    config, record = tried(lambda: (run.read_config(), run.read_record()), (nothing, nothing))
    steps = tried(lambda: step_metrics(run), [])
    status, reason = tried(lambda: how_it_ended(run), ("unfinished", ""))
    scores_of = tried(lambda: eval_metrics(run), {})
    checkpoints = tried(run.checkpoints, [])
    return RunSummary(
        run_id=run.run_id,
        path=str(run.path),
        status=status,
        model=str(_within(record, "model", "name") or config.get("model") or ""),
        engine=str(_within(config, "engine", "kind") or ""),
        subset=str(_within(record, "subset", "name") or config.get("subset") or ""),
        created=str(record.get("created") or ""),
        steps_done=steps[-1]["step"] if steps else 0,
        total_steps=int(_number(record, "total_steps")),
        first_loss=steps[0]["train_mean_nll"] if steps else None,
        last_loss=steps[-1]["train_mean_nll"] if steps else None,
        train_tokens=sum(int(_number(step, "num_tokens")) for step in steps),
        seconds=sum(_number(step, "time/step") for step in steps),
        evals=tuple(
            EvalSummary(
                benchmark=name,
                first_step=scores[0][0],
                first=scores[0][1],
                last_step=scores[-1][0],
                last=scores[-1][1],
                times=len(scores),
            )
            for name, scores in scores_of.items()
        ),
        checkpoints=len(checkpoints),
        problem=problems[0] if problems else "",
        reason=reason,
    )


def _number(record: dict[str, Any], key: str) -> float:
    value = record.get(key)
    return value if isinstance(value, (int, float)) else 0


def _within(record: dict[str, Any], outer: str, inner: str) -> Any:
    value = record.get(outer)
    return value.get(inner) if isinstance(value, dict) else None
