"""Run asynchronous work to its end from plain code, in a notebook too."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

__all__ = ["run_to_end"]

T = TypeVar("T")


def run_to_end(
    work: Coroutine[Any, Any, T], *, on_interrupt: Callable[[], None] | None = None
) -> T:
    """What `work` returns or raises.

    A notebook runs an event loop of its own in the thread that calls us, and a second one cannot
    start there: then the work gets a thread. Its Ctrl-C (the stop button) calls `on_interrupt`, and
    the work goes on to a safe point; a second one leaves it.

    Args:
        on_interrupt: asks the work to end; None: the first interruption already leaves it.
    """
    return _in_a_thread(work, on_interrupt) if _loop_is_running() else asyncio.run(work)


def _loop_is_running() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _in_a_thread(work: Coroutine[Any, Any, T], on_interrupt: Callable[[], None] | None) -> T:
    results: list[T] = []
    failures: list[BaseException] = []
    ended = threading.Event()  # an interrupted Thread.join takes a live thread for ended

    def run() -> None:
        try:
            results.append(asyncio.run(work))
        except BaseException as error:  # noqa: BLE001 - handed to the thread that waits
            failures.append(error)
        finally:
            ended.set()

    threading.Thread(target=run, name="ot-work", daemon=True).start()
    while not ended.is_set():
        try:
            ended.wait(0.2)  # a wait without end hears no stop button on every system
        except KeyboardInterrupt:
            if on_interrupt is None:
                raise
            on_interrupt()
            on_interrupt = None
    if failures:
        raise failures[0]
    return results[0]
