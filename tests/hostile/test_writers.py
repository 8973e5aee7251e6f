"""Everything that writes, killed at random moments and on a disk that fills.

For each of `ot index build`, `ot eval`, `ot train`, `ot report`, `ot runs export`, `ot sweep` on a
service and here, and the page of its ranking (`ot subset` has test_subset_kills.py, long runs
tests/e2e/test_kills.py): whatever is left, every reader accepts it,
nothing that was finished is lost, and the same command again ends as an undisturbed one.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path

import pytest
from filelock import FileLock

from openthoughts_cli.data.index import stored_indexes
from openthoughts_cli.runs.layout import RunDirectory
from openthoughts_cli.runs.lock import locked
from openthoughts_cli.store import read_lines
from tests.hostile.written import Place, check_nothing_lost, check_said, made_place
from tests.tools.tally import SOAK, tally

pytestmark = [pytest.mark.slow, pytest.mark.torch, pytest.mark.timeout(900)]

KILLS = 2 * SOAK
FULL_DISKS = SOAK
DISK_BYTES = 12 << 20


WRITERS = ["index", "eval", "train", "report", "export", "sweep", "ranking"]
if SOAK > 1:
    WRITERS.append("sweep here")


def _times(usual: int, writer: str) -> int:
    """How often: each cell of a sweep on this machine is a cold process, which takes long."""
    return max(usual // 5, 1) if writer == "sweep here" else usual


@pytest.fixture(scope="module")
def patch() -> Generator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as made:
        yield made


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, patch: pytest.MonkeyPatch) -> Generator[Place]:
    """With its runs and indexes on a file system of its own, where one can be mounted."""
    path = tmp_path_factory.mktemp("writers")
    disk = path / "disk"
    disk.mkdir()
    size = f"size={DISK_BYTES}"
    mount = ["mount", "-t", "tmpfs", "-o", size, "none", str(disk)]
    mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    try:
        with made_place(path, disk, patch) as made:
            yield made
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.fixture(autouse=True)
def same_places(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The suite gives each test places of its own; these tests share one."""
    monkeypatch.setenv("OT_RUNS", str(place.kept / "runs"))
    monkeypatch.setenv("OT_INDEX", str(place.kept / "index"))
    monkeypatch.setenv("OT_SWEEPS", str(place.kept / "sweeps"))
    monkeypatch.setenv("OT_SUBSETS", str(place.path / "subsets"))


def _undisturbed(place: Place, writer: str) -> tuple[set[tuple[str, ...]], float]:
    """What the command makes when nobody disturbs it, and how long that takes."""
    place.prepare(writer)
    place.forget(writer)
    began = time.monotonic()
    assert place.ot(*place.command(writer)) == 0, place.warm.said()
    wall_s = time.monotonic() - began
    made = set(place.finished())
    place.forget(writer)
    return made, wall_s


@pytest.mark.parametrize("writer", WRITERS)
def test_kills_lose_nothing(place: Place, writer: str) -> None:
    chance = random.Random(writer)
    whole, wall_s = _undisturbed(place, writer)
    before = place.finished()
    kills = 0
    while kills < _times(KILLS, writer):
        pid = place.warm.start(*place.command(writer))
        time.sleep(chance.uniform(0.02, 1.1 * wall_s))
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        code = place.warm.wait()
        assert code in (0, -signal.SIGKILL), place.warm.said()
        tally(f"kills of ot {writer}")
        kills += 1
        now = place.finished()
        check_nothing_lost(before, now)
        before = now
        if code == 0:
            assert set(now) == whole
            place.forget(writer)
            before = place.finished()
    assert place.ot(*place.command(writer)) == 0, place.warm.said()
    now = place.finished()
    check_nothing_lost(before, now)
    assert set(now) == whole
    _check_asked_once(place)
    _check_nothing_left_aside(place)
    check_said(place)


def _check_nothing_left_aside(place: Place) -> None:
    """What the killed were writing is gone with what was written since."""
    assert [str(path) for path in place.kept.rglob(".*") if ".partial-" in path.name] == []


