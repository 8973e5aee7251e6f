"""Every test runs apart from this machine: no credentials, no hub, runs and subsets of its own.

Models are the exception: they are large, so all tests share one cache, `$OT_TEST_CACHE` or else the
user's own. `OT_TEST_HUB=1` lets the Hugging Face hub be asked; without it a test that forgets to
bring its own data fails at once and does not hang. `OT_TEST_SOAK=N` kills N times as often.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hypothesis
import pytest

# A deadline is a bound on wall-clock time, which a busy machine breaks.
hypothesis.settings.register_profile("ot", deadline=None)
hypothesis.settings.load_profile("ot")

_PRIVATE = ("TINKER_", "WANDB_", "HF_", "HUGGING_FACE_", "HUGGINGFACE_", "OT_")
_KEPT = ("OT_TEST_CACHE", "OT_TEST_HUB", "OT_TEST_SOAK")


def _isolate() -> None:
    for name in list(os.environ):
        if name.startswith(_PRIVATE) and name not in _KEPT:
            del os.environ[name]
    os.environ["WANDB_MODE"] = "disabled"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    if os.environ.get("OT_TEST_HUB") != "1":
        os.environ["HF_HUB_OFFLINE"] = "1"
    if cache := os.environ.get("OT_TEST_CACHE"):
        os.environ["OT_CACHE"] = cache
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES"):
        os.environ.pop(name, None)
    os.environ.update(OMP_WAIT_POLICY="PASSIVE", GOMP_SPINCOUNT="0", TERM="xterm-256color")


def _hear_ctrl_c() -> None:
    """Undo an ignored SIGINT, which a background job inherits and hands on to every child.

    Tests send it, here and to processes of their own.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.default_int_handler)


_hear_ctrl_c()
_isolate()  # before any test module imports a library that reads the environment once


_IS_SOAK = os.environ.get("OT_TEST_SOAK", "1") != "1"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """In a soak no test has a time limit: their marks are for the usual number of tries, and would
    outrank `--timeout 0`."""
    for item in items if _IS_SOAK else ():
        item.add_marker(pytest.mark.timeout(0), append=False)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """In a soak a failure is told at once: one that is stopped gets no summary."""
    if _IS_SOAK and report.failed:
        print(f"\n{report.nodeid}: {report.when} failed\n{report.longreprtext}", flush=True)


@pytest.fixture(autouse=True)
def own_places(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs, subsets and indexes of this test alone; whoever writes there makes the directory."""
    root = tmp_path_factory.getbasetemp() / "places" / os.urandom(6).hex()
    monkeypatch.setenv("OT_RUNS", str(root / "runs"))
    monkeypatch.setenv("OT_SUBSETS", str(root / "subsets"))
    monkeypatch.setenv("OT_INDEX", str(root / "index"))
    monkeypatch.setenv("OT_SWEEPS", str(root / "sweeps"))
    monkeypatch.setenv("OT_STATE", str(root / "state"))


@dataclass(frozen=True, slots=True)
class CommandResult:
    """How a command ended: its exit code, what it wrote to stdout and to stderr."""

    code: int
    out: str
    err: str


@pytest.fixture
def ot(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., CommandResult]:
    """Run the command line in this process: `ot("subset", "--limit", 5).code`."""
    for name in ("OT_OFFLINE", "HF_HUB_OFFLINE"):  # what --offline sets, for this process
        monkeypatch.setenv(name, os.environ.get(name, ""))

    def call(*args: Any) -> CommandResult:
        from openthoughts_cli.__main__ import main

        capsys.readouterr()
        code = main([str(arg) for arg in args])
        captured = capsys.readouterr()
        return CommandResult(code, captured.out, captured.err)

    return call


@pytest.fixture
def repo() -> Path:
    """The root of the source tree."""
    return Path(__file__).parents[1]
