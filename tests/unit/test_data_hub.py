"""Rows from a hub, against one that answers on this machine.

Each test runs a process of its own: the hub library reads its switches and cache once.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.doubles.dataset_hub import COMMIT, TOKEN, DatasetHub, Fault, dataset_hub
from tests.doubles.rows import MATH, PHYSICS, many, record, write

pytestmark = pytest.mark.slow

SCRIPT = """
import json, sys
from openthoughts_cli.data.corpus import open_corpus
from openthoughts_cli.data.hub import fetch
from openthoughts_cli.errors import OtError
notes = []
def hear(event):
    if hasattr(event, "text"):
        notes.append(event.text)
what = json.loads(sys.argv[1])
try:
    if what.pop("fetch", False):
        found = fetch(listener=hear, **what)
        out = {"files": [name for name, _ in found.files], "left": found.left_out}
    else:
        corpus = open_corpus(listener=hear, **what)
        out = {"rows": corpus.num_rows, "identity": corpus.identity(), "kind": corpus.kind}
except OtError as error:
    out = {"error": type(error).__name__, "message": error.message, "hint": error.hint}
print(json.dumps({**out, "notes": notes}))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = tmp_path / "served"
    for i in range(4):
        write(rows / "data" / f"math-{i}.parquet", many(20))
    write(rows / "data" / "physics.parquet", many(10, source=PHYSICS))
    (rows / "README.md").write_text("a card")
    return rows


def _environ(hub: DatasetHub, home: Path, offline: bool, token: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    return {
        **kept,
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(home),
        "OT_CACHE": str(home / "ot"),
        "HF_HUB_OFFLINE": str(int(offline)),
        "HF_TOKEN": token,
    }


def _ask(
    hub: DatasetHub, home: Path, offline: bool = False, token: str = "", **what: Any
) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(what)],
        env=_environ(hub, home, offline, token),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""  # no raw line of the hub library's retries
    return json.loads(done.stdout)


def test_a_small_data_set_is_fetched_once_and_read_offline(folder: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    with dataset_hub({"someone/rows": folder}) as hub:
        first = _ask(hub, home, dataset="someone/rows")
        assert first["kind"] == "hub" and first["rows"] == 90
        assert first["identity"]["revision"] == COMMIT
        assert len(first["identity"]["files"]) == 5
        hub.requests.clear()
        again = _ask(hub, home, dataset="someone/rows@main")
        assert again["identity"] == first["identity"]
        assert not [line for line in hub.requests if line.startswith("GET /datasets/")]
        hub.requests.clear()
        offline = _ask(hub, home, offline=True, dataset=f"someone/rows@{COMMIT}")
        assert offline["identity"] == first["identity"] and hub.requests == []


def test_a_first_look_fetches_few_files_and_says_so(folder: Path, tmp_path: Path) -> None:
    asked: dict[str, Any] = {
        "name": "someone/rows",
        "revision": None,
        "full": False,
        "first_look_bytes": 10,
    }
    with dataset_hub({"someone/rows": folder}) as hub:
        chosen: set[tuple[str, ...]] = set()
        for seed in range(3):
            home = tmp_path / f"home{seed}"
            found = _ask(hub, home, fetch=True, sources=[MATH], seed=seed, **asked)
            assert found["left"] == {"without the source": 1, "first look": 2}
            assert len(found["files"]) == 2 and all("math" in name for name in found["files"])
            assert any("2 of the 4 files" in note and "--full" in note for note in found["notes"])
            chosen.add(tuple(found["files"]))
        assert len(chosen) > 1
        whole: dict[str, Any] = {**asked, "full": True}
        found = _ask(hub, tmp_path / "all", fetch=True, sources=[MATH], seed=0, **whole)
        assert len(found["files"]) == 5


def test_a_first_look_for_several_sources_has_a_file_of_each(folder: Path, tmp_path: Path) -> None:
    asked: dict[str, Any] = {
        "name": "someone/rows", "revision": None, "full": False, "first_look_bytes": 10,
    }  # fmt: skip
    with dataset_hub({"someone/rows": folder}) as hub:
        for seed in range(3):
            home = tmp_path / f"home{seed}"
            found = _ask(hub, home, fetch=True, sources=[MATH, PHYSICS], seed=seed, **asked)
            assert len(found["files"]) == 2
            assert sum("math" in name for name in found["files"]) == 1, found["files"]


def test_what_the_hub_does_not_have_is_said(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with dataset_hub({"someone/rows": folder, "someone/empty": tmp_path / "empty"}) as hub:
        missing = _ask(hub, tmp_path, dataset="nobody/none")
        assert missing["error"] == "NotFoundError" and "nobody/none" in missing["message"]
        empty = _ask(hub, tmp_path, dataset="someone/empty")
        assert empty["error"] == "NotFoundError" and "no parquet file" in empty["message"]
        offline = _ask(hub, tmp_path, offline=True, dataset="someone/rows")
        assert offline["error"] == "NetworkError" and "--dataset sample" in offline["hint"]


def _big(folder: Path) -> Path:
    """A data set of one file of some 300 kB that compresses badly."""
    noise = [hashlib.sha256(str(i).encode()).hexdigest() for i in range(8000)]
    rows = [record(f"q{i}", " ".join(noise[i * 20 : i * 20 + 20])) for i in range(400)]
    return write(folder / "rows.parquet", rows, row_group_size=400)


def _store_log(hub: DatasetHub) -> list[str]:
    return [line for line in hub.log if "GET /store/" in line]


def test_a_download_that_is_cut_five_times_goes_on_where_it_was_cut(tmp_path: Path) -> None:
    file = _big(tmp_path / "served")
    size = file.stat().st_size
    step = size // 6
    with dataset_hub({"someone/rows": file.parent}) as hub:
        hub.faults = [Fault("GET /store/", cut_after=step, reset=i % 2 == 1) for i in range(5)]
        found = _ask(hub, tmp_path / "home", dataset="someone/rows")
        assert found["rows"] == 400
        log = _store_log(hub)
    print("\n".join(log))
    starts = [int(line.partition("bytes=")[2].partition("-")[0] or 0) for line in log]
    assert len(log) == 6 and starts[0] == 0
    assert [line.rpartition(", ")[2] for line in log[:5]] == ["then cut", "then reset"] * 2 + [
        "then cut"
    ]
    # After a reset, bytes that were on their way may be lost; nothing that came is asked for again.
    assert starts == sorted(starts) and starts[1] == step and starts[5] > 2 * step
    assert list((tmp_path / "home").rglob("*.incomplete")) == []


def test_a_killed_download_goes_on_in_the_next_process(tmp_path: Path) -> None:
    file = _big(tmp_path / "served")
    home = tmp_path / "home"
    with dataset_hub({"someone/rows": file.parent}) as hub:
        hub.faults = [
            Fault("GET /store/", cut_after=200_000),
            Fault("GET /store/", status=429, headers={"Retry-After": "120"}),
        ]
        child = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, json.dumps({"dataset": "someone/rows"})],
            env=_environ(hub, home, False, ""),
            stdout=subprocess.DEVNULL,
        )
        while not any("-> 429" in line for line in hub.log):
            time.sleep(0.05)
            assert child.poll() is None
        child.kill()
        child.wait()
        (partial,) = home.rglob("*.incomplete")
        assert partial.stat().st_size == 200_000
        assert _ask(hub, home, dataset="someone/rows")["rows"] == 400
        assert "bytes=200000-" in _store_log(hub)[-1]


