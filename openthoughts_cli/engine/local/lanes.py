"""Two lanes on one machine: training first in, first out; sampling in slices between.

Only one of them computes at a time. While training waits, a sampling slice may last a quarter of
training's last turn: sampling moves on, and training loses at most a fifth of the time to it.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Generator
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

from openthoughts_cli.errors import EngineError

__all__ = ["Answer", "Lane", "Turns", "closed_error", "run_into"]

T = TypeVar("T")

_SAMPLING_SHARE = 0.25
_SHORTEST_SLICE_S = 0.05


def closed_error() -> EngineError:
    """What a request gets that the engine no longer takes or no longer reaches."""
    return EngineError(
        "the local engine was closed before this request was done",
        hint="open a new engine; what was saved resumes from its path",
    )


class Answer(Awaitable[T], Generic[T]):
    """What a request returns. Its place in the order is taken; awaiting it only waits.

    It may be awaited from any event loop and more than once. Giving up the wait does not cancel
    the request: the future is marked as running from the start, which makes `cancel` a no-op.
    """

    def __init__(self) -> None:
        self._future: Future[T] = Future()
        self._future.set_running_or_notify_cancel()

    def __await__(self) -> Generator[Any, None, T]:
        return asyncio.wrap_future(self._future).__await__()

    @property
    def is_done(self) -> bool:
        return self._future.done()

    def give(self, result: T) -> None:
        self._future.set_result(result)

    def fail(self, error: BaseException) -> None:
        self._future.set_exception(error)


class Turns:
    """Who computes: training or sampling, never both."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._busy = False
        self._training_waits = 0
        self._sampling_waits = 0
        self._sampling_is_next = False
        self._slice_s = _SHORTEST_SLICE_S

    @contextlib.contextmanager
    def training(self) -> Generator[None]:
        """A unit of training: one micro-batch, one optimiser step."""
        with self._changed:
            self._training_waits += 1
            self._changed.wait_for(
                lambda: not self._busy and not (self._sampling_is_next and self._sampling_waits)
            )
            self._training_waits -= 1
            self._busy = True
        start = time.monotonic()
        try:
            yield
        finally:
            self._slice_s = max(_SHORTEST_SLICE_S, _SAMPLING_SHARE * (time.monotonic() - start))
            self._leave(sampling_is_next=True)

    @contextlib.contextmanager
    def sampling(self) -> Generator[Callable[[], bool]]:
        """A slice of sampling; the yielded function says whether it is over."""
        with self._changed:
            self._sampling_waits += 1
            self._changed.wait_for(
                lambda: not self._busy and (self._sampling_is_next or not self._training_waits)
            )
            self._sampling_waits -= 1
            self._busy = True
        start = time.monotonic()

        def over() -> bool:
            return self._training_waits > 0 and time.monotonic() - start >= self._slice_s

        try:
            yield over
        finally:
            self._leave(sampling_is_next=False)

    def _leave(self, *, sampling_is_next: bool) -> None:
        with self._changed:
            self._busy = False
            self._sampling_is_next = sampling_is_next
            self._changed.notify_all()


class Lane:
    """A queue with one thread that works it off in the order of the calls.

    The thread starts with the first request. An error of a request goes to whoever awaits it.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._changed = threading.Condition()
        self._queue: deque[tuple[Callable[[], Any], Answer[Any]]] = deque()
        self._thread: threading.Thread | None = None
        self._closed = False

    def submit(self, work: Callable[[], T]) -> Answer[T]:
        """Take a place in the order for `work`."""
        answer: Answer[T] = Answer()
        with self._changed:
            if self._closed:
                answer.fail(closed_error())
                return answer
            self._queue.append((work, answer))
            if self._thread is None:
                # A daemon: an engine that nobody closed must not keep the interpreter alive.
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
            self._changed.notify()
        return answer

    def close(self) -> None:
        """Let the running request end, fail the waiting ones, end the thread."""
        with self._changed:
            self._closed = True
            waiting = list(self._queue)
            self._queue.clear()
            self._changed.notify()
        for _, answer in waiting:
            answer.fail(closed_error())
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._closed)
                if not self._queue:
                    return
                work, answer = self._queue.popleft()
            run_into(answer, work)
            del work, answer  # keep nothing alive while waiting


def run_into(answer: Answer[T], work: Callable[[], T]) -> None:
    """Run `work` and hand over its result, or whatever it raised."""
    try:
        result = work()
    except BaseException as error:  # noqa: BLE001 - it belongs to the one who awaits
        answer.fail(error)
    else:
        answer.give(result)
