"""What processes that were killed left behind, told apart from what living ones are writing.

Everything unfinished bears the process in its name: `.<name>.partial-<here>-<pid>-<random>`, where
`here` stands for this machine and this space of process numbers (a container has its own). Only
what a dead process of `here` left is ever removed; what comes from another machine is not judged.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import shutil
import socket
from pathlib import Path

__all__ = ["aside_name", "old_name", "settle", "sweep", "sweep_once", "sweep_scratch"]

_PARTIAL, _OLD = ".partial-", ".old-"
_FIRST_SPACE = "pid:[4026531836]"
"""The space of process numbers that a machine starts with (the kernel's PROC_PID_INIT_INO)."""
_MOST_BYTES = 150
"""Of the name that is kept in a temporary one: the system allows 255 in all."""

_swept: set[Path] = set()


def aside_name(name: str) -> str:
    """How the name of something unfinished begins; random letters are put behind it."""
    kept = os.fsencode(name)[:_MOST_BYTES].decode("utf-8", "ignore")
    return f".{kept}{_PARTIAL}{_mark()}"


def old_name(name: str) -> str:
    """The same for what is about to be replaced."""
    return f".{name}{_OLD}{_mark()}"


def sweep(directory: Path) -> None:
    """Remove what dead processes left unfinished in `directory`, and put back what one had moved
    away and not replaced yet."""
    _swept.add(directory)
    for left in _listed(directory):
        for kind in (_PARTIAL, _OLD):
            name, found, rest = left.name.rpartition(kind)
            if found and left.name.startswith(".") and _is_of_the_dead(rest):
                if kind == _PARTIAL:
                    _remove(left)
                else:
                    settle(left, directory / name[1:])


def settle(old: Path, place: Path) -> None:
    """Put what `old` holds back where nothing has taken its place, and remove `old`; where it cannot
    be put back it stays, since it is the only copy."""
    kept = old / "it"
    with contextlib.suppress(OSError):
        if kept.exists() and not place.exists():
            kept.replace(place)
    with contextlib.suppress(OSError):
        if place.exists() or not kept.exists():
            _remove(old)


def sweep_once(directory: Path) -> None:
    """`sweep`, at this process's first write in `directory`: small files are written often."""
    if directory not in _swept:
        sweep(directory)


def sweep_scratch(directory: Path, prefix: str) -> str:
    """Remove what dead processes left in a directory for temporary files, and name the next.

    Returns:
        How the name of this process's own begins.
    """
    for left in _listed(directory):
        if left.name.startswith(prefix) and _is_of_the_dead(left.name.removeprefix(prefix)):
            _remove(left)
    return f"{prefix}{_mark()}"


def _listed(directory: Path) -> list[Path]:
    try:
        return list(directory.iterdir())
    except OSError:
        return []  # who writes there is told


def _mark() -> str:
    return f"{_here()}-{os.getpid()}-"


@functools.cache
def _here() -> str:
    name = socket.gethostname()
    host = "".join(letter for letter in name if letter.isalnum())[:16]
    space = machine = boot = ""
    with contextlib.suppress(OSError):
        space = str(Path("/proc/self/ns/pid").readlink())
    with contextlib.suppress(OSError, ValueError):
        machine = Path("/etc/machine-id").read_text(encoding="ascii").strip()
    if space != _FIRST_SPACE or not machine:
        # A container: its image may have named the machine, and its space is numbered by the kernel
        # that runs now, so that containers of two machines look alike without it.
        with contextlib.suppress(OSError, ValueError):
            boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
    # All of the host's name: hosts of a cluster differ in its end.
    return host + hashlib.sha256(f"{name}\0{space}{machine}{boot}".encode()).hexdigest()[:6]


def _is_of_the_dead(rest: str) -> bool:
    here, _, behind = rest.partition("-")
    pid = behind.partition("-")[0]
    return here == _here() and pid.isdecimal() and not _is_alive(int(pid))


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True  # another user's; or no number of a process
    return True


def _remove(left: Path) -> None:
    if left.is_dir() and not left.is_symlink():
        shutil.rmtree(left, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            left.unlink(missing_ok=True)
