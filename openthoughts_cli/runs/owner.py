"""Who holds a run's directory, as text in it, and whether that process is still there.

A process id alone does not say: it is given away anew, at the latest after the machine starts again.
So the text also says when the process started, where the system tells (Linux's /proc).
"""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path

__all__ = ["is_alive", "owner_text", "owner_words"]

_OWNER = re.compile(r"pid (\d+) on (\S+)")
_STARTED = re.compile(r"^started (\S+)$", re.MULTILINE)
_PROC = Path("/proc")


def owner_text() -> str:
    """What this process writes into a directory that it holds."""
    pid = os.getpid()
    started = _started(pid)
    return f"pid {pid} on {socket.gethostname()}\n" + (f"started {started}\n" if started else "")


def owner_words(text: str) -> str:
    """The same for a person: the process and its host."""
    found = _OWNER.search(text)
    return found[0] if found else "another process"


def is_alive(text: str) -> bool:
    """Whether the process that wrote `text` is there; on another host it is taken to be."""
    found = _OWNER.search(text)
    if found is None or found[2] != socket.gethostname():
        return found is not None
    pid = int(found[1])
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # another user's, or another user's of that id
    except OverflowError:
        return False
    told = _STARTED.search(text)
    now = _started(pid)
    return told is None or now is None or told[1] == now


def _started(pid: int) -> str | None:
    """When a process started: the boot, and the clock ticks since it (field 22 of its stat)."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        stat = (_PROC / str(pid) / "stat").read_bytes()
        return f"{boot}/{int(stat.rpartition(b')')[2].split()[19])}"
    except (OSError, ValueError, IndexError):
        return None
