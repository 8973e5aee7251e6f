"""Start a process, read what it writes within bounds, and end all of it in time."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from openthoughts_cli.evals.sandbox.execution import Limits
from openthoughts_cli.evals.sandbox.memory import family, resident_bytes

__all__ = ["Outcome", "start", "supervise"]

_CHUNK_BYTES = 1 << 16
_TICK_S = 0.1
_TICK_WITHOUT_PIDFD_S = 0.01
_WATCH_MEMORY_AFTER_S = 0.3
_DRAIN_S = 1.0


@dataclass(slots=True)
class Outcome:
    """What was read and why it ended."""

    stdout: bytearray = field(default_factory=bytearray)
    stderr: bytearray = field(default_factory=bytearray)
    channel: bytearray = field(default_factory=bytearray)
    exit_code: int | None = None
    timed_out: bool = False
    too_much_memory: bool = False
    too_much_output: bool = False
    cancelled: bool = False
    wall_s: float = 0.0


def start(argv: Sequence[str], *, stdin: int, pass_fds: Sequence[int]) -> subprocess.Popen[bytes]:
    """Start `argv` in a session of its own, with an empty environment and both outputs as pipes.

    Raises:
        OSError: it cannot be started.
    """
    return subprocess.Popen(
        argv,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={},
        cwd="/",
        pass_fds=pass_fds,
        start_new_session=True,
        bufsize=0,
    )


def supervise(
    process: subprocess.Popen[bytes],
    *,
    channel: int,
    nonce: bytes,
    limits: Limits,
    cancelled: Callable[[], bool],
    contained: bool,
) -> Outcome:
    """Read what `process` writes until it ends or must be ended; nothing of it is left.

    `channel` is the read end of a pipe whose write end the process holds. The clock of
    `limits.wall_s` starts when `nonce` arrives on it. `contained`: the end of the process is the
    end of its descendants (a pid namespace); else its session is killed as well. Nothing that the
    program leaves behind, such as a daemon that holds its stdout open, delays the return.
    """
    assert process.stdout is not None
    assert process.stderr is not None
    supervisor = _Supervisor(process, nonce, limits, cancelled)
    with process.stdout as stdout, process.stderr as stderr:
        try:
            return supervisor.run(stdout.fileno(), stderr.fileno(), channel)
        finally:
            _end(process, contained=contained)


class _Supervisor:
    """The loop over one process's streams."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        nonce: bytes,
        limits: Limits,
        cancelled: Callable[[], bool],
    ) -> None:
        self.process = process
        self.nonce = nonce
        self.limits = limits
        self.cancelled = cancelled
        self.outcome = Outcome()
        self.started = time.monotonic()
        self.deadline = self.started + limits.startup_s
        self.code_started: float | None = None
        self.next_look = self.started + _WATCH_MEMORY_AFTER_S
        self.selector = selectors.DefaultSelector()
        self.streams: dict[int, bytearray] = {}

    def run(self, stdout: int, stderr: int, channel: int) -> Outcome:
        """Read until the process ends; then take what is already there."""
        outcome = self.outcome
        self.streams = {stdout: outcome.stdout, stderr: outcome.stderr, channel: outcome.channel}
        pidfd = _open_pidfd(self.process.pid)
        with self.selector:
            for stream in self.streams:
                os.set_blocking(stream, False)
                self.selector.register(stream, selectors.EVENT_READ)
            if pidfd is not None:
                self.selector.register(pidfd, selectors.EVENT_READ)
            try:
                while not self._ended() and not self._must_stop():
                    self._read(_TICK_S if pidfd is not None else _TICK_WITHOUT_PIDFD_S)
                if outcome.exit_code is not None:
                    self._drain(pidfd)
            finally:
                if pidfd is not None:
                    os.close(pidfd)
        outcome.wall_s = time.monotonic() - (self.code_started or self.started)
        return outcome

    def _ended(self) -> bool:
        code = self.process.poll()
        if code is not None:
            self.outcome.exit_code = 128 - code if code < 0 else code
        return code is not None

    def _must_stop(self) -> bool:
        outcome, now = self.outcome, time.monotonic()
        if outcome.too_much_output:
            return True
        if now >= self.deadline:
            outcome.timed_out = True
        elif self.cancelled():
            outcome.cancelled = True
        elif now >= self.next_look:
            held = resident_bytes(self.process.pid)
            outcome.too_much_memory = held > self.limits.memory_bytes
            self.next_look = time.monotonic() + 2 * _TICK_S
        return outcome.timed_out or outcome.cancelled or outcome.too_much_memory

    def _read(self, timeout_s: float) -> bool:
        """Take one chunk from each stream that has one; says whether any had."""
        until_deadline = max(0.0, self.deadline - time.monotonic())
        got_any = False
        for key, _ in self.selector.select(min(timeout_s, until_deadline)):
            stream = key.fd
            if stream not in self.streams:
                continue
            try:
                chunk = os.read(stream, _CHUNK_BYTES)
            except BlockingIOError:
                continue
            if chunk:
                got_any = True
                self._keep(self.streams[stream], chunk)
            else:
                self.selector.unregister(stream)
        return got_any

    def _keep(self, kept: bytearray, chunk: bytes) -> None:
        room = self.limits.output_bytes - len(kept)
        kept += chunk[:room]
        if len(chunk) > room:
            self.outcome.too_much_output = True
        if self.code_started is None and self.outcome.channel.startswith(self.nonce):
            self.code_started = time.monotonic()
            self.deadline = self.code_started + self.limits.wall_s

    def _drain(self, pidfd: int | None) -> None:
        """After the end: read to the end of the streams, or what a survivor left in the pipes."""
        if pidfd is not None:
            self.selector.unregister(pidfd)
        self.deadline = time.monotonic() + _DRAIN_S
        while self.selector.get_map() and not self.outcome.too_much_output:
            waited_long = time.monotonic() >= self.deadline
            if not self._read(0.0 if waited_long else 0.05) and waited_long:
                return


def _open_pidfd(pid: int) -> int | None:
    """A descriptor that turns readable at the end of `pid`, None where the system has none."""
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return None


def _end(process: subprocess.Popen[bytes], *, contained: bool) -> None:
    """Kill whatever is left.

    A sandbox that is still being built does not end with its parent yet. Its first process is
    killed by number where it exists already, and by its group where it was made since: it leaves
    the group only later.
    """
    running = process.poll() is None
    if running:
        for member in family(process.pid, fresh=True)[1:]:
            _kill(os.kill, member)
    if running or not contained:
        _kill(os.killpg, process.pid)
    process.wait()


def _kill(kill: Callable[[int, int], None], number: int) -> None:
    try:
        kill(number, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # ended, or (a group) of another user by now
        return
