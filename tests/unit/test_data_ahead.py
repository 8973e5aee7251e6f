"""Working ahead gives the same items in the same order, passes errors on, and stops when left."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from openthoughts_cli.data.ahead import ahead, map_ahead


def _until(limit: int, seen: list[int]) -> Iterator[int]:
    for number in range(limit):
        seen.append(number)
        yield number


def test_items_come_in_order_and_one_is_taken_ahead() -> None:
    seen: list[int] = []
    items = ahead(_until(50, seen), waiting=1)
    assert next(items) == 0
    deadline = time.monotonic() + 60
    while len(seen) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert seen == [0, 1, 2]  # one waits in the queue, one for its place there
    assert list(items) == list(range(1, 50))


def test_an_error_is_raised_where_its_item_would_be() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise ValueError("the second")

    items = ahead(broken())
    assert next(items) == 1
    with pytest.raises(ValueError, match="the second"):
        next(items)


@pytest.mark.parametrize("kind", ["ahead", "map"])
def test_leaving_early_leaves_no_thread(kind: str) -> None:
    before = threading.active_count()
    seen: list[int] = []
    source = _until(10_000, seen)
    items = ahead(source) if kind == "ahead" else map_ahead(lambda number: number, source)
    assert next(items) == 0
    items.close()
    assert threading.active_count() == before
    assert len(seen) < 10


def test_map_ahead_keeps_the_order_and_its_bound() -> None:
    running, most, lock = 0, 0, threading.Lock()

    def work(number: int) -> int:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.002 * (number % 3))
        with lock:
            running -= 1
        return number * 2

    assert list(map_ahead(work, range(40), workers=3)) == [number * 2 for number in range(40)]
    assert most <= 3


def test_map_ahead_raises_what_the_function_raises() -> None:
    def work(number: int) -> float:
        return 1 / (number - 3)

    with pytest.raises(ZeroDivisionError):
        list(map_ahead(work, range(9)))
