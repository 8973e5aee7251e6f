"""Whether a file has changed since it was read, for what is kept in memory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeAlias

__all__ = ["Stamp", "file_stamp"]

Stamp: TypeAlias = tuple[int, int, int]


def file_stamp(path: Path | str) -> Stamp:
    """Another value once a file was written, replaced or removed: its size, time and number.

    The number tells a file apart that was put in the place of one of the same size within one tick
    of the file system's clock.
    """
    try:
        found = os.stat(path)  # noqa: PTH116 - a table of runs asks for thousands every few seconds
    except OSError:
        return 0, 0, 0
    return found.st_size, found.st_mtime_ns, found.st_ino
