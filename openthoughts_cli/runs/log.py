"""The append-only log of a run, and reading it back.

The log is a listener: synchronous and first. Each line carries the `attempt` that wrote it; after a
crash some steps are done again, and readers keep the newest line of each step.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from openthoughts_cli.events import (
    CheckpointSaved,
    EvalDone,
    EvalProgress,
    EvalStarted,
    Event,
    Notice,
    RunFinished,
    RunStarted,
    StageDone,
    StageProgress,
    StageStarted,
    StepDone,
)
from openthoughts_cli.runs.layout import RunDirectory
from openthoughts_cli.store import append_line, read_lines

__all__ = [
    "EVENT_KINDS",
    "RunLog",
    "eval_line",
    "eval_metrics",
    "how_it_ended",
    "next_attempt",
    "run_status",
    "spent_usd",
    "step_line",
    "step_metrics",
]

_NOT_LOGGED = (StageProgress,)
_PROGRESS_EVERY_S = 5.0
_TOLD_USD, _TOLD_SHARE = 0.01, 0.01
"""Money is written anew when it grew by a cent and by a hundredth."""
EVENT_KINDS: dict[type[Event], str] = {
    Notice: "notice",
    StageStarted: "stage_started",
    StageDone: "stage_done",
    RunStarted: "run_started",
    StepDone: "step",
    CheckpointSaved: "checkpoint",
    EvalStarted: "eval_started",
    EvalProgress: "eval_progress",
    EvalDone: "eval_done",
    RunFinished: "run_finished",
}


class RunLog:
    """Writes the events of one attempt at a run.

    Args:
        spent_usd: what the run has cost at most, with what is in flight; written with each event,
            so that a limit holds for all attempts together.
        now_s: a clock that only goes forward, in seconds. An evaluation's progress is written
            every five seconds at most: enough for `ot train --attach`.
    """

    def __init__(
        self,
        run: RunDirectory,
        attempt: int,
        *,
        spent_usd: Callable[[], float] | None = None,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._run = run
        self._spent_usd = spent_usd
        self.attempt = attempt
        self._now_s = now_s
        self._progress_s: dict[tuple[str, int], float] = {}
        self._told_usd = 0.0

    def __call__(self, event: Event) -> None:
        if isinstance(event, _NOT_LOGGED) or not self._is_worth_a_line(event):
            return
        self._append_event(event)
        if isinstance(event, StepDone):
            append_line(self._run.metrics_path, {**step_line(event), "attempt": self.attempt})
        elif isinstance(event, EvalDone):
            append_line(self._run.metrics_path, {**eval_line(event), "attempt": self.attempt})

    def tell_money(self) -> None:
        """Write what the run may have cost, where that grew since an event was written.

        Called before a paid request is sent: a kill while it is answered, for an hour perhaps,
        would otherwise leave its cost out, and the next attempt would pass the limit.
        """
        if self._spent_usd is None:
            return
        usd = self._spent_usd()
        if usd - self._told_usd >= max(_TOLD_USD, _TOLD_SHARE * usd):
            self._append({"event": "money"})

    def _is_worth_a_line(self, event: Event) -> bool:
        if isinstance(event, EvalDone):
            self._progress_s.pop((event.benchmark, event.step), None)
        if not isinstance(event, EvalProgress):
            return True
        now_s, key = self._now_s(), (event.benchmark, event.step)
        if now_s - self._progress_s.get(key, -math.inf) < _PROGRESS_EVERY_S:
            return False
        self._progress_s[key] = now_s
        return True

    def _append_event(self, event: Event) -> None:
        fields = asdict(event)
        fields.pop("record", None)  # an evaluation's record stands in its own directory
        self._append({"event": EVENT_KINDS.get(type(event), type(event).__name__), **fields})

    def _append(self, fields: dict[str, Any]) -> None:
        stamp = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = {"event": fields["event"], "time": stamp, "attempt": self.attempt, **fields}
        if self._spent_usd is not None:
            line["most_spent_usd"] = self._told_usd = self._spent_usd()
        append_line(self._run.events_path, line)


def step_line(event: StepDone) -> dict[str, Any]:
    """A step as a line of metrics.jsonl, without its attempt."""
    return {
        "step": event.step,
        "epoch": event.epoch,
        "progress": event.step / event.total_steps,
        "learning_rate": event.learning_rate,
        "num_tokens": event.num_tokens,
        "num_loss_tokens": event.num_loss_tokens,
        "train_mean_nll": event.train_mean_nll,
        "time/step": event.seconds,
        **event.extra,
    }


def eval_line(event: EvalDone) -> dict[str, Any]:
    """An evaluation's scores as a line of metrics.jsonl, without its attempt."""
    scores = {f"eval/{event.benchmark}/{name}": value for name, value in event.metrics.items()}
    return {"step": event.step, **scores}


def next_attempt(run: RunDirectory) -> int:
    """1 for a new run, else one more than the newest in its log."""
    attempts = [line.get("attempt", 0) for line in read_lines(run.events_path)]
    return max((a for a in attempts if isinstance(a, int)), default=0) + 1


def spent_usd(run: RunDirectory) -> float:
    """Dollars that all attempts together have cost at most, by the log.

    The newest line counts, not the largest: what was set aside for requests that came back cheaper
    was not spent, and would be held against the limit of the next attempt.
    """
    amounts = [line.get("most_spent_usd") for line in read_lines(run.events_path)]
    known = [amount for amount in amounts if isinstance(amount, (int, float))]
    return float(known[-1]) if known else 0.0


def step_metrics(run: RunDirectory) -> list[dict[str, Any]]:
    """One record a training step, ascending, the newest attempt's where several did the step."""
    newest: dict[int, dict[str, Any]] = {}
    for line in read_lines(run.metrics_path):
        step = line.get("step")
        if isinstance(step, int) and _is_number(line.get("train_mean_nll")):
            newest[step] = line
    return [newest[step] for step in sorted(newest)]


def eval_metrics(run: RunDirectory) -> dict[str, list[tuple[int, dict[str, float]]]]:
    """Benchmark -> [(step, its metrics)], ascending in the step, the newest line of each."""
    found: dict[str, dict[int, dict[str, float]]] = {}
    for line in read_lines(run.metrics_path):
        step = line.get("step")
        for key, value in line.items():
            parts = key.split("/", 2)
            if len(parts) != 3 or parts[0] != "eval":
                continue
            if isinstance(step, int) and _is_number(value):
                found.setdefault(parts[1], {}).setdefault(step, {})[parts[2]] = value
    return {name: sorted(by_step.items()) for name, by_step in found.items()}


def _is_number(value: Any) -> bool:
    """Logs are files that people edit; what is no number there is left out, not believed."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def run_status(run: RunDirectory) -> str:
    """`done`, `interrupted`, `failed`, `budget`, or `unfinished` when the log just stops."""
    return how_it_ended(run)[0]


def how_it_ended(run: RunDirectory) -> tuple[str, str]:
    """The status of a run, and why it is that, where the log says so."""
    ended = ("unfinished", "")
    for line in read_lines(run.events_path):
        if line.get("event") == "run_finished":
            ended = (str(line.get("status")), str(line.get("reason") or ""))
        elif line.get("event") == "run_started":
            ended = ("unfinished", "")
    return ended
