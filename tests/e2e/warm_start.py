"""Many real `ot` processes, quickly: forked from one that has imported everything already.

Each is a process of its own that runs the whole command line; only the seconds of imports are
saved. Nothing has run in the parent, so a fork finds no threads and no state.

Run as a program it reads one JSON list of arguments a line and writes the pid of the process that
runs them, then, when that has ended, its exit code (negative: the signal that killed it).
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

__all__ = ["WarmStart"]

_MODULES = (
    "openthoughts_cli.cli.train",
    "openthoughts_cli.cli.render.train_view",
    "openthoughts_cli.cli.render.plan",
    "openthoughts_cli.config.load",
    "openthoughts_cli.training.verb",
    "transformers",
    "datasets",
)


class WarmStart:
    """Starts `ot` processes in `directory`. A context manager.

    Args:
        modules: what to import beforehand besides the command line, e.g. the engine.
        log: where the processes write stdout and stderr.
    """

    def __init__(
        self, directory: Path, *, modules: Sequence[str], env: dict[str, str], log: Path
    ) -> None:
        self._log = log
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.e2e.warm_start", str(log), *_MODULES, *modules],
            cwd=directory,
            env={**env, "PYTHONPATH": str(Path(__file__).parents[2])},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._line() == "ready"

    def start(self, *arguments: object) -> int:
        """Start one; returns its pid. End it with `wait` before the next."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([str(a) for a in arguments]) + "\n")
        self._process.stdin.flush()
        return int(self._line())

    def wait(self) -> int:
        """The exit code of the one started last; negative: the signal that killed it."""
        return int(self._line())

    def said(self) -> str:
        """All that the processes wrote."""
        return self._log.read_text(errors="replace")

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def __enter__(self) -> WarmStart:
        return self

    def __exit__(self, *error: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(timeout=60)
        self._process.stdout.close()


def _serve(log: str, modules: Sequence[str]) -> None:
    for module in modules:
        importlib.import_module(module)
    print("ready", flush=True)
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            os._exit(_run(json.loads(line), log))
        print(pid, flush=True)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _run(arguments: list[str], log: str) -> int:
    null = os.open(os.devnull, os.O_RDONLY)
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(null, 0)
    os.dup2(out, 1)
    os.dup2(out, 2)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    from openthoughts_cli.__main__ import main

    code = main(arguments)
    sys.stdout.flush()
    sys.stderr.flush()
    return code


if __name__ == "__main__":
    _serve(sys.argv[1], sys.argv[2:])
