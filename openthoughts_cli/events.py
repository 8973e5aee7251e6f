"""What long work says while it works. The work knows nobody who listens.

A listener is any callable that takes an event. The live view, the JSONL log and W&B are listeners;
a function that takes `listener` calls it from its own thread, in order, and never waits for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from openthoughts_cli.redaction import redact

__all__ = [
    "CheckpointSaved",
    "EvalDone",
    "EvalProgress",
    "EvalStarted",
    "Event",
    "Listener",
    "Notice",
    "RunFinished",
    "RunStarted",
    "StageDone",
    "StageProgress",
    "StageStarted",
    "StepDone",
    "fan_out",
    "silent",
]


@dataclass(frozen=True, slots=True)
class Event:
    """The base of all events."""


@dataclass(frozen=True, slots=True)
class Notice(Event):
    """Something a person should know: a fallback taken, rows dropped, a risk.

    It may quote a server or a library, and it is logged, so secrets are taken out at once.
    """

    text: str
    level: Literal["info", "warning"] = "info"

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", redact(self.text))


@dataclass(frozen=True, slots=True)
class StageStarted(Event):
    """A piece of work with a bar: reading files, fetching a model, grading.

    `total` counts `unit`s; None when it is not known.
    """

    stage: str
    total: int | None = None
    unit: str = "rows"


@dataclass(frozen=True, slots=True)
class StageProgress(Event):
    """`done` units of the stage so far (absolute, not a difference)."""

    stage: str
    done: int


@dataclass(frozen=True, slots=True)
class StageDone(Event):
    """The stage ended; `summary` is one short phrase such as "512 of 9,731 rows"."""

    stage: str
    summary: str = ""


@dataclass(frozen=True, slots=True)
class RunStarted(Event):
    """A training run begins: its id, directory and totals."""

    run_id: str
    directory: str
    total_steps: int
    steps_per_epoch: int
    model: str
    engine: str
    first_step: int = 1


@dataclass(frozen=True, slots=True)
class StepDone(Event):
    """One optimiser step is known to be applied.

    `step` counts from 1. `train_mean_nll` is nats per loss token of this step's batch, before the
    update. `seconds` is the wall time since the previous step was known.
    """

    step: int
    total_steps: int
    epoch: float
    learning_rate: float
    num_tokens: int
    num_loss_tokens: int
    train_mean_nll: float
    seconds: float
    extra: Mapping[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True, slots=True)
class CheckpointSaved(Event):
    """Weights are stored under a name. `next_step` is the first step not in them.

    `expires_at` is when the service may delete them (ISO 8601, UTC); None: never.
    """

    name: str
    next_step: int
    epoch: float
    state_path: str | None
    sampler_path: str | None
    final: bool = False
    expires_at: str | None = None


@dataclass(frozen=True, slots=True)
class EvalStarted(Event):
    """An evaluation of the weights after `step` steps begins; `total` counts answers or rows."""

    benchmark: str
    step: int
    total: int


@dataclass(frozen=True, slots=True)
class EvalProgress(Event):
    """`done` of the evaluation's answers are graded; `metrics` are its running scores."""

    benchmark: str
    step: int
    done: int
    total: int
    metrics: Mapping[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True, slots=True)
class EvalDone(Event):
    """The scores of the weights after `step` steps, by metric name; `record` is scores.json."""

    benchmark: str
    step: int
    metrics: Mapping[str, float]
    record: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class RunFinished(Event):
    """The run ended: done, interrupted, failed (`reason` says why), or by the money limit."""

    run_id: str
    status: Literal["done", "interrupted", "failed", "budget"]
    steps: int
    seconds: float
    reason: str = ""


Listener: TypeAlias = Callable[[Event], None]


def silent(event: Event) -> None:
    """The listener that hears nothing."""
    del event


def fan_out(*listeners: Listener) -> Listener:
    """One listener that hands each event to all, in the order given."""

    def hear(event: Event) -> None:
        for listener in listeners:
            listener(event)

    return hear
