"""What can stand around a program: bubblewrap, or namespaces of our own making.

Root and ordinary users are served differently by both. An ordinary user gets a user namespace. Root
builds the other namespaces as root (the interpreter may lie in /root, which nobody else may enter)
and the program then becomes a real user that nobody else has, because the kernel does not limit the
number of root's processes, not even behind a user namespace.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from openthoughts_cli.evals.sandbox.execution import Limits

__all__ = ["Isolation", "Surroundings", "fresh_uid"]

_FIRST_UID, _LAST_UID = 0x40000000, 0x7FFFFFFF


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is asked of an isolation. `filter` is the system call filter, None without one."""

    limits: Limits
    packages: tuple[str, ...]
    as_root: bool
    filter: bytes | None


class Isolation(Protocol):
    """One way to isolate programs on this machine."""

    @property
    def label(self) -> str:
        """Its name in every result, such as "bubblewrap 0.8.0 (system)"."""
        ...

    def wrap(
        self,
        command: Sequence[str],
        inherited: Sequence[int],
        around: Surroundings,
        kept: Callable[[int], int],
    ) -> tuple[list[str], list[int]]:
        """The command that runs `command` inside, and the descriptors that it must be given.

        Args:
            inherited: the descriptors that the program itself is given.
            kept: told of each descriptor that is opened here, to close it once the command runs.
        """
        ...


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
