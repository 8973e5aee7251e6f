"""Real `ot` processes without their seconds of imports, forked from one that has imported everything.

Each is a process of its own that runs the whole command line as `python -m openthoughts_cli` does, with
its own arguments, directory, environment and files, and ends as the interpreter ends. Nothing but
imports has run in the parent, so a fork finds no threads and no state.

    with WarmOt(LOCAL) as warm:
        ended = warm.run(["runs", "ls"], cwd=place, env=os.environ)

Run as a program it is the parent: it serves a Unix socket until its stdin closes.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "COMMANDS",
    "LOCAL",
    "STRICT",
    "TINKER",
    "Ended",
    "Started",
    "WarmOt",
    "WarmStart",
    "read_early",
    "run_cold",
]

COMMANDS = (
    "openthoughts_cli.cli.boundary",
    "openthoughts_cli.cli.train",
    "openthoughts_cli.cli.render.train_view",
    "openthoughts_cli.cli.render.plan",
    "openthoughts_cli.config.load",
    "openthoughts_cli.training.verb",
    "transformers",
    "datasets",
)
LOCAL = (*COMMANDS, "openthoughts_cli.engine.local.engine", "peft")
TINKER = (*COMMANDS, "openthoughts_cli.engine.tinker.engine")

STRICT = ("-W", "error::FutureWarning")
"""Options of the interpreter under which a deprecated call is an error."""

_CLIENT = """#!{python} -SE
import json, os, socket, sys
link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
link.connect({address!r})
request = {{"argv": sys.argv[1:], "cwd": os.getcwd(), "env": dict(os.environ)}}
socket.send_fds(link, [json.dumps(request).encode()], [0, 1, 2])
link.recv(64)
sys.exit(int(link.recv(64)))
"""


def read_early(env: Mapping[str, str]) -> dict[str, str]:
    """The variables that libraries read while they are imported: a warm process cannot change them."""
    early = ("HF_", "HUGGING", "TRANSFORMERS_", "TOKENIZERS_", "PYTHON", "OMP_", "GOMP_", "POLARS_")
    return {name: value for name, value in env.items() if name.startswith(early)}


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended: its exit code (negative: the signal that killed it) and what it wrote."""

    code: int
    out: str
    err: str


class Started:
    """One `ot` that runs. Its `wait`, `poll` and `communicate` are those of `subprocess.Popen`."""

    def __init__(self, link: socket.socket, out: Path, err: Path) -> None:
        self._link = link
        self._out = out
        self._err = err
        self.pid = int(link.recv(64))
        self.returncode: int | None = None

    def send_signal(self, sent: signal.Signals) -> None:
        """Send it a signal; one that has ended hears none."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, sent)

    def poll(self, timeout: float = 0) -> int | None:
        """Its exit code, or None if it still runs after so many seconds."""
        if self.returncode is None and select.select([self._link], [], [], timeout)[0]:
            self.wait()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, when it has ended."""
        if self.returncode is None:
            self._link.settimeout(timeout)
            self.returncode = int(self._link.recv(64))
            self._link.close()
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """What it wrote to stdout and to stderr, when it has ended."""
        self.wait(timeout)
        return self._out.read_text(errors="replace"), self._err.read_text(errors="replace")


