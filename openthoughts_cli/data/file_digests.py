"""Digests of data files' bytes, remembered by path, size and time of change.

Hashing a data set takes as long as reading it; what was hashed once is not read again until the file
changes. A file younger than two seconds is never remembered: it could be written again within the
same tick of the file system's clock.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import xxhash

from openthoughts_cli.digests import digest_text
from openthoughts_cli.errors import StorageError
from openthoughts_cli.places import index_dir
from openthoughts_cli.store import write_whole

__all__ = ["file_digest", "file_digests"]

_CHUNK_BYTES = 4 << 20
_SETTLED_NS = 2_000_000_000


def file_digests(paths: Sequence[Path]) -> list[str]:
    """XXH3-128 of each file's bytes, 32 hexadecimal digits."""
    with ThreadPoolExecutor(max_workers=2) as pool:
        return list(pool.map(file_digest, paths))


def file_digest(path: Path) -> str:
    """XXH3-128 of a file's bytes, from memory where the file is as it was."""
    memory = index_dir() / "files" / f"{digest_text(str(path.absolute()))}.json"
    before = _state(path)
    known = _read(memory)
    if known is not None and known.get("state") == before:
        return str(known["xxh3_128"])
    state = xxhash.xxh3_128()
    with path.open("rb") as file:
        while block := file.read(_CHUNK_BYTES):
            state.update(block)
    digest = state.hexdigest()
    settled = time.time_ns() - path.stat().st_mtime_ns > _SETTLED_NS
    if settled and _state(path) == before:
        record = {"path": str(path.absolute()), "state": before, "xxh3_128": digest}
        # It is only a memory: a cache that cannot be written costs time, not results.
        with contextlib.suppress(StorageError):
            write_whole(memory, json.dumps(record) + "\n")
    return digest


def _state(path: Path) -> list[int]:
    found = path.stat()
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]


def _read(memory: Path) -> dict[str, Any] | None:
    try:
        record = json.loads(memory.read_bytes())
    except (OSError, ValueError):
        return None
    whole = isinstance(record, dict) and isinstance(record.get("xxh3_128"), str)
    return record if whole else None
