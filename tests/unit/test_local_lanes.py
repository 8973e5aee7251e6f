from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time

import pytest

from openthoughts_cli.engine.local.lanes import Answer, Lane, Turns
from openthoughts_cli.errors import EngineError


def test_a_lane_works_in_the_order_of_the_calls() -> None:
    lane, seen = Lane("test"), list[int]()

    async def main() -> None:
        answers = [lane.submit(lambda i=i: seen.append(i)) for i in range(20)]
        await asyncio.gather(*reversed(answers))

    asyncio.run(main())
    lane.close()
    assert seen == list(range(20))


def test_an_error_goes_to_the_one_who_awaits_it() -> None:
    lane = Lane("test")

    async def main() -> int:
        bad, good = lane.submit(lambda: 1 // 0), lane.submit(lambda: 7)
        with pytest.raises(ZeroDivisionError):
            await bad
        return await good

    assert asyncio.run(main()) == 7
    lane.close()


def test_giving_up_the_wait_does_not_cancel_the_request() -> None:
    lane, seen, go = Lane("test"), list[str](), threading.Event()

    async def main() -> None:
        lane.submit(go.wait)
        answer = lane.submit(lambda: seen.append("ran"))
        task = asyncio.ensure_future(answer)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        go.set()
        await answer

    asyncio.run(main())
    lane.close()
    assert seen == ["ran"]


def test_an_answer_can_be_awaited_twice_and_in_two_loops() -> None:
    answer: Answer[int] = Answer()
    answer.give(3)

    async def main() -> int:
        return await answer + await answer

    assert asyncio.run(main()) == asyncio.run(main()) == 6


def test_closing_fails_what_waits_and_ends_the_thread() -> None:
    lane, begun, go = Lane("test-closing"), threading.Event(), threading.Event()

    def wait_for_go() -> bool:
        begun.set()
        return go.wait()

    async def main() -> None:
        running = lane.submit(wait_for_go)
        assert await asyncio.to_thread(begun.wait)
        waiting = lane.submit(lambda: None)
        closing = asyncio.create_task(asyncio.to_thread(lane.close))
        with pytest.raises(EngineError, match="closed"):
            await waiting
        go.set()
        assert await running
        await closing
        with pytest.raises(EngineError, match="closed"):
            await lane.submit(lambda: None)

    asyncio.run(main())
    assert not [t for t in threading.enumerate() if t.name == "test-closing"]


def test_only_one_side_computes_and_both_move_on() -> None:
    turns, inside, counts = Turns(), list[str](), {"training": 0, "sampling": 0}
    most = 2_000  # units of one side, in which the other surely comes to its turn

    def unit(name: str) -> None:
        assert not inside, "both compute"
        inside.append(name)
        time.sleep(0.002)
        counts[name] += 1
        inside.pop()

    def goes_on(name: str) -> bool:
        return min(counts.values()) < 5 and counts[name] < most

    def train() -> None:
        while goes_on("training"):
            with turns.training():
                unit("training")

    def sample() -> None:
        while goes_on("sampling"):
            with turns.sampling():
                unit("sampling")

    threads = [threading.Thread(target=target) for target in (train, sample)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert min(counts.values()) >= 5, counts


def test_a_slice_is_over_only_while_training_waits() -> None:
    turns = Turns()
    with turns.sampling() as over:
        time.sleep(0.06)
        assert not over()
        waiter = threading.Thread(target=_one_turn, args=(turns,))
        waiter.start()
        deadline = time.monotonic() + 60
        while not over() and time.monotonic() < deadline:
            time.sleep(0.001)
        assert over()
    waiter.join(timeout=60)
    assert not waiter.is_alive()


def _one_turn(turns: Turns) -> None:
    with turns.training():
        pass


def test_the_room_is_light_until_an_engine_is_made() -> None:
    code = (
        "import sys, openthoughts_cli.engine.local as room; room.LocalEngine; "
        "print([m for m in ('torch', 'transformers', 'peft') if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_missing_packages_are_named_with_the_command_to_install_them() -> None:
    code = (
        "import importlib.util, pathlib, sys\n"
        "sys.modules['torch'] = None\n"
        "from openthoughts_cli.config.engine import EngineConfig\n"
        "from openthoughts_cli.engine.local import LocalEngine\n"
        "from openthoughts_cli.errors import MissingExtraError\n"
        "try:\n"
        "    LocalEngine(EngineConfig(), store=pathlib.Path('x'))\n"
        "except MissingExtraError as error:\n"
        "    print(error.message, '|', error.hint)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert "torch" in result.stdout
    assert "pip install 'openthoughts-cli[local]'" in result.stdout