def test_the_servers_wait_is_kept_and_a_failing_server_asked_again(
    folder: Path, tmp_path: Path
) -> None:
    with dataset_hub({"someone/rows": folder}) as hub:
        hub.faults = [
            Fault("GET /api/datasets", status=429, headers={"Retry-After": "2"}),
            Fault("GET /store/", status=503),
            Fault("GET /store/", status=429, headers={"ratelimit": '"resolvers";r=0;t=2'}),
        ]
        found = _ask(hub, tmp_path / "home", dataset="someone/rows")
        assert found["rows"] == 90 and hub.faults == []
        assert sum("429; going on in 2 s" in note for note in found["notes"]) == 2


def test_a_wait_beyond_the_bound_is_said_instead_of_slept(folder: Path, tmp_path: Path) -> None:
    with dataset_hub({"someone/rows": folder}) as hub:
        # A process that slept for an hour would be ended by `_ask`.
        hub.faults = [Fault("GET /api/datasets/", status=429, headers={"Retry-After": "3600"})]
        found = _ask(hub, tmp_path / "home", dataset="someone/rows")
        assert found["error"] == "NetworkError" and "3,600 s" in found["message"]
        assert "HF_TOKEN" in found["hint"]
        assert len([line for line in hub.requests if "/api/datasets/" in line]) == 1


def test_a_server_that_only_fails_is_given_up(folder: Path, tmp_path: Path) -> None:
    with dataset_hub({"someone/rows": folder}) as hub:
        hub.faults = [Fault("GET /api/datasets/", status=502) for _ in range(20)]
        found = _ask(hub, tmp_path / "home", dataset="someone/rows")
        assert found["error"] == "NetworkError" and "502" in found["message"]
        assert len([line for line in hub.requests if "/api/datasets/" in line]) == 6


def test_a_server_without_ranges_still_serves(tmp_path: Path) -> None:
    file = _big(tmp_path / "served")
    with dataset_hub({"someone/rows": file.parent}) as hub:
        hub.ranges = False
        hub.faults = [Fault("GET /store/", cut_after=100_000)]
        assert _ask(hub, tmp_path / "home", dataset="someone/rows")["rows"] == 400


def test_other_bytes_than_the_hub_names_are_refused(folder: Path, tmp_path: Path) -> None:
    for file in folder.rglob("*.parquet"):
        file.unlink()
    write(folder / "a.parquet", many(20))
    with dataset_hub({"someone/rows": folder}) as hub:
        real = (folder / "a.parquet").read_bytes()
        served = real[:-200] + bytes(200)
        hub.bend = {hashlib.sha256(real).hexdigest(): served}
        found = _ask(hub, tmp_path / "home", dataset="someone/rows")
        assert found["error"] == "IntegrityError" and "nothing was kept" in found["hint"]
        assert not [path for path in (tmp_path / "home").rglob("blobs/*") if path.is_file()]


