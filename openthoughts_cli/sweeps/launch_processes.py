"""Cells on the local engine: a fresh process each, since they compute.

Processes are started anew, never forked: a copy of a process that has torch's threads hangs.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import signal
import sys
import tempfile
from asyncio.subprocess import Process
from collections.abc import Generator
from typing import IO, Any

from openthoughts_cli.events import Listener
from openthoughts_cli.sweeps.capacity import cores, gpus
from openthoughts_cli.sweeps.launch import CellJob, CellOutcome
from openthoughts_cli.sweeps.wire import decode_event

__all__ = ["ProcessLauncher"]

_LINE_BYTES = 1 << 24
_LAST_LINES = 6
_UNKNOWN_CODE = 255
"""What asyncio tells where somebody else took the child's exit status, as under an ignored SIGCHLD."""


class ProcessLauncher:
    """Runs each cell in a process of its own; cores and GPUs are shared out.

    Args:
        at_once: how many run side by side.
    """

    def __init__(self, at_once: int) -> None:
        self._threads = max(cores() // max(at_once, 1), 1)
        self._cells_on = dict.fromkeys(gpus(), 0)
        self._children: set[Process] = set()
        self._stopped = False

    async def run(self, job: CellJob, listener: Listener) -> CellOutcome:
        """As the port says."""
        with self._gpu(job) as gpu, tempfile.TemporaryFile() as log:
            return await self._run(job, listener, log, self._environ(gpu))

    @contextlib.contextmanager
    def _gpu(self, job: CellJob) -> Generator[str | None]:
        """The GPU with the fewest cells: one of its own, unless `at_once` asks for more cells than
        there are GPUs; None for a cell on the CPU."""
        if not self._cells_on or job.config.engine.device == "cpu":
            yield None
            return
        gpu = min(self._cells_on, key=lambda name: self._cells_on[name])
        self._cells_on[gpu] += 1
        try:
            yield gpu
        finally:
            self._cells_on[gpu] -= 1

    def _environ(self, gpu: str | None) -> dict[str, str]:
        environ = {
            "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(self._threads)),
            "OMP_WAIT_POLICY": "PASSIVE",
            "TOKENIZERS_PARALLELISM": "false",
        }
        return environ if gpu is None else {**environ, "CUDA_VISIBLE_DEVICES": gpu}

    async def _run(
        self, job: CellJob, listener: Listener, log: IO[bytes], environ: dict[str, str]
    ) -> CellOutcome:
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "openthoughts_cli.sweeps.child",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            limit=_LINE_BYTES,
            start_new_session=True,
        )
        self._children.add(child)
        try:
            await _send(child, {"config": job.config.model_dump(mode="json"), "environ": environ})
            if self._stopped:
                await _send(child, "stop")
            outcome = await _listen(child, listener)
            code = await child.wait()
        except BaseException:
            _kill(child)
            raise
        finally:
            self._children.discard(child)
            if child.stdin is not None:
                child.stdin.close()
        if outcome is not None:
            return dataclasses.replace(outcome, last_lines=_last_lines(log))
        ended = "died" if code < 0 or code == _UNKNOWN_CODE else "failed"
        return CellOutcome(ended, _how(code), last_lines=_last_lines(log))

    def pids(self) -> tuple[int, ...]:
        """The processes that run now."""
        return tuple(child.pid for child in self._children)

    def stop(self) -> None:
        """As the port says."""
        self._stopped = True
        for child in self._children:
            if child.stdin is not None and not child.stdin.is_closing():
                child.stdin.write(b'"stop"\n')

    def kill(self) -> None:
        """As the port says."""
        self._stopped = True
        for child in self._children:
            _kill(child)

    async def close(self) -> None:
        """Nothing is left to give back: a child ends with its cell."""


async def _send(child: Process, value: Any) -> None:
    assert child.stdin is not None
    child.stdin.write(json.dumps(value).encode() + b"\n")
    with contextlib.suppress(ConnectionError):  # it died at once: told by its outcome
        await child.stdin.drain()


async def _listen(child: Process, listener: Listener) -> CellOutcome | None:
    """Pass the child's events on until it closes its stdout; its outcome, if it told one."""
    assert child.stdout is not None
    outcome: CellOutcome | None = None
    while line := await child.stdout.readline():
        try:
            value = json.loads(line)
        except ValueError:
            continue  # torn by its end
        if (event := decode_event(value.get("event") or {})) is not None:
            listener(event)
        if told := value.get("outcome"):
            outcome = CellOutcome.from_json(told)
    return outcome


def _kill(child: Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)


def _how(code: int) -> str:
    if code < 0:
        name = signal.Signals(-code).name
        more = " (out of memory?)" if name == "SIGKILL" else ""
        return f"the cell's process was ended by {name}{more}"
    return f"the cell's process ended with code {code} before it told how the run went"


def _last_lines(log: IO[bytes]) -> tuple[str, ...]:
    log.seek(0)
    text = log.read()[-8192:].decode(errors="replace")
    return tuple(line.rstrip() for line in text.splitlines() if line.strip())[-_LAST_LINES:]
