"""The fallback where no bubblewrap is to be had: namespaces that a Python process of ours builds.

The same walls, by the same system calls, from the same view of the host; `launch.py` is what runs in
the process that builds them. It needs what bubblewrap needs of the kernel, and takes one more start
of Python for each program.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from openthoughts_cli.errors import SandboxError
from openthoughts_cli.evals.sandbox import launch
from openthoughts_cli.evals.sandbox.handover import BOOT, compiled, pack_job, sealed_file
from openthoughts_cli.evals.sandbox.isolation import Surroundings
from openthoughts_cli.evals.sandbox.view import host_steps, interpreter

__all__ = ["OwnNamespaces"]


@dataclass(frozen=True, slots=True)
class OwnNamespaces:
    """See the module. Every Linux with Python can try; the probe says whether it works."""

    label: str = "namespaces (built by ot)"

    def wrap(
        self,
        command: Sequence[str],
        inherited: Sequence[int],
        around: Surroundings,
        kept: Callable[[int], int],
    ) -> tuple[list[str], list[int]]:
        """As `Isolation.wrap`.

        Raises:
            SandboxError: there is no system call filter, which alone keeps programs here from making
                namespaces of their own.
        """
        if around.filter is None:
            raise SandboxError("it needs the system call filter, which this architecture has not")
        plan: dict[str, Any] = {
            "steps": host_steps(around.packages),
            "command": [os.fsencode(word) for word in command],
            "inherited": list(inherited),
            "file_bytes": around.limits.file_bytes,
            # Of an ordinary user the ids outside; of root none, who needs no user namespace.
            "ids": None if around.as_root else (os.geteuid(), os.getegid()),
            "filter": around.filter,
            "parent": os.getpid(),
        }
        file = kept(sealed_file(pack_job(compiled(launch.__name__), plan)))
        start = [interpreter(), "-X", "utf8", "-I", "-S", "-B", "-c", BOOT, str(file)]
        return start, [*inherited, file]
