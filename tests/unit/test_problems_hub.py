"""Problems from a hub over HTTP, in a real process, reached by HF_ENDPOINT alone."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Generator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from openthoughts_cli.problems.aime25 import AIME25_PLACE
from openthoughts_cli.problems.gpqa import GPQA_PLACE
from openthoughts_cli.problems.livecodebench import LCB_PLACE
from openthoughts_cli.problems.load import HubPlace
from tests.doubles.unreachable import unreachable

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[2]
COMMIT = "b" * 40
SCRIPT = """\
import json, sys
from openthoughts_cli.config.benchmark import BenchmarkConfig
from openthoughts_cli.errors import OtError
from openthoughts_cli.evals.benchmark import benchmark
try:
    found = benchmark(sys.argv[1]).load(BenchmarkConfig(data=sys.argv[2] or None))
except OtError as error:
    print(json.dumps({"error": type(error).__name__, "message": error.message, "hint": error.hint}))
else:
    print(json.dumps({"problems": len(found.problems), "source": found.source,
                      "revision": found.revision}))
"""


@dataclass
class Hub:
    """What is served by path, or the error by path; and what was asked."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict[str, bytes])
    failures: dict[str, tuple[int, str]] = field(default_factory=dict[str, tuple[int, str]])
    requests: list[str] = field(default_factory=list[str])


@pytest.fixture
def hub() -> Generator[Hub]:
    served = Hub()

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer()

        def do_GET(self) -> None:
            self._answer()

        def _answer(self) -> None:
            served.requests.append(self.path)
            status, code = served.failures.get(self.path, (404, "EntryNotFound"))
            content = served.files.get(self.path)
            if content is None:
                self.send_response(status)
                self.send_header("X-Error-Code", code)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(200)
            self.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
            revision = self.path.split("/resolve/")[1].split("/")[0]
            self.send_header("X-Repo-Commit", revision if len(revision) == 40 else COMMIT)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    served.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield served
    server.shutdown()
    server.server_close()


def load(tmp_path: Path, url: str, name: str, data: str = "") -> dict[str, Any]:
    kept = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, name, data],
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        env={
            **kept,
            "HF_ENDPOINT": url,
            "HF_HOME": str(tmp_path / "hf"),
            "HF_HUB_DISABLE_XET": "1",
        },
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return json.loads(done.stdout)


ROWS = b"".join(
    json.dumps({"id": i, "problem": f"p{i}", "answer": str(i)}).encode() + b"\n" for i in range(30)
)
PINNED = "/datasets/math-ai/aime25/resolve/563bb8404243c5f09de6ec262f2db674fe5bce9b/test.jsonl"
GPQA = "/datasets/Idavidrein/gpqa/resolve/633f5ee89ab8ad4522a9f850766b73f62147ffdd/gpqa_diamond.csv"


@pytest.mark.parametrize("place", [AIME25_PLACE, GPQA_PLACE, LCB_PLACE], ids=lambda p: p.repo)
def test_every_benchmark_of_the_hub_is_pinned_to_a_commit(place: HubPlace) -> None:
    assert re.fullmatch("[0-9a-f]{40}", place.revision)


def test_the_newest_may_be_asked_for_and_its_commit_is_recorded(tmp_path: Path, hub: Hub) -> None:
    hub.files["/datasets/math-ai/aime25/resolve/main/test.jsonl"] = ROWS
    hub.files[f"/datasets/math-ai/aime25/resolve/{COMMIT}/test.jsonl"] = ROWS
    found = load(tmp_path, hub.url, "aime25", "hub:@main")
    assert found == {"problems": 30, "source": "math-ai/aime25/test.jsonl", "revision": COMMIT}


def test_aime_is_read_at_its_pinned_commit_and_then_from_the_cache(tmp_path: Path, hub: Hub):
    hub.files[PINNED] = ROWS
    found = load(tmp_path, hub.url, "aime25")
    assert found["problems"] == 30
    assert found["source"] == "math-ai/aime25/test.jsonl"
    assert found["revision"] == "563bb8404243c5f09de6ec262f2db674fe5bce9b"
    asked = hub.requests.count(PINNED)
    assert asked > 0
    assert load(tmp_path, hub.url, "aime25") == found
    assert hub.requests.count(PINNED) == asked


def test_another_revision_or_data_set_is_resolved_and_recorded(tmp_path: Path, hub: Hub):
    for revision in ("v2", COMMIT):
        hub.files[f"/datasets/me/problems/resolve/{revision}/test.jsonl"] = ROWS
    found = load(tmp_path, hub.url, "aime25", "hub:me/problems@v2")
    assert found == {"problems": 30, "source": "me/problems/test.jsonl", "revision": COMMIT}
    hub.files.clear()
    hub.failures["/datasets/me/problems/resolve/v2/test.jsonl"] = (503, "")
    assert load(tmp_path, hub.url, "aime25", "hub:me/problems@v2") == found


def test_gated_data_name_the_steps(tmp_path: Path, hub: Hub):
    hub.failures[GPQA] = (403, "GatedRepo")
    found = load(tmp_path, hub.url, "gpqa")
    assert found["error"] == "AuthError"
    for part in ("1. ", "2. ", "3. ", "datasets/Idavidrein/gpqa", "HF_TOKEN", "--data gpqa="):
        assert part in found["hint"]


@pytest.mark.parametrize(("status", "code"), [(404, "RepoNotFound"), (404, "EntryNotFound")])
def test_what_the_hub_does_not_have_is_not_found(tmp_path: Path, hub: Hub, status: int, code: str):
    hub.failures[GPQA] = (status, code)
    assert load(tmp_path, hub.url, "gpqa")["error"] == "NotFoundError"


def test_a_failing_hub_is_a_network_error(tmp_path: Path, hub: Hub):
    hub.failures[GPQA] = (503, "")
    found = load(tmp_path, hub.url, "gpqa")
    assert found["error"] == "NetworkError"
    assert "503" in found["message"]


def test_no_network_is_said_after_few_tries_with_the_remedy(tmp_path: Path):
    with unreachable() as hub:
        found = load(tmp_path, hub.url, "aime25")
    assert 1 <= hub.attempts <= 3  # the library may ask once more
    assert found["error"] == "NetworkError"
    assert "--data aime25=path/to/problems.jsonl" in found["hint"]
