"""Events of any command, for a person: bars on a terminal, one plain line each elsewhere.

`ot train` has a view of its own (`train_view`); all other commands use this one.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Generator
from typing import TYPE_CHECKING

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from openthoughts_cli.events import (
    EvalDone,
    EvalProgress,
    EvalStarted,
    Event,
    Listener,
    Notice,
    StageDone,
    StageProgress,
    StageStarted,
)

if TYPE_CHECKING:
    from openthoughts_cli.cli.console import Console

__all__ = ["PlainProgress", "open_progress", "shown_metrics"]

_PLAIN_EVERY_S = 10.0


@contextlib.contextmanager
def open_progress(console: Console) -> Generator[Listener]:
    """A listener for the length of a block; it may be called from several threads."""
    if console.live:
        progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            _UnitColumn(),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=console.people,
            transient=True,
        )
        with progress:
            yield _BarProgress(console, progress).hear
    else:
        yield PlainProgress(console).hear


def shown_metrics(event: EvalDone | EvalProgress) -> str:
    """`pass@7 43.3%, truncated 2.0%`: shares as percentages, the rest with four digits."""
    parts: list[str] = []
    for name, value in event.metrics.items():
        share = name.startswith(("pass@", "mean@", "maj@", "truncated", "no_answer"))
        parts.append(f"{name} {value:.1%}" if share else f"{name} {value:.4g}")
    return ", ".join(parts)


class _UnitColumn(ProgressColumn):
    """The unit that a bar counts."""

    def render(self, task: Task) -> Text:
        return Text(str(task.fields.get("unit", "")), style="dim")


class _BarProgress:
    """One bar for each stage or evaluation at work; what is finished stays as a line."""

    def __init__(self, console: Console, progress: Progress) -> None:
        self._console = console
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}
        self._lock = threading.Lock()

    def hear(self, event: Event) -> None:
        with self._lock:
            match event:
                case StageStarted():
                    self._start(event.stage, event.total, event.unit)
                case StageProgress():
                    self._advance(event.stage, event.done)
                case StageDone():
                    self._finish(event.stage, _done_line(event.stage, event.summary))
                case EvalStarted():
                    self._start(event.benchmark, event.total, "answers")
                case EvalProgress():
                    self._advance(event.benchmark, event.done)
                case EvalDone():
                    self._finish(event.benchmark, _done_line(event.benchmark, shown_metrics(event)))
                case Notice():
                    _say_notice(self._console, event)
                case _:
                    pass

    def _start(self, name: str, total: int | None, unit: str) -> None:
        self._finish(name, None)
        self._tasks[name] = self._progress.add_task(name, total=total, unit=unit)

    def _advance(self, name: str, done: int) -> None:
        if (task := self._tasks.get(name)) is not None:
            self._progress.update(task, completed=done)

    def _finish(self, name: str, line: str | None) -> None:
        if (task := self._tasks.pop(name, None)) is not None:
            self._progress.remove_task(task)
        if line is not None:
            self._console.note(line)


class PlainProgress:
    """Lines for a log: a stage's end, and while it lasts one line every ten seconds."""

    def __init__(self, console: Console, *, every_s: float = _PLAIN_EVERY_S) -> None:
        self._console = console
        self._every_s = every_s
        self._stages: dict[str, tuple[int | None, str, float]] = {}
        self._lock = threading.Lock()

    def hear(self, event: Event) -> None:
        """Take one event and print its line, if it is worth one."""
        with self._lock:
            match event:
                case StageStarted():
                    self._start(event.stage, event.total, event.unit)
                case StageProgress():
                    self._advance(event.stage, event.done)
                case StageDone():
                    self._stages.pop(event.stage, None)
                    self._console.note(_done_line(event.stage, event.summary))
                case EvalStarted():
                    self._start(event.benchmark, event.total, "answers")
                case EvalProgress():
                    self._advance(event.benchmark, event.done)
                case EvalDone():
                    self._stages.pop(event.benchmark, None)
                    self._console.note(_done_line(event.benchmark, shown_metrics(event)))
                case Notice():
                    _say_notice(self._console, event)
                case _:
                    pass

    def _start(self, name: str, total: int | None, unit: str) -> None:
        self._stages[name] = (total, unit, time.monotonic())

    def _advance(self, name: str, done: int) -> None:
        if name not in self._stages:
            return
        total, unit, said = self._stages[name]
        now = time.monotonic()
        if now - said < self._every_s:
            return
        self._stages[name] = (total, unit, now)
        of = f" of {total:,} {unit} ({done / total:.0%})" if total else f" {unit}"
        self._console.note(f"{name}: {done:,}{of}")


def _done_line(name: str, summary: str) -> str:
    return f"{name}: {summary or 'done'}"


def _say_notice(console: Console, event: Notice) -> None:
    if event.level == "warning":
        console.warn(event.text)
    else:
        console.note(event.text)
