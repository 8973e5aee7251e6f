"""The sandbox of this machine for programs that mean harm, and a run with short limits."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from openthoughts_cli.evals.sandbox import Execution, Limits, Sandbox

_MIB = 1024 * 1024
SHORT = Limits(wall_s=3.0, startup_s=60.0, output_bytes=4 * _MIB)

Run = Callable[..., Execution]


@pytest.fixture(scope="session")
def sandbox() -> Sandbox:
    """The sandbox, or a skip that says why there is none."""
    chosen = Sandbox()
    status = chosen.probe()
    if not status.available:
        pytest.skip(f"no sandbox on this system: {status.reason}")
    return chosen


@pytest.fixture(scope="session")
def run(sandbox: Sandbox) -> Run:
    """Run Python source with short limits."""

    def run_source(source: str, *, stdin: bytes = b"", limits: Limits = SHORT) -> Execution:
        return sandbox.run(source, stdin=stdin, limits=limits)

    return run_source
