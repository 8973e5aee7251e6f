"""The port through which the cells of a sweep are run, wherever that is.

A launcher runs one cell at a call, and is asked by the conductor for as many at once as
`cells_at_once` allows. What a cell tells while it runs reaches the listener as the very events that
`ot train` tells. A cell that fails is an outcome, not an exception, so that the others go on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

from openthoughts_cli.config.train import TrainConfig
from openthoughts_cli.errors import (
    BudgetError,
    InterruptedByUser,
    InUseError,
    OtError,
    StorageError,
)
from openthoughts_cli.events import Event, Listener
from openthoughts_cli.redaction import redact
from openthoughts_cli.runs.layout import RunDirectory
from openthoughts_cli.training.planning import Planned
from openthoughts_cli.training.verb import TrainResult

__all__ = ["CellEnded", "CellJob", "CellOutcome", "CellStarted", "CellTold", "Launcher", "Status"]

Status: TypeAlias = Literal["done", "interrupted", "budget", "failed", "died"]


@dataclass(frozen=True, slots=True)
class CellJob:
    """A cell to run. `planned` serves launchers that run it in this process."""

    name: str
    identity: str
    config: TrainConfig
    run: RunDirectory
    planned: Planned | None


@dataclass(frozen=True, slots=True)
class CellOutcome:
    """How one attempt at a cell ended.

    `died` is a worker that is gone without a word (killed, out of memory, its machine lost): the
    cell goes on from its last checkpoint elsewhere. `interrupted` with an `error` was stopped by what
    is no fault of the recipe, such as a full disk. `last_lines` is the end of what the worker wrote.
    `held`: it failed because another process was in the run's directory, and nothing was done.
    """

    status: Status
    error: str = ""
    hint: str = ""
    spent_usd: float = 0.0
    last_lines: tuple[str, ...] = ()
    held: bool = False

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> CellOutcome:
        """An outcome that came as `dataclasses.asdict` of one."""
        return cls(
            status=values["status"],
            error=str(values.get("error", "")),
            hint=str(values.get("hint", "")),
            spent_usd=float(values.get("spent_usd", 0.0)),
            last_lines=tuple(values.get("last_lines", ())),
            held=values.get("held") is True,
        )

    @classmethod
    def of_result(cls, result: TrainResult) -> CellOutcome:
        """A run that ended; one with failed evaluations is not done."""
        if result.failures:
            failed = "; ".join(result.failures)
            return cls("failed", f"evaluations failed: {failed}", spent_usd=result.spent_usd)
        if result.status == "planned":
            raise ValueError("a cell is run, not planned")
        return cls(result.status, spent_usd=result.spent_usd)

    @classmethod
    def of_error(cls, error: BaseException) -> CellOutcome:
        """A run that raised."""
        if isinstance(error, (InterruptedByUser, KeyboardInterrupt)):
            return cls("interrupted")
        if isinstance(error, BudgetError):
            return cls("budget", error.message, error.hint or "")
        if isinstance(error, StorageError):  # the disk's fault, not the recipe's: it goes on later
            return cls("interrupted", redact(error.message), redact(error.hint or ""))
        if isinstance(error, OtError):
            held = isinstance(error, InUseError)
            return cls("failed", redact(error.message), redact(error.hint or ""), held=held)
        return cls("failed", redact(f"{type(error).__name__}: {error}"), "this is a bug")


@dataclass(frozen=True, slots=True)
class CellStarted(Event):
    """An attempt at a cell begins."""

    cell: str
    run: str


@dataclass(frozen=True, slots=True)
class CellTold(Event):
    """Something that a cell's run tells."""

    cell: str
    event: Event


@dataclass(frozen=True, slots=True)
class CellEnded(Event):
    """An attempt at a cell ended; `again` says that it is tried once more."""

    cell: str
    outcome: CellOutcome
    again: bool = False


class Launcher(Protocol):
    """Where cells run."""

    async def run(self, job: CellJob, listener: Listener) -> CellOutcome:
        """One attempt at a cell, gone on with from where the last one ended."""
        ...

    def stop(self) -> None:
        """Let every running cell end at its next safe point, with a checkpoint."""
        ...

    def kill(self) -> None:
        """End every running cell now."""
        ...

    async def close(self) -> None:
        """Give back what was taken; nothing runs any more."""
        ...
