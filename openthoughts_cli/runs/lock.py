"""One process at a time in a run's directory."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from pathlib import Path

from filelock import FileLock, Timeout

from openthoughts_cli.errors import InUseError
from openthoughts_cli.runs.layout import RunDirectory
from openthoughts_cli.runs.owner import owner_text, owner_words
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
        raise InUseError(
            f"{run.path} is in use by {owner_words(_text(owner))}",
            hint="wait for it to end, or give this run another name (--run-name)",
        ) from None
    try:
        write_whole(owner, owner_text())
        yield
    finally:
        with contextlib.suppress(OSError):
            owner.unlink()  # before the lock goes: afterwards it may be another's
        lock.release()


def _text(owner: Path) -> str:
    try:
        return owner.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""  # let go of just now
