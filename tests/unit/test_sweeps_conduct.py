"""The conductor of a sweep with a scripted launcher: held runs, deaths, the second Ctrl-C, full disks."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import pytest

from openthoughts_cli.errors import InUseError, StorageError
from openthoughts_cli.events import Event, Listener, Notice, RunStarted
from openthoughts_cli.runs.layout import RunDirectory
from openthoughts_cli.runs.lock import locked
from openthoughts_cli.runs.log import RunLog
from openthoughts_cli.store import read_lines
from openthoughts_cli.sweeps.conduct import MOST_TRIES, Conductor
from openthoughts_cli.sweeps.launch import CellEnded, CellJob, CellOutcome
from openthoughts_cli.sweeps.layout import SweepDirectory, best_run
from openthoughts_cli.sweeps.plan import PlannedCell
from openthoughts_cli.training.stop import StopRequest

Attempt = Callable[[CellJob], Awaitable[CellOutcome]]


class ScriptedLauncher:
    """Does with a cell what it is told, and remembers what it was asked for."""

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt
        self.asked: list[str] = []

    async def run(self, job: CellJob, listener: Listener) -> CellOutcome:
        self.asked.append(f"run {job.name}")
        return await self._attempt(job)

    def stop(self) -> None:
        self.asked.append("stop")

    def kill(self) -> None:
        self.asked.append("kill")

    async def close(self) -> None:
        self.asked.append("close")


class Bare:
    """What the conductor looks at in a planned cell."""

    def __init__(self, name: str, run: RunDirectory) -> None:
        self.name, self.identity, self.run = name, f"id-{name}", run
        self.config = self.planned = None


def cells(tmp_path: Path, *names: str) -> list[PlannedCell]:
    return [cast("PlannedCell", Bare(name, RunDirectory(tmp_path / name))) for name in names]


def conductor(
    tmp_path: Path, launcher: ScriptedLauncher, told: list[Event] | None = None, **how: Any
) -> Conductor:
    settings: dict[str, Any] = {"at_once": 4, "fail_fast": False, "stop": StopRequest(), **how}
    hear = (lambda _: None) if told is None else told.append
    return Conductor(SweepDirectory(tmp_path / "sweep"), launcher, listener=hear, **settings)


def scripted(*outcomes: CellOutcome) -> ScriptedLauncher:
    left = list(outcomes)

    async def attempt(job: CellJob) -> CellOutcome:
        return left.pop(0)

    return ScriptedLauncher(attempt)


def test_a_run_that_a_late_process_took_is_waited_for_and_not_failed(tmp_path: Path) -> None:
    held = CellOutcome.of_error(InUseError("the run is in use by pid 7"))
    assert (held.status, held.held) == ("failed", True)
    launcher = scripted(*[held] * (MOST_TRIES + 1), CellOutcome("done"))
    told: list[Event] = []
    outcomes = asyncio.run(conductor(tmp_path, launcher, told).run(cells(tmp_path, "a")))
    assert outcomes["a"].status == "done"
    assert [event.outcome.status for event in told if isinstance(event, CellEnded)] == ["done"]
    words = [line["event"] for line in read_lines(tmp_path / "sweep" / "events.jsonl")]
    assert "cell_failed" not in words


def test_a_stop_at_a_held_run_is_no_failure_of_the_cell(tmp_path: Path) -> None:
    stop = StopRequest()

    async def attempt(job: CellJob) -> CellOutcome:
        stop.request()
        while "stop" not in launcher.asked:
            await asyncio.sleep(0.01)
        return CellOutcome.of_error(InUseError("the run is in use by pid 7"))

    launcher = ScriptedLauncher(attempt)
    work = conductor(tmp_path, launcher, stop=stop)
    outcomes = asyncio.run(work.run(cells(tmp_path, "a")))
    assert outcomes == {"a": CellOutcome("interrupted")}
    assert SweepDirectory(tmp_path / "sweep").last_words()["id-a"]["event"] == "cell_interrupted"


def test_a_cell_that_waits_for_another_process_takes_no_place(tmp_path: Path) -> None:
    taken, free = cells(tmp_path, "taken", "free")
    ended: list[str] = []

    async def attempt(job: CellJob) -> CellOutcome:
        ended.append(job.name)
        return CellOutcome("done")

    async def go() -> None:
        with locked(taken.run):
            work = asyncio.ensure_future(
                conductor(tmp_path, ScriptedLauncher(attempt), told, at_once=1).run([taken, free])
            )
            while not ended:
                await asyncio.sleep(0.01)
        await work

    told: list[Event] = []
    asyncio.run(go())
    assert ended == ["free", "taken"]
    (waiting,) = [event.text for event in told if isinstance(event, Notice)]
    assert waiting.startswith(f"taken: waiting, {taken.run.path} is in use by pid ")


def test_a_full_disk_stops_a_cell_and_is_no_failure_of_it(tmp_path: Path) -> None:
    full = CellOutcome.of_error(StorageError("no space left on the disk", hint="free some"))
    assert (full.status, full.error, full.hint) == (
        "interrupted", "no space left on the disk", "free some",
    )  # fmt: skip
    asyncio.run(conductor(tmp_path, scripted(full)).run(cells(tmp_path, "a")))
    word = SweepDirectory(tmp_path / "sweep").last_words()["id-a"]
    run = RunDirectory(tmp_path / "a")
    RunLog(run, 1)(RunStarted("a", "runs/a", 4, 4, "m", "local"))
    assert best_run([run], word)[1:] == ("interrupted", "")


def test_a_cell_whose_worker_dies_is_begun_three_times(tmp_path: Path) -> None:
    died = CellOutcome("died", "gone")
    launcher = scripted(died, died, CellOutcome("done"))
    assert (
        asyncio.run(conductor(tmp_path, launcher).run(cells(tmp_path, "a")))["a"].status == "done"
    )
    launcher = scripted(*[died] * MOST_TRIES)
    outcome = asyncio.run(conductor(tmp_path, launcher).run(cells(tmp_path, "a")))["a"]
    assert (outcome.status, outcome.error) == ("failed", "gone, 3 times")


def test_the_second_interrupt_kills_what_runs_and_closes(tmp_path: Path) -> None:
    async def attempt(job: CellJob) -> CellOutcome:
        if job.name == "b":
            await asyncio.sleep(0.05)
            raise KeyboardInterrupt  # a signal handler's, in whichever task runs
        await asyncio.sleep(60)
        return CellOutcome("done")

    launcher = ScriptedLauncher(attempt)
    stop = StopRequest(requested=False)
    with pytest.raises(KeyboardInterrupt):
        asyncio.run(conductor(tmp_path, launcher, stop=stop).run(cells(tmp_path, "a", "b")))
    assert launcher.asked == ["run a", "run b", "kill", "close"]


def test_a_sweep_whose_log_cannot_be_written_ends_with_its_cells(tmp_path: Path) -> None:
    async def attempt(job: CellJob) -> CellOutcome:
        if job.name == "b":
            # As a full disk does: root writes where it may not, but not where a directory stands.
            (tmp_path / "sweep" / "events.jsonl").unlink()
            (tmp_path / "sweep" / "events.jsonl").mkdir()
            return CellOutcome("done")
        await asyncio.sleep(60)
        return CellOutcome("done")

    launcher = ScriptedLauncher(attempt)
    with pytest.raises(StorageError):
        asyncio.run(conductor(tmp_path, launcher).run(cells(tmp_path, "a", "b")))
    assert launcher.asked[-2:] == ["kill", "close"]


def test_a_stop_reaches_the_launcher_and_begins_no_more(tmp_path: Path) -> None:
    stop = StopRequest()
    ended = asyncio.Event()

    async def attempt(job: CellJob) -> CellOutcome:
        stop.request()
        await ended.wait()
        return CellOutcome("interrupted")

    class Stopping(ScriptedLauncher):
        def stop(self) -> None:
            super().stop()
            ended.set()

    launcher = Stopping(attempt)
    work = conductor(tmp_path, launcher, stop=stop, at_once=1)
    outcomes = asyncio.run(work.run(cells(tmp_path, "a", "b")))
    assert {name: outcome.status for name, outcome in outcomes.items()} == {"a": "interrupted"}
    assert launcher.asked == ["run a", "stop", "close"]


@pytest.mark.slow
def test_a_child_tells_of_what_nobody_foresaw() -> None:
    job = {"config": {"subset": 3}, "environ": {}}
    ended = subprocess.run(
        [sys.executable, "-m", "openthoughts_cli.sweeps.child"],
        input=json.dumps(job) + "\n",
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    outcome = CellOutcome.from_json(json.loads(ended.stdout)["outcome"])
    assert (ended.returncode, outcome.status, outcome.hint) == (0, "failed", "this is a bug")
    assert outcome.error.startswith("ValidationError")
    assert "Traceback" in ended.stderr
