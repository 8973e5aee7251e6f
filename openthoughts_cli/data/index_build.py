"""Building an index: file by file, in processes, each part written whole.

A part that is there and whole is kept, so a build that was stopped, by Ctrl-C or by a kill, goes on
where it was. Builders of the same file wait for each other and share the work.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait as wait_for_any
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock, Timeout

from openthoughts_cli import errors
from openthoughts_cli.data.corpus import Part
from openthoughts_cli.data.counter import open_counter
from openthoughts_cli.data.index import Index, PartState, part_is_whole, write_part
from openthoughts_cli.data.tabulate import tabulate
from openthoughts_cli.data.tokens import TokenCounter
from openthoughts_cli.errors import BrokenFileError, DataError, IntegrityError, OtError
from openthoughts_cli.events import Listener, StageDone, StageProgress, StageStarted, silent
from openthoughts_cli.store import as_storage_errors, make_directory

__all__ = ["build_index"]

_STAGE = "building the index"
_ALONE_BYTES = 64 << 20
"""Below it one process is done before others have started."""
_POLL_S = 0.2


class _Task(NamedTuple):
    part: Part
    identity: str
    directory: Path
    labels: dict[str, str]


class _Failed(NamedTuple):
    """An error of a worker, in a form that survives the way between processes."""

    kind: str
    message: str
    hint: str | None
    file: str | None


class _Stopped(Exception):
    """The builder asked the worker to stop."""


def build_index(
    index: Index,
    counter: TokenCounter,
    *,
    sources: frozenset[str] = frozenset(),
    workers: int | None = None,
    listener: Listener = silent,
) -> list[PartState]:
    """Build the parts of an index that are missing or damaged.

    With more than one worker, processes are spawned: a script that calls this needs the usual
    `if __name__ == "__main__":`.

    Args:
        index: of which corpus, under which tokenizer.
        counter: whose tokens; workers load the same one by its model's name.
        sources: only files that may hold rows of these. None given: all.
        workers: processes. Unset: as many as there are cores and files, one for little data.
        listener: hears the progress.

    Returns:
        The state of every part, all whole.

    Raises:
        BrokenFileError: a data file is damaged; the parts of the others that were done are kept.
        StorageError: a part cannot be written.
        DataError: a worker process died.
    """
    states = index.states(sources)
    owed = [state for state in states if state.state != "whole"]
    if not owed:
        return states
    labels = {"ot_dataset": index.corpus.dataset, "ot_tokenizer": counter.model}
    tasks = [
        _Task(state.part, state.identity, index.directory, {**labels, "ot_file": state.part.name})
        for state in owed
    ]
    make_directory(index.directory)
    started = time.monotonic()
    total = sum(task.part.rows for task in tasks)
    listener(StageStarted(_STAGE, total, "rows"))
    wanted = workers or _sensible_workers(tasks)
    if wanted == 1:
        _in_this_process(tasks, counter, listener)
    else:
        _in_processes(tasks, counter, min(wanted, len(tasks)), listener)
    seconds = time.monotonic() - started
    listener(StageDone(_STAGE, f"{total:,} rows in {seconds:,.1f} s, files: {len(tasks)}"))
    return index.states(sources)


def _sensible_workers(tasks: Sequence[_Task]) -> int:
    if sum(task.part.num_bytes for task in tasks) < _ALONE_BYTES:
        return 1
    ours = getattr(os, "sched_getaffinity", None)  # Linux alone knows which cores are ours
    cores = len(ours(0)) if ours is not None else os.cpu_count() or 1
    return max(min(cores, len(tasks)), 1)


def _in_this_process(tasks: Sequence[_Task], counter: TokenCounter, listener: Listener) -> None:
    done = 0
    for task in tasks:
        _build_part(
            task, counter, lambda rows, before=done: listener(StageProgress(_STAGE, before + rows))
        )
        done += task.part.rows
        listener(StageProgress(_STAGE, done))


def _in_processes(
    tasks: Sequence[_Task], counter: TokenCounter, workers: int, listener: Listener
) -> None:
    context = multiprocessing.get_context("spawn")
    stop, told = context.Event(), context.SimpleQueue()
    done: dict[str, int] = {}

    def hear() -> None:
        while not told.empty():
            identity, rows = told.get()
            done[identity] = rows
        listener(StageProgress(_STAGE, sum(done.values())))

    with ProcessPoolExecutor(
        workers,
        mp_context=context,
        initializer=_begin_worker,
        initargs=(counter.model, counter.digest, stop, told),
    ) as pool:
        # The largest first, so that no worker is left alone with one at the end.
        ordered = sorted(tasks, key=lambda task: -task.part.num_bytes)
        futures: list[Future[_Failed | None]] = [pool.submit(_work, task) for task in ordered]
        try:
            waiting: set[Future[_Failed | None]] = set(futures)
            while waiting:
                finished, waiting = wait(waiting, timeout=_POLL_S)
                for future in finished:
                    _check(future)
                hear()
        except BaseException:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)  # they stop within a batch of rows
            raise


def _check(future: Future[_Failed | None]) -> None:
    try:
        failed = future.result()
    except BrokenProcessPool as error:
        raise DataError(
            "a process that built the index ended suddenly; the system may have run out of memory",
            hint="run the same command again, it goes on where it was; --workers 1 needs the least",
        ) from error
    if failed is None:
        return
    if failed.file is not None:
        raise BrokenFileError(failed.message, file=failed.file, hint=failed.hint)
    kind: type[OtError] = getattr(errors, failed.kind)
    raise kind(failed.message, hint=failed.hint)


def _failed(error: OtError) -> _Failed:
    file = error.file if isinstance(error, BrokenFileError) else None
    return _Failed(type(error).__name__, error.message, error.hint, file)


class _Worker(NamedTuple):
    counter: TokenCounter | _Failed
    stop: Any
    told: Any


_worker: _Worker | None = None


def _begin_worker(model: str, digest: str, stop: Any, told: Any) -> None:
    """Set up a worker process: it leaves Ctrl-C to its parent, and dies with it."""
    global _worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_die_with, args=(parent.sentinel,), daemon=True).start()
    try:
        counter = open_counter(model)
        if counter.digest != digest:
            raise IntegrityError(
                f"a worker process read another tokenizer of {model} than its parent",
                hint="its files changed while the index was built: run the same command again",
            )
    except OtError as error:
        _worker = _Worker(_failed(error), stop, told)
    else:
        _worker = _Worker(counter, stop, told)


def _die_with(sentinel: Any) -> None:
    # A killed parent cannot tell its workers to stop; without this they would wait for ever.
    wait_for_any([sentinel])
    os._exit(1)


def _work(task: _Task) -> _Failed | None:
    assert _worker is not None
    counter, stop, told = _worker
    if isinstance(counter, _Failed):
        return counter

    def heard(rows: int) -> None:
        if stop.is_set():
            raise _Stopped
        told.put((task.identity, rows))

    try:
        _build_part(task, counter, heard)
    except OtError as error:
        return _failed(error)
    except _Stopped:
        return None
    told.put((task.identity, task.part.rows))
    return None


def _build_part(task: _Task, counter: TokenCounter, heard: Any) -> None:
    lock = FileLock(task.directory / f".{task.identity}.lock")
    with as_storage_errors(task.directory):
        while True:
            heard(0)
            try:
                lock.acquire(timeout=_POLL_S)
                break
            except Timeout:
                continue  # another builder is at this file; what it makes is used
    try:
        if part_is_whole(task.directory, task.identity, task.part):
            return
        for leaving in task.directory.glob(f".{task.identity}.*.parquet.*"):
            leaving.unlink(missing_ok=True)  # a write that was killed
        path, _ = write_part(
            task.directory, task.identity, tabulate(task.part, counter, heard=heard), task.labels
        )
        for other in task.directory.glob(f"{task.identity}.*.parquet"):
            if other != path:
                other.unlink(missing_ok=True)
    finally:
        lock.release()