def test_private_and_gated_data_sets_need_a_token_that_the_store_never_sees(
    folder: Path, tmp_path: Path
) -> None:
    with dataset_hub({"me/private": folder, "you/gated": folder}) as hub:
        hub.private, hub.gated = {"me/private"}, {"you/gated"}
        hidden = _ask(hub, tmp_path / "a", dataset="me/private")
        assert hidden["error"] == "NotFoundError" and "HF_TOKEN" in hidden["hint"]
        closed = _ask(hub, tmp_path / "b", dataset="you/gated")
        assert closed["error"] == "AuthError"
        for step in ("1. ", f"{hub.url}/datasets/you/gated", "2. ", "3. ", "HF_TOKEN", "4. "):
            assert step in closed["hint"]
        for name in ("me/private", "you/gated"):
            assert _ask(hub, tmp_path / "c", token=TOKEN, dataset=name)["rows"] == 90
        assert hub.strangers == []


def test_a_revision_is_another_data_set(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    write(other / "data" / "x.parquet", many(30))
    with dataset_hub({"someone/rows": folder}) as hub:
        hub.refs["someone/rows", "v2"] = ("d" * 40, other)
        hub.refs["someone/rows", "d" * 40] = ("d" * 40, other)
        found = _ask(hub, tmp_path, dataset="someone/rows@v2")
        assert found["rows"] == 30 and found["identity"]["revision"] == "d" * 40
        assert _ask(hub, tmp_path, offline=True, dataset="someone/rows@v2") == {
            **found,
            "notes": [],
        }
        asked = len(hub.requests)
        pinned = _ask(hub, tmp_path, dataset=f"someone/rows@{'d' * 40}")
        assert pinned["identity"] == found["identity"] and len(hub.requests) == asked
        none = _ask(hub, tmp_path, dataset="someone/rows@v3")
        assert none["error"] == "NotFoundError" and "revision" in none["message"]


def test_offline_repeats_a_first_look_and_fetches_nothing(folder: Path, tmp_path: Path) -> None:
    asked: dict[str, Any] = {
        "name": "someone/rows",
        "revision": None,
        "full": False,
        "first_look_bytes": 10,
        "sources": [MATH],
        "seed": 0,
        "fetch": True,
    }
    with dataset_hub({"someone/rows": folder}) as hub:
        found = _ask(hub, tmp_path, **asked)
        tails = [line for line in hub.requests if "/resolve/" in line and "bytes=" in line]
        assert len(tails) == 5  # a footer a file, by its range
        hub.requests.clear()
        again = _ask(hub, tmp_path, offline=True, **asked)
        assert again["files"] == found["files"] and again["left"] == found["left"]
        all_of_them: dict[str, Any] = {**asked, "full": True}
        whole = _ask(hub, tmp_path, offline=True, **all_of_them)
        assert whole["error"] == "NetworkError" and "offline" in whole["message"]
        assert hub.requests == []


def test_what_another_program_cached_is_read_offline(folder: Path, tmp_path: Path) -> None:
    snapshot = tmp_path / "hub" / "datasets--a--b" / "snapshots" / COMMIT
    write(snapshot / "data" / "x.parquet", many(8))
    refs = tmp_path / "hub" / "datasets--a--b" / "refs"
    refs.mkdir()
    (refs / "main").write_text(COMMIT)
    with dataset_hub({}) as hub:
        found = _ask(hub, tmp_path, offline=True, dataset="a/b")
        assert found["rows"] == 8 and any("1 files of a/b" in note for note in found["notes"])


def test_ctrl_c_ends_a_waiting_download_at_once_and_keeps_what_came(tmp_path: Path) -> None:
    file = _big(tmp_path / "served")
    home = tmp_path / "home"
    with dataset_hub({"someone/rows": file.parent}) as hub:
        hub.faults = [
            Fault("GET /store/", cut_after=100_000),
            Fault("GET /store/", status=503, headers={"Retry-After": "300"}),
        ]
        child = subprocess.Popen(
            [sys.executable, "-m", "openthoughts_cli", "subset", "--dataset", "someone/rows"],
            cwd=Path(__file__).parents[2],
            env=_environ(hub, home, False, ""),
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert child.stderr is not None
        said = ""
        while "503; going on in 300 s" not in said:
            said += child.stderr.readline() or pytest.fail(said)
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=120)  # far less than it was asked to wait
        assert child.returncode == 130, err
        # Rich writes a line twice where the signal comes between its writing and its note of that.
        err = err.removeprefix(said.splitlines(keepends=True)[-1])
        assert "going on in" not in err and "Traceback" not in err
        while "-> 503" not in hub.log[-1]:  # the double notes an answer after it is sent
            time.sleep(0.01)
        assert len(hub.log) == 6  # nothing was asked for after that
        (partial,) = home.rglob("*.incomplete")
        assert partial.stat().st_size == 100_000
