"""A Ray cluster that goes away, told by a head that answers no more. (Ray itself: `make test-cluster`.)"""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager

import pytest

from openthoughts_cli.sweeps.ray_cluster import ClusterGone, HeadWatch


@contextmanager
def a_head() -> Generator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def watch_of(server: socket.socket) -> HeadWatch:
    return HeadWatch("127.0.0.1", server.getsockname()[1], look_s=0.01, gone_after_s=0.05)


async def nothing_for_ever(cancelled: list[str]) -> str:
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        cancelled.append("cancelled")
        raise
    return ""


def test_work_on_a_cluster_that_answers_is_left_alone() -> None:
    async def go() -> None:
        with a_head() as server:
            watch = watch_of(server)

            async def work() -> int:
                await asyncio.sleep(0.2)
                return 7

            assert await watch.unless_gone(work()) == 7
            assert not watch.is_gone
            assert not await watch.is_lost()
            watch.end()

    asyncio.run(go())


def test_work_on_a_cluster_that_goes_away_ends() -> None:
    async def go() -> None:
        cancelled: list[str] = []
        with a_head() as server:
            watch = watch_of(server)
            working = asyncio.ensure_future(watch.unless_gone(nothing_for_ever(cancelled)))
            await asyncio.sleep(0.2)
            assert not working.done()
        with pytest.raises(ClusterGone):
            await working
        assert cancelled == ["cancelled"]
        assert watch.is_gone
        assert await watch.is_lost()

    asyncio.run(go())


def test_an_error_of_the_work_is_its_own() -> None:
    async def go() -> None:
        with a_head() as server:
            watch = watch_of(server)

            async def work() -> None:
                raise ConnectionError("the worker is gone")

            with pytest.raises(ConnectionError, match="worker is gone"):
                await watch.unless_gone(work())
            watch.end()

    asyncio.run(go())


def test_work_that_is_given_up_is_cancelled() -> None:
    async def go() -> None:
        cancelled: list[str] = []
        with a_head() as server:
            watch = watch_of(server)
            working = asyncio.ensure_future(watch.unless_gone(nothing_for_ever(cancelled)))
            await asyncio.sleep(0.05)
            working.cancel()
            with pytest.raises(asyncio.CancelledError):
                await working
            assert cancelled == ["cancelled"]
            watch.end()

    asyncio.run(go())


@pytest.mark.parametrize(
    ("end", "said"),
    [
        ("words.goodbye()", ""),
        ("os._exit(1)", "\nerror: gone\nhint: again\n"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "\nerror: gone\nhint: again\n"),
    ],
)
def test_last_words_are_said_where_nobody_said_goodbye(end: str, said: str) -> None:
    program = (
        "import os, signal; from openthoughts_cli.sweeps.last_words import LastWords\n"
        f"words = LastWords('error: gone\\nhint: again')\n{end}"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("", said)  # read to the end: the child has ended too
