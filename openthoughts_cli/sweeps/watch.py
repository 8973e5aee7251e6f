"""The events of a sweep that another process runs, read from its log and its runs' as they come."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from openthoughts_cli.events import Listener
from openthoughts_cli.places import runs_dir
from openthoughts_cli.runs.follow import LogLines, event_of, is_held
from openthoughts_cli.runs.layout import RunDirectory
from openthoughts_cli.sweeps.launch import CellEnded, CellOutcome, CellStarted, CellTold
from openthoughts_cli.sweeps.layout import SweepDirectory

__all__ = ["watch"]

_ENDS = ("done", "interrupted", "budget", "failed", "died")


def watch(
    directory: SweepDirectory,
    listener: Listener,
    *,
    stopped: Callable[[], bool] = lambda: False,
    poll_s: float = 0.5,
) -> str:
    """Tell what the sweep's cells do until the sweep ends; returns its status.

    As the sweep says, `unfinished` when its process is gone without a word, `running` when
    `stopped` said so.
    """
    lines = LogLines(directory.events_path)
    tails: dict[str, tuple[RunDirectory, LogLines]] = {}
    status, finished_at = "unfinished", ""
    while True:
        alive = is_held(RunDirectory(directory.path))  # before reading: see `runs.follow`
        for line in lines.new():
            kind, cell = str(line.get("event")), str(line.get("cell"))
            if kind == "sweep_started":
                status = "unfinished"
            elif kind == "sweep_finished":
                status, finished_at = str(line.get("status")), str(line.get("time"))
            elif kind == "cell_started":
                run = RunDirectory(runs_dir() / str(line.get("run")))
                known = tails.get(cell)
                if known is None or known[0] != run:
                    tails[cell] = (run, LogLines(run.events_path))
                listener(CellStarted(cell, run.run_id))
            elif kind.removeprefix("cell_") in _ENDS:
                _tell(cell, tails, listener)
                listener(CellEnded(cell, _outcome(line)))
        for cell in tails:
            _tell(cell, tails, listener)
        if not alive or (status != "unfinished" and not _is_taken_since(directory, finished_at)):
            return status
        if stopped():
            return "running"
        time.sleep(poll_s)


def _is_taken_since(directory: SweepDirectory, finished_at: str) -> bool:
    """Whether a process took the sweep after it finished: it plans, and has told nothing yet."""
    try:
        taken_s = (directory.path / ".owner").stat().st_mtime
        return taken_s > datetime.fromisoformat(finished_at).timestamp()
    except (OSError, ValueError):
        return False


def _tell(
    cell: str, tails: Mapping[str, tuple[RunDirectory, LogLines]], listener: Listener
) -> None:
    if cell not in tails:
        return
    for line in tails[cell][1].new():
        if (event := event_of(line)) is not None:
            listener(CellTold(cell, event))


def _outcome(line: Mapping[str, Any]) -> CellOutcome:
    return CellOutcome.from_json({**line, "status": str(line["event"]).removeprefix("cell_")})
