"""Asynchronous work from plain code, whether an event loop runs around it or not."""

from __future__ import annotations

import _thread
import asyncio
import threading
import time

import pytest

from openthoughts_cli.waiting import run_to_end


async def double(value: int) -> int:
    await asyncio.sleep(0)
    return 2 * value


async def fail() -> int:
    raise ValueError("no")


def test_without_a_loop_it_runs_here() -> None:
    async def where() -> str:
        return threading.current_thread().name

    assert run_to_end(double(4)) == 8
    assert run_to_end(where()) == threading.current_thread().name


def test_inside_a_loop_as_in_a_notebook_it_runs_too() -> None:
    async def cell() -> int:
        return run_to_end(double(4))

    assert asyncio.run(cell()) == 8


def test_a_failure_arrives_as_itself() -> None:
    async def cell() -> None:
        run_to_end(fail())

    with pytest.raises(ValueError, match="no"):
        asyncio.run(cell())
    with pytest.raises(ValueError, match="no"):
        run_to_end(fail())


def test_the_stop_button_asks_the_work_to_end() -> None:
    asked = threading.Event()

    async def until_asked() -> str:
        while not asked.is_set():
            await asyncio.sleep(0.01)
        return "ended at a safe point"

    async def cell() -> str:
        return run_to_end(until_asked(), on_interrupt=asked.set)

    def press() -> None:
        time.sleep(0.2)
        _thread.interrupt_main()

    loop = asyncio.new_event_loop()  # asyncio.run would take SIGINT for itself
    threading.Thread(target=press).start()
    try:
        assert loop.run_until_complete(cell()) == "ended at a safe point"
    finally:
        loop.close()
