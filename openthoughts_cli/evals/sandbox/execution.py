"""What a sandboxed program may use, and what came of it."""

from __future__ import annotations

import signal
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Execution", "Limits", "SandboxStatus"]

_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of one program. Every one holds for root, too, except without a sandbox."""

    wall_s: float = 6.0
    """Seconds from the moment the program's own code starts until all of it is killed."""

    startup_s: float = 20.0
    """Seconds allowed for building the sandbox and starting Python, before `wall_s` begins."""

    memory_bytes: int = 2048 * _MIB
    """Address space of each process, and resident anonymous memory of all of them together."""

    processes: int = 64
    """Processes and threads together."""

    file_bytes: int = 64 * _MIB
    """Size of any one file; /tmp holds as much in all, and so does /dev/shm."""

    output_bytes: int = 16 * _MIB
    """Of stdout, of stderr and of the reply, each: beyond it the program is killed."""

    open_files: int = 256
    """File descriptors of each process."""

    stack_bytes: int = 112 * _MIB
    """How far the main thread's stack may grow (threads choose their own)."""

    def as_record(self) -> dict[str, Any]:
        """The limits as JSON, for a result's `config.json`."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Execution:
    """What came of one program.

    `reply` is what a driver sent back on its own channel, None where nothing complete arrived.
    `exit_code` is 128 + n where signal n ended it, None where the sandbox killed it.
    `out_of_memory`: a MemoryError ended the program, or all its processes together held too much.
    `isolation` says what stood around it: "bubblewrap 0.8.0", or "none" (unsafe).
    """

    stdout: bytes
    stderr: bytes
    reply: bytes | None
    exit_code: int | None
    timed_out: bool
    out_of_memory: bool
    output_truncated: bool
    cancelled: bool
    wall_s: float
    isolation: str

    @property
    def last_line(self) -> str:
        """The last line on stderr that is not blank: of a Python crash, the exception."""
        text = self.stderr[-16384:].decode("utf-8", "replace")
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return _printable(lines[-1])[:300] if lines else ""

    @property
    def crashed(self) -> bool:
        """Whether it says of itself that an exception ended it (`sys.exit(1)` is none)."""
        return bool(self.exit_code) and b"Traceback (most recent call last):" in self.stderr

    @property
    def signal_name(self) -> str:
        """The name of the signal that ended the program ("SIGSEGV"), or ""."""
        if self.exit_code is None or self.exit_code <= 128:
            return ""
        try:
            return signal.Signals(self.exit_code - 128).name
        except ValueError:
            return ""


@dataclass(frozen=True, slots=True)
class SandboxStatus:
    """Whether programs can be isolated on this machine; `reason` and `hint` explain why not."""

    available: bool
    isolation: str
    reason: str = ""
    hint: str = ""
    notes: tuple[str, ...] = ()


def _printable(text: str) -> str:
    """`text` without control characters, so that it may be shown on a terminal."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
