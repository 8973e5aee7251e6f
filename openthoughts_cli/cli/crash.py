"""Crash files: the traceback of a bug, kept for a report, with secrets taken out, for its owner alone."""

from __future__ import annotations

import datetime
import os
import platform
import shlex
import sys
import traceback
from pathlib import Path

from openthoughts_cli.errors import StorageError
from openthoughts_cli.places import cache_dir
from openthoughts_cli.redaction import redact
from openthoughts_cli.store import write_whole

__all__ = ["crashes_dir", "write_crash_file"]


def crashes_dir() -> Path:
    """The directory of crash files."""
    return cache_dir() / "crashes"


def write_crash_file(error: BaseException, args: list[str]) -> str:
    """Write the traceback of `error` and return the file's path, or why there is none."""
    now = datetime.datetime.now(datetime.UTC)
    lines = [
        f"time: {now.isoformat(timespec='seconds')}",
        f"command: ot {shlex.join(args)}",
        f"python: {sys.version}",
        f"platform: {platform.platform()}",
        "",
        *traceback.format_exception(error),
    ]
    path = crashes_dir() / f"{now:%Y%m%d-%H%M%S}-{os.getpid()}.txt"
    try:
        write_whole(path, redact("\n".join(lines)))
    except StorageError as problem:
        why = getattr(problem.__cause__, "strerror", None) or problem.message
        return f"no file, since {path.parent} cannot be written ({why})"
    return str(path)
