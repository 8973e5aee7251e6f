"""`ot subset` stopped at random moments, or on a disk that fills: the old state or the new, no third."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from openthoughts_cli.data.subset import Subset, load_subset, subset_names
from openthoughts_cli.data.subset_files import changed_files
from tests.doubles.rows import record, write
from tests.doubles.tokenizer import byte_model
from tests.tools.tally import SOAK, tally
from tests.tools.warm_ot import Started, WarmOt

pytestmark = pytest.mark.slow

Start = Callable[..., Started]

KILLS = 6 * SOAK


@pytest.fixture
def base(tmp_path: Path) -> list[str]:
    rows = [record(f"Question {i}?", f"<think>{'so ' * 300}</think>{i}") for i in range(400)]
    data = write(tmp_path / "rows.parquet", rows)
    model = byte_model(tmp_path / "model")
    return ["--dataset", str(data), "--tokenizer", str(model), "--limit", "300", "--name", "it"]


@pytest.fixture(scope="module")
def warm() -> Generator[WarmOt]:
    modules = (
        *("openthoughts_cli.cli.boundary", "openthoughts_cli.cli.subset"),
        *(
            "openthoughts_cli.config.load",
            "openthoughts_cli.cli.render.subset",
            "openthoughts_cli.data.subset",
            "openthoughts_cli.data.corpus",
        ),
    )
    with WarmOt(modules) as started:
        yield started


@pytest.fixture
def start(warm: WarmOt, base: list[str], tmp_path: Path) -> Start:
    def call(*more: str, home: Path) -> Started:
        return warm.start([*_command(base, home), *more], cwd=tmp_path, env=os.environ)

    return call


def _command(base: list[str], home: Path) -> list[str]:
    return ["subset", *base, "-o", str(home), "--json"]


def _await_partial(child: Started, home: Path) -> None:
    """Until this child's own half-written directory is there (or the child has ended)."""
    while not list(home.glob(f".it.partial-*-{child.pid}-*")) and child.poll() is None:
        time.sleep(0.002)


def _whole(home: Path) -> Subset:
    """The subset, after checking that nothing of it is missing or changed."""
    subset = load_subset("it", root=home)
    assert len(subset.rows()) == 300 and changed_files(subset.path, subset.metadata) == []
    return subset


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT], ids=["kill -9", "Ctrl-C"])
def test_a_stop_at_any_moment_leaves_the_old_state_or_the_new(
    start: Start, tmp_path: Path, sent: signal.Signals
) -> None:
    home = tmp_path / "home"
    digests: list[str] = []
    began = writing = time.monotonic()
    for seed in ("1", "2"):
        done = start("--seed", seed, "--force", home=home)
        _await_partial(done, home)
        writing = time.monotonic()
        out, err = done.communicate(timeout=120)
        assert done.returncode == 0, err
        digests.append(json.loads(out)["record"]["digest"])
    wall_s = (time.monotonic() - began) / 2
    writing_s = time.monotonic() - writing
    chance = random.Random(7)
    seen: Counter[str] = Counter()
    now = digests[1]
    for turn in range(KILLS):
        target = turn % 2
        child = start("--seed", str(target + 1), "--force", home=home)
        if turn % 3:  # while files are written and put in place
            _await_partial(child, home)
            moment_s = writing_s * chance.uniform(0.1, 1)
        else:  # at any moment
            moment_s = wall_s * chance.uniform(0.4, 1)
        time.sleep(moment_s)
        child.send_signal(sent)
        _, err = child.communicate(timeout=120)
        found = _whole(home).digest
        assert found in (now, digests[target]), f"a third state after {moment_s:.2f} s"
        assert "Traceback" not in err, err
        if sent == signal.SIGINT:
            # The last: the interpreter was ending already and takes no signal any more.
            assert child.returncode in (0, 130, -signal.SIGINT), err
            assert [path.name for path in home.iterdir()] == ["it"]
        tally("kills and Ctrl-C of ot subset")
        seen["old" if found == now else "new"] += 1
        seen["stopped" if child.returncode else "ended"] += 1
        now = found
    print(f"{KILLS} stops by {sent.name}: {dict(seen)}")
    assert seen["stopped"] >= KILLS // 3
    last = start("--seed", "1", "--force", home=home)
    last.communicate(timeout=120)
    assert last.returncode == 0
    assert _whole(home).digest == digests[0]
    assert [path.name for path in home.iterdir()] == ["it"]  # what kills left is swept


def test_a_kill_before_there_is_any_leaves_none(start: Start, tmp_path: Path) -> None:
    home = tmp_path / "home"
    child = start(home=home)
    _await_partial(child, home)
    child.send_signal(signal.SIGKILL)
    child.communicate()
    if not (home / "it").exists():  # else it was faster than the kill
        assert subset_names(home) == []
    start(home=home).communicate(timeout=120)
    _whole(home)


@pytest.fixture
def small_disk(tmp_path: Path) -> Generator[Path]:
    """A file system of 256 kB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(place)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_fills_is_said_and_nothing_stays(start: Start, small_disk: Path) -> None:
    child = start("--limit", "400", home=small_disk)
    _, err = child.communicate(timeout=120)
    assert child.returncode == 1
    assert "no space left on the disk" in err and "free some space" in err
    assert list(small_disk.iterdir()) == []


def test_a_disk_that_fills_keeps_the_old_subset(start: Start, small_disk: Path) -> None:
    out, _ = start("--limit", "20", home=small_disk).communicate(timeout=120)
    digest = json.loads(out)["record"]["digest"]
    child = start("--limit", "400", "--force", home=small_disk)
    child.communicate(timeout=120)
    assert child.returncode == 1
    subset = load_subset("it", root=small_disk)
    assert subset.digest == digest and len(subset.rows()) == 20
    assert [path.name for path in small_disk.iterdir()] == ["it"]


def _small_files() -> None:
    import resource

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))


def test_a_file_that_may_not_grow_is_said_and_nothing_stays(
    base: list[str], tmp_path: Path
) -> None:
    home = tmp_path / "home"
    child = subprocess.run(
        [sys.executable, "-m", "openthoughts_cli", *_command(base, home)],
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}, cwd=tmp_path, capture_output=True,
        text=True, timeout=120, check=False, preexec_fn=_small_files,
    )  # fmt: skip
    err = child.stderr
    assert child.returncode == 1 and "cannot write" in err, err
    assert list(home.iterdir()) == []
