"""Doing the next pieces of work while the last one is used: decoding ahead, in threads.

pyarrow decodes without Python's lock, so a thread that decodes takes nothing from one that hashes,
tokenises or writes. Few results wait at any moment, so memory stays bounded.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Literal, TypeVar

__all__ = ["ahead", "map_ahead"]

T = TypeVar("T")
R = TypeVar("R")
_Item = tuple[Literal["value", "error", "end"], Any]


def ahead(source: Iterator[T], *, waiting: int = 1) -> Generator[T, None, None]:
    """The same items, each taken from `source` before it is asked for, in another thread.

    Args:
        source: is used by that thread alone. Its errors are raised here, where its item would be.
        waiting: how many items may wait to be asked for.
    """
    items: queue.Queue[_Item] = queue.Queue(waiting)
    stop = threading.Event()

    def put(item: _Item) -> None:
        while not stop.is_set():
            try:
                items.put(item, timeout=0.1)
                return
            except queue.Full:
                continue

    def work() -> None:
        try:
            for item in source:
                put(("value", item))
                if stop.is_set():
                    return
            put(("end", None))
        except BaseException as error:  # noqa: BLE001 - it is raised again where it is awaited
            put(("error", error))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while True:
            kind, item = items.get()
            if kind == "end":
                return
            if kind == "error":
                raise item
            yield item
    finally:
        stop.set()
        thread.join()


def map_ahead(
    function: Callable[[T], R], items: Iterable[T], *, workers: int = 2
) -> Generator[R, None, None]:
    """`map`, in order, by several threads that are at most one result each ahead."""
    with ThreadPoolExecutor(workers) as pool:
        running: deque[Future[R]] = deque()
        try:
            for item in items:
                running.append(pool.submit(function, item))
                if len(running) > workers:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
        finally:
            for future in running:
                future.cancel()
