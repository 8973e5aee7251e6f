"""`ot sweep --attach`: a sweep that another process runs, followed through its log and its runs'."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from openthoughts_cli.events import Event, StepDone
from openthoughts_cli.places import runs_dir
from openthoughts_cli.runs.layout import RunDirectory
from openthoughts_cli.runs.lock import locked
from openthoughts_cli.runs.log import RunLog
from openthoughts_cli.store import append_line
from openthoughts_cli.sweeps.launch import CellEnded, CellStarted, CellTold
from openthoughts_cli.sweeps.layout import SweepDirectory
from openthoughts_cli.sweeps.watch import watch


@pytest.fixture
def directory(tmp_path: Path) -> SweepDirectory:
    directory = SweepDirectory(tmp_path / "sweep")
    directory.write({}, [])
    return directory


def step(number: int) -> StepDone:
    return StepDone(number, 2, number / 2, 1e-3, 100, 80, 1.5, 0.1)


def beside(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_a_sweep_that_goes_on_is_watched_from_its_planning_to_its_end(
    directory: SweepDirectory,
) -> None:
    directory.log("sweep_started")
    directory.log("sweep_finished", status="interrupted")  # of an earlier command
    time.sleep(0.05)  # longer than a tick of the file system's clock
    planning, told = threading.Event(), list[Event]()

    def go_on() -> None:
        assert planning.wait(10)
        log = RunLog(RunDirectory(runs_dir() / "r"), 1)
        directory.log("sweep_started")
        directory.log("cell_started", cell="a", identity="1", run="r")
        log(step(1))
        directory.log("cell_died", cell="a", identity="1", run="r", error="gone")
        directory.log("cell_started", cell="a", identity="1", run="r")
        log(step(2))
        directory.log("cell_done", cell="a", identity="1", run="r")
        directory.log("sweep_finished", status="done")

    def looked() -> bool:
        planning.set()
        return False

    with locked(RunDirectory(directory.path)):
        thread = beside(go_on)
        status = watch(directory, told.append, stopped=looked, poll_s=0.01)
        thread.join()
    assert status == "done"
    steps = [
        e.event.step for e in told if isinstance(e, CellTold) and isinstance(e.event, StepDone)
    ]
    assert steps == [1, 2]
    assert [e.outcome.status for e in told if isinstance(e, CellEnded)] == ["died", "done"]
    assert sum(isinstance(e, CellStarted) for e in told) == 2


def test_a_sweep_whose_process_is_gone_is_unfinished(directory: SweepDirectory) -> None:
    directory.log("sweep_started")
    append_line(directory.events_path, {"event": "from another version"})
    assert watch(directory, lambda _: None) == "unfinished"


def test_leaving_a_sweep_that_runs_leaves_it_running(directory: SweepDirectory) -> None:
    directory.log("sweep_started")
    with locked(RunDirectory(directory.path)):
        assert watch(directory, lambda _: None, stopped=lambda: True) == "running"
