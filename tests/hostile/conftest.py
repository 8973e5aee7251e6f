"""The sandbox of this machine for programs that mean harm, and a run with short limits."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from openthoughts_cli.evals.sandbox import Execution, Limits, Sandbox
from openthoughts_cli.evals.sandbox.bubblewrap import bubblewraps
from openthoughts_cli.evals.sandbox.isolation import Isolation
from openthoughts_cli.evals.sandbox.namespaces import OwnNamespaces

SOAK = int(os.environ.get("OT_TEST_SOAK", "1"))
_SLOW = ("test_exhaustion.py", "test_verdicts.py")
_MIB = 1024 * 1024
SHORT = Limits(wall_s=3.0, startup_s=60.0, output_bytes=4 * _MIB)

Run = Callable[..., Execution]


def _isolations() -> dict[str, Isolation]:
    """Each kind of isolation once: the bubblewrap that is used first, and our own."""
    found: dict[str, Isolation] = {}
    for each in bubblewraps():
        found.setdefault("bubblewrap", each)
    found["namespaces"] = OwnNamespaces()
    return found


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The programs that take their time meet the second isolation in `make soak` alone, or where
    there is no other: the suite has a minute for what is the same kernel's work."""
    if SOAK > 1 or not bubblewraps():
        return
    for item in items:
        if item.path.name in _SLOW and "[namespaces" in item.name:
            item.add_marker(pytest.mark.skip(reason="OT_TEST_SOAK=2 runs it"))


@pytest.fixture(scope="session", params=["bubblewrap", "namespaces"])
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    """The sandbox of one isolation, or a skip that says why there is none."""
    isolation = _isolations().get(request.param)
    chosen = Sandbox(candidates=[] if isolation is None else [isolation])
    status = chosen.probe()
    if not status.available:
        pytest.skip(f"no {request.param} on this system: {status.reason}")
    return chosen


@pytest.fixture(scope="session")
def run(sandbox: Sandbox) -> Run:
    """Run Python source with short limits."""

    def run_source(source: str, *, stdin: bytes = b"", limits: Limits = SHORT) -> Execution:
        return sandbox.run(source, stdin=stdin, limits=limits)

    return run_source
