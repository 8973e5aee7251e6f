"""One process at a time in a run's directory."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Generator

from filelock import FileLock, Timeout

from openthoughts_cli.errors import InUseError
from openthoughts_cli.runs.layout import RunDirectory
from openthoughts_cli.store import as_storage_errors, make_directory, write_whole

__all__ = ["locked"]


@contextlib.contextmanager
def locked(run: RunDirectory) -> Generator[None]:
    """Hold the run for this process; the system frees it however the process ends.

    Raises:
        InUseError: another process holds it, with its pid and host.
    """
    make_directory(run.path)
    owner = run.path / ".owner"
    lock = FileLock(run.lock_path, timeout=0)
    try:
        with as_storage_errors(run.lock_path):
            lock.acquire()
    except Timeout:
        who = owner.read_text().strip() if owner.exists() else "another process"
        raise InUseError(
            f"{run.path} is in use by {who}",
            hint="wait for it to end, or give this run another name (--run-name)",
        ) from None
    try:
        write_whole(owner, f"pid {os.getpid()} on {socket.gethostname()}\n")
        yield
    finally:
        lock.release()
