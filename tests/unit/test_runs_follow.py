"""A run watched from its log: every event once, in order, until it ends or its process is gone."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from openthoughts_cli.cli.render.train_view import TrainState
from openthoughts_cli.events import (
    CheckpointSaved,
    EvalDone,
    EvalProgress,
    EvalStarted,
    Event,
    Notice,
    RunFinished,
    RunStarted,
    StepDone,
)
from openthoughts_cli.runs.follow import follow, is_held, running_s
from openthoughts_cli.runs.layout import RunDirectory
from openthoughts_cli.runs.log import RunLog
from openthoughts_cli.store import append_line


def started(first: int = 1) -> RunStarted:
    return RunStarted("r", "runs/r", 3, 3, "m", "local", first)


def step(number: int) -> StepDone:
    return StepDone(number, 3, number / 3, 1e-3, 10, 5, 1.5, 0.1, {"queue_depth": 2.0})


def held_by(run: RunDirectory, pid: int) -> None:
    run.path.mkdir(parents=True, exist_ok=True)
    (run.path / ".owner").write_text(f"pid {pid} on {socket.gethostname()}\n")


def test_what_a_log_tells_is_what_was_said(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "r")
    said: list[Event] = [
        Notice("mind this", "warning"),
        started(),
        step(1),
        EvalStarted("nll", 1, 4),
        EvalProgress("nll", 1, 2, 4, {"mean": 2.5}),
        CheckpointSaved("step-1", 2, 0.3, "a", None, expires_at="2030-01-01T00:00:00+00:00"),
        EvalDone("nll", 1, {"mean": 2.0}),
        step(2),
        RunFinished("r", "interrupted", 3, 1.0),
    ]
    log = RunLog(run, 1)
    for event in said:
        log(event)
    heard: list[Event] = []
    assert follow(run, heard.append) == "interrupted"
    assert heard == said


def test_a_run_is_followed_while_it_goes_on_and_torn_lines_are_waited_for(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "r")
    held_by(run, os.getpid())
    log = RunLog(run, 1)
    log(started())
    heard: list[Event] = []
    status: list[str] = []
    watcher = threading.Thread(
        target=lambda: status.append(follow(run, heard.append, poll_s=0.01)), daemon=True
    )
    watcher.start()
    for number in (1, 2, 3):
        time.sleep(0.03)
        log(step(number))
    log(RunFinished("r", "done", 3, 1.0))
    watcher.join(60)
    assert status == ["done"]
    assert [e.step for e in heard if isinstance(e, StepDone)] == [1, 2, 3]


def test_a_run_has_gone_on_since_the_newest_attempts_first_event(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "r")
    assert running_s(run) == 0.0
    now = datetime.now(UTC)
    for attempt, ago_s in ((1, 900), (2, 60), (2, 5)):
        stamp = (now - timedelta(seconds=ago_s)).isoformat()
        append_line(run.events_path, {"event": "step", "attempt": attempt, "time": stamp})
    append_line(run.events_path, {"event": "notice", "attempt": 3, "time": None})
    went_on_s = running_s(run)
    asked = datetime.now(UTC)
    assert 60 <= went_on_s <= 60 + (asked - now).total_seconds()
    earliest = time.monotonic() - went_on_s
    state = TrainState(running_s=went_on_s)
    latest = time.monotonic() - went_on_s
    assert earliest <= state.began <= latest


def test_a_run_whose_process_is_gone_is_unfinished(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "r")
    RunLog(run, 1)(started())
    gone = subprocess.Popen([sys.executable, "-c", "pass"])
    gone.wait()
    held_by(run, gone.pid)
    assert not is_held(run)
    assert follow(run, lambda event: None) == "unfinished"
    held_by(run, os.getpid())
    assert is_held(run)
    assert follow(run, lambda event: None, stopped=lambda: True) == "running"
