"""The events of a run that goes on elsewhere on this machine, read from its log as they come."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from openthoughts_cli.events import Event, Listener
from openthoughts_cli.runs.layout import RunDirectory
from openthoughts_cli.runs.log import EVENT_KINDS
from openthoughts_cli.runs.owner import is_alive
from openthoughts_cli.store import read_lines

__all__ = ["LogLines", "event_of", "follow", "is_held", "running_s"]

_CLASSES = {kind: cls for cls, kind in EVENT_KINDS.items()}


def event_of(line: dict[str, Any]) -> Event | None:
    """The event that a line of events.jsonl tells; None for lines of other versions."""
    cls = _CLASSES.get(str(line.get("event")))
    if cls is None:
        return None
    names = {field.name for field in dataclasses.fields(cls)}
    try:
        return cls(**{key: value for key, value in line.items() if key in names})
    except TypeError:
        return None


def is_held(run: RunDirectory) -> bool:
    """Whether the process that held the run last is alive (on another host: taken as alive)."""
    try:
        return is_alive((run.path / ".owner").read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return False


def running_s(run: RunDirectory) -> float:
    """How long the newest attempt has gone on: seconds since its first event; 0 without one."""
    newest, began = 0, None
    for line in read_lines(run.events_path):
        attempt = line.get("attempt")
        if not isinstance(attempt, int) or attempt <= newest:
            continue
        with contextlib.suppress(TypeError, ValueError):
            newest, began = attempt, datetime.fromisoformat(line.get("time", "")).astimezone(UTC)
    return 0.0 if began is None else max((datetime.now(UTC) - began).total_seconds(), 0.0)


def follow(
    run: RunDirectory,
    listener: Listener,
    *,
    stopped: Callable[[], bool] = lambda: False,
    poll_s: float = 0.25,
) -> str:
    """Tell the run's events from its beginning until it ends; returns its status.

    `done`, `interrupted`, `failed` or `budget` as the run says, `unfinished` when its process is
    gone without a word, `running` when `stopped` said so.
    """
    lines = LogLines(run.events_path)
    status = "unfinished"
    while True:
        alive = is_held(run)  # before reading: what a process wrote last is read after it ended
        for line in lines.new():
            event = event_of(line)
            if event is not None:
                listener(event)
            if line.get("event") == "run_finished":
                status = str(line.get("status"))
            elif line.get("event") == "run_started":
                status = "unfinished"
        if status != "unfinished" or not alive:
            return status
        if stopped():
            return "running"
        time.sleep(poll_s)


class LogLines:
    """The whole lines that were added to a log since the last look."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._place = 0

    def new(self) -> Iterator[dict[str, Any]]:
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._place)
            while (raw := file.readline()).endswith(b"\n"):
                self._place += len(raw)
                try:
                    line = json.loads(raw)
                except ValueError:
                    continue
                if isinstance(line, dict):
                    yield line