class WarmOt:
    """Starts `ot` processes. A context manager.

    Args:
        modules: what is imported beforehand.
        env: the environment in which that is done; those of the processes are their own.
        options: options of the interpreter, such as `STRICT`.
    """

    def __init__(
        self,
        modules: Sequence[str] = LOCAL,
        *,
        env: Mapping[str, str] = os.environ,
        options: Sequence[str] = (),
    ) -> None:
        self.env = dict(env)
        self._place = tempfile.TemporaryDirectory(prefix="warm-ot-")
        self._address = f"{self._place.name}/socket"
        self._count = 0
        self._process = subprocess.Popen(
            [sys.executable, *options, "-m", "tests.tools.warm_ot", self._address, *modules],
            env={**env, "PYTHONPATH": str(Path(__file__).parents[2])},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"

    def start(
        self,
        arguments: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        log: Path | None = None,
    ) -> Started:
        """Start one, with no input; stdout and stderr are kept, or appended to `log`."""
        self._count += 1
        out, err = (
            log or Path(f"{self._place.name}/{self._count}.{way}") for way in ("out", "err")
        )
        link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        link.connect(self._address)
        request = {"argv": list(arguments), "cwd": str(cwd), "env": dict(env)}
        with Path(os.devnull).open() as null, out.open("ab") as to_out, err.open("ab") as to_err:
            files = [null.fileno(), to_out.fileno(), to_err.fileno()]
            socket.send_fds(link, [json.dumps(request).encode()], files)
            return Started(link, out, err)

    def run(
        self, arguments: Sequence[str], *, cwd: Path, env: Mapping[str, str], timeout_s: float = 240
    ) -> Ended:
        """Run one to its end."""
        started = self.start(arguments, cwd=cwd, env=env)
        try:
            out, err = started.communicate(timeout_s)
        except TimeoutError:
            started.send_signal(signal.SIGKILL)
            raise
        return Ended(started.wait(), out, err)

    def client(self, place: Path) -> Path:
        """Write `place/ot`, a program for shells that runs one with the shell's own files."""
        place.mkdir(parents=True, exist_ok=True)
        path = place / "ot"
        path.write_text(_CLIENT.format(python=sys.executable, address=self._address))
        path.chmod(0o755)
        return path

    def close(self) -> None:
        """End the parent; processes that run go on."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(timeout=60)
        self._process.stdout.close()
        self._place.cleanup()

    def __enter__(self) -> WarmOt:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def run_cold(
    arguments: Sequence[str], *, cwd: Path, env: Mapping[str, str], timeout_s: float = 240
) -> Ended:
    """The same by an interpreter of its own."""
    done = subprocess.run(
        [sys.executable, *STRICT, "-m", "openthoughts_cli", *arguments],
        cwd=cwd, env=dict(env), stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=timeout_s, check=False,
    )  # fmt: skip
    return Ended(done.returncode, done.stdout, done.stderr)


class WarmStart:
    """Starts `ot` processes one after the other in `directory`; all write to `log`."""

    def __init__(
        self, directory: Path, *, modules: Sequence[str], env: dict[str, str], log: Path
    ) -> None:
        self._warm = WarmOt((*COMMANDS, *modules), env=env)
        self._directory = directory
        self._log = log
        self._last: Started | None = None

    def start(self, *arguments: object) -> int:
        """Start one; returns its pid. End it with `wait` before the next."""
        words = [str(argument) for argument in arguments]
        env = self._warm.env
        self._last = self._warm.start(words, cwd=self._directory, env=env, log=self._log)
        return self._last.pid

    def wait(self) -> int:
        """The exit code of the one started last; negative: the signal that killed it."""
        assert self._last is not None
        return self._last.wait()

    def ends_within(self, seconds: float) -> bool:
        """Wait so long at most for the one started last; whether it has ended."""
        assert self._last is not None
        return self._last.poll(seconds) is not None

    def said(self) -> str:
        """All that the processes wrote."""
        return self._log.read_text(errors="replace")

    def __enter__(self) -> WarmStart:
        return self

    def __exit__(self, *error: object) -> None:
        self._warm.close()


def _serve(address: str, modules: Sequence[str]) -> None:
    """Serve until stdin closes. Returns in that case, and in each new process, which is to run `ot`."""
    for module in modules:
        importlib.import_module(module)
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # who attends a process is not waited for
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(address)
        listener.listen(64)
        os.write(1, b"ready\n")
        while True:
            ready, _, _ = select.select([0, listener], [], [])
            if 0 in ready:
                os._exit(0)
            link, _ = listener.accept()
            if os.fork() == 0:
                break
            link.close()
    _attend(link)


def _attend(link: socket.socket) -> None:
    """Fork the process, tell its pid and then its exit code. Returns in the process alone."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    message, files, _, _ = socket.recv_fds(link, 1 << 20, 3)
    request = json.loads(message)
    pid = os.fork()
    if pid:
        for file in (0, 1, 2, *files):
            os.close(file)
        link.send(str(pid).encode())
        _, status = os.waitpid(pid, 0)
        link.send(str(os.waitstatus_to_exitcode(status)).encode())
        os._exit(0)
    link.close()
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    # Anew, as the interpreter opens them: the parent's know whether its own files could be sought in.
    sys.stdin, sys.stdout = os.fdopen(0, closefd=False), os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    sys.argv[:] = ["ot", *request["argv"]]
    signal.signal(signal.SIGINT, signal.default_int_handler)


if __name__ == "__main__":
    _serve(sys.argv[1], sys.argv[2:])
    from openthoughts_cli.__main__ import main

    sys.exit(main())
