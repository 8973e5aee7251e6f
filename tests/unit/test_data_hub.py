"""Rows from a hub, against one that answers on this machine.

Each test runs a process of its own: the hub library reads its switches and cache once.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.doubles.dataset_hub import COMMIT, DatasetHub, dataset_hub
from tests.doubles.rows import MATH, PHYSICS, many, write

pytestmark = pytest.mark.slow

SCRIPT = """
import json, sys
from openthoughts_cli.data.corpus import open_corpus
from openthoughts_cli.data.hub import fetch
from openthoughts_cli.errors import OtError
notes = []
what = json.loads(sys.argv[1])
try:
    if what.pop("fetch", False):
        found = fetch(listener=lambda event: notes.append(str(event)), **what)
        out = {"files": [name for name, _ in found.files], "left": found.left_out}
    else:
        corpus = open_corpus(**what)
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


def _ask(hub: DatasetHub, home: Path, offline: bool = False, **what: Any) -> dict[str, Any]:
    env = {
        **os.environ,
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(home),
        "HF_HUB_OFFLINE": str(int(offline)),
        "HF_HUB_DISABLE_XET": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(what)],
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
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
        whole = {**asked, "full": True}
        found = _ask(hub, tmp_path / "all", fetch=True, sources=[MATH], seed=0, **whole)
        assert len(found["files"]) == 5


def test_what_the_hub_does_not_have_is_said(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with dataset_hub({"someone/rows": folder, "someone/empty": tmp_path / "empty"}) as hub:
        missing = _ask(hub, tmp_path, dataset="nobody/none")
        assert missing["error"] == "NotFoundError" and "nobody/none" in missing["message"]
        empty = _ask(hub, tmp_path, dataset="someone/empty")
        assert empty["error"] == "NotFoundError" and "no parquet file" in empty["message"]
        offline = _ask(hub, tmp_path, offline=True, dataset="someone/rows")
        assert offline["error"] == "NetworkError" and "--dataset sample" in offline["hint"]