def _check_asked_once(place: Place) -> None:
    """No recorded answer was asked for again."""
    for samples in place.kept.glob("runs/*/evals/*/step-*/samples.jsonl"):
        asked = [(s["problem"], s["sample"]) for s in read_lines(samples) if "completion" in s]
        assert len(asked) == len(set(asked))


@contextlib.contextmanager
def _filled(disk: Path, leaving: int) -> Generator[None]:
    """The disk with only so many bytes left on it."""
    filler = disk / "filler"
    with filler.open("wb") as file:
        free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
        os.posix_fallocate(file.fileno(), 0, max(free - leaving, 1))
    try:
        yield
    finally:
        filler.unlink()


def _used(disk: Path) -> int:
    found = os.statvfs(disk)
    return (found.f_blocks - found.f_bfree) * found.f_frsize


@pytest.mark.parametrize("writer", WRITERS)
def test_a_full_disk_is_said_and_loses_nothing(place: Place, writer: str) -> None:
    if not place.kept.is_mount():
        pytest.skip("no file system can be mounted here")
    chance = random.Random(f"disk {writer}")
    place.prepare(writer)
    place.forget(writer)
    empty = _used(place.kept)
    assert place.ot(*place.command(writer)) == 0, place.warm.said()
    needed = max(_used(place.kept) - empty, 8192)
    whole = set(place.finished())
    full = 0
    for _ in range(_times(FULL_DISKS, writer)):
        place.forget(writer)
        before = place.finished()
        said = len(place.warm.said())
        with _filled(place.kept, 4096 * chance.randrange(needed // 4096 + 1)):
            code = place.ot(*place.command(writer))
            here = place.warm.said()[said:]
            # 3: some of several evaluations could not be written.
            assert code in (0, 1, 3), here
            assert code == 0 or "no space left" in here, here
            full += code != 0
            now = place.finished()
            check_nothing_lost(before, now)
        tally(f"full disks under ot {writer}")
        assert place.ot(*place.command(writer)) == 0, place.warm.said()
        after = place.finished()
        check_nothing_lost(now, after)
        assert set(after) == whole
    assert full > 0 or _times(FULL_DISKS, writer) < 5
    check_said(place)


def test_a_run_that_another_process_holds_is_refused_with_its_pid(place: Place) -> None:
    place.forget("eval")
    with locked(RunDirectory(place.kept / "runs/it")):
        assert place.ot(*place.command("eval")) == 1
    assert f"is in use by pid {os.getpid()}" in place.warm.said()
    assert place.ot(*place.command("eval")) == 0


def test_builders_of_one_index_wait_for_each_other(place: Place) -> None:
    whole, _ = _undisturbed(place, "index")
    assert place.ot(*place.command("index")) == 0
    [index] = stored_indexes()
    part = index.parts[0]
    part.unlink()
    lock = FileLock(part.parent / f".{part.name.partition('.')[0]}.lock")
    with lock:
        place.warm.start(*place.command("index"))
        time.sleep(1)
        assert not part.exists()
    assert place.warm.wait() == 0
    assert set(place.finished()) == whole


@pytest.mark.skipif(SOAK == 1, reason="four cold processes; in make soak")
@pytest.mark.parametrize("writer", ["eval", "index"])
def test_two_at_once_on_one_directory_wait_or_refuse(place: Place, writer: str) -> None:
    whole, _ = _undisturbed(place, writer)
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    children = [
        subprocess.Popen(
            [sys.executable, "-m", "openthoughts_cli", *map(str, place.command(writer))],
            cwd=place.path,
            env=environ,
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    said = [child.communicate(timeout=300)[1] for child in children]
    refused = [err for err in said if "is in use by pid" in err]
    assert sorted(child.returncode for child in children) == [0, len(refused)], said
    assert writer == "eval" or not refused
    assert set(place.finished()) == whole
    _check_asked_once(place)
