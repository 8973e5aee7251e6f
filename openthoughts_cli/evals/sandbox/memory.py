"""How much memory a sandbox's processes hold together.

A limit of address space bounds one process, not sixty-four of them, and a cgroup can be had only by
some users on some systems. So the whole process table is read now and then, once for all sandboxes.
"""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path

__all__ = ["family", "resident_bytes"]

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_FRESH_S = 0.2


@dataclass(slots=True)
class _Table:
    """Children by parent, as of `read_at` (seconds of the monotonic clock)."""

    children: dict[int, list[int]]
    read_at: float


_lock = threading.Lock()
_table = _Table({}, 0.0)


def family(pid: int, *, fresh: bool = False) -> list[int]:
    """`pid` and all its descendants, parents first; empty where there is no /proc.

    Orphans of a pid namespace belong to its first process, so none is missed there.
    """
    children = _children(fresh=fresh)
    members = [pid] if children else []
    for member in members:  # grows while it is walked
        members.extend(children.get(member, ()))
    return members


def resident_bytes(pid: int) -> int:
    """Anonymous memory resident in `pid` and its descendants; pages shared by fork count twice."""
    total = 0
    for member in family(pid):
        try:
            fields = Path(f"/proc/{member}/statm").read_bytes().split()
        except OSError:  # it ended since the table was read
            continue
        total += max(0, int(fields[1]) - int(fields[2]))
    return total * _PAGE_BYTES


def _children(*, fresh: bool) -> dict[int, list[int]]:
    with _lock:
        now = time.monotonic()
        if fresh or now - _table.read_at > _FRESH_S:
            _table.children = _read_table()
            _table.read_at = time.monotonic()
        return _table.children


def _read_table() -> dict[int, list[int]]:
    children: dict[int, list[int]] = {}
    try:
        names = os.listdir("/proc")  # noqa: PTH208 - read often; pathlib takes thrice as long
    except OSError:
        return children
    for name in names:
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123
                stat = file.read()
        except OSError:
            continue
        # "pid (command) state ppid ...": the command may hold spaces and parentheses.
        parent = int(stat[stat.rindex(b")") + 2 :].split(None, 2)[1])
        children.setdefault(parent, []).append(int(name))
    return children
