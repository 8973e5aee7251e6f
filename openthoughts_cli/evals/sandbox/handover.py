"""What passes between the sandbox and its maker: a job goes in, a framed reply comes back.

Both go by descriptor. The job is marshalled by this process and read inside, never the other way;
what comes back is bytes and is parsed as bytes.
"""

from __future__ import annotations
import __future__

import ast
import fcntl
import functools
import importlib
import inspect
import marshal
import os
import resource
import tempfile
from collections.abc import Mapping
from pathlib import PurePosixPath
from types import CodeType
from typing import Any

from openthoughts_cli.evals.sandbox.execution import Limits

__all__ = [
    "BOOT",
    "checked_paths",
    "compiled",
    "pack_job",
    "reply_in",
    "resource_limits",
    "sealed_file",
]

# The first thing that Python runs inside: read the code and the job, close the descriptor, enter.
BOOT = (
    "import marshal,sys\n"
    "with open(int(sys.argv[1]),'rb') as f: c,j=marshal.load(f)\n"
    "n={'__name__':'inside'}\n"
    "exec(c,n)\n"
    "n['enter'](j)"
)
_LENGTH_BYTES = 8


@functools.cache
def compiled(name: str) -> CodeType:
    """The code of the project's own module `name`, to be run where it cannot be imported.

    Its `from __future__` imports are obeyed here and left out there: each would read a file, 0.2 ms
    of the 20 ms that a test takes.
    """
    tree = ast.parse(inspect.getsource(importlib.import_module(name)))
    flags = 0
    for statement in list(tree.body):
        if isinstance(statement, ast.ImportFrom) and statement.module == "__future__":
            for alias in statement.names:
                flags |= getattr(__future__, alias.name).compiler_flag
            tree.body.remove(statement)
    short = name.rpartition(".")[2]
    return compile(tree, f"<{short}>", "exec", flags, dont_inherit=True, optimize=2)


def pack_job(code: CodeType, job: Mapping[str, Any]) -> bytes:
    """The code that enters and its job as the bytes that `BOOT` reads.

    Raises:
        ValueError: the job holds something that is not plain data.
    """
    return marshal.dumps((code, dict(job)))


def sealed_file(content: bytes) -> int:
    """A descriptor, open for reading at the start, of a nameless file that nobody can change."""
    if not hasattr(os, "memfd_create"):  # not Linux: only without isolation
        with tempfile.TemporaryFile() as file:
            file.write(content)
            file.flush()
            file.seek(0)
            return os.dup(file.fileno())
    memory = os.memfd_create("ot", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(memory, rest) :]
        seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
        fcntl.fcntl(memory, fcntl.F_ADD_SEALS, seals)
        return os.open(f"/proc/self/fd/{memory}", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(memory)


def reply_in(channel: bytes | bytearray, nonce: bytes) -> bytes | None:
    """The reply that arrived whole: nonce, length (8 bytes, big-endian), reply, nonce."""
    start = len(nonce) + _LENGTH_BYTES
    if not channel.startswith(nonce) or len(channel) < start + len(nonce):
        return None
    length = int.from_bytes(channel[len(nonce) : start], "big")
    if channel[start + length : start + length + len(nonce)] != nonce:
        return None
    return bytes(channel[start : start + length])


def resource_limits(limits: Limits) -> list[tuple[int, int]]:
    """Pairs of an RLIMIT_ number and its bound, in the order in which they are set."""
    return [
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, limits.open_files),
        (resource.RLIMIT_FSIZE, limits.file_bytes),
        (resource.RLIMIT_STACK, limits.stack_bytes),
        (resource.RLIMIT_NPROC, limits.processes),
        (resource.RLIMIT_AS, limits.memory_bytes),
    ]


def checked_paths(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """`files`, whose paths stay below the working directory.

    Raises:
        ValueError: one does not.
    """
    for path in files:
        pure = PurePosixPath(path)
        if pure.is_absolute() or ".." in pure.parts or not pure.parts or "\0" in path:
            raise ValueError(f"{path!r} is not a path below the working directory")
    return dict(files)
