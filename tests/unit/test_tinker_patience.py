"""Waiting has an end: for a server that is silent, and behind a training request that failed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Any

import pytest

from openthoughts_cli.engine.tinker.futures import Requests, received
from openthoughts_cli.engine.tinker.patience import Patience
from openthoughts_cli.errors import AuthError, NetworkError, OtError
from openthoughts_cli.events import Event, Notice


class Request:
    """What the SDK hands back for a request, settled by the test."""

    def __init__(self) -> None:
        self.done: Future[Any] = Future()

    def future(self) -> Future[Any]:
        return self.done


def as_sdk(request: Request) -> Any:
    return request


def refused() -> Exception:
    return ValueError("api_key is missing")


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await scenario()

    asyncio.run(main())


def test_a_silent_server_is_given_up_with_a_remedy() -> None:
    async def scenario() -> None:
        looked_s: list[float] = []

        def now_s() -> float:  # a clock that goes on by 0.03 s whenever it is looked at
            looked_s.append(0.03 * len(looked_s))
            return looked_s[-1]

        patience = Patience(0.1, what="training", server="S", now_s=now_s)
        with pytest.raises(NetworkError) as caught:
            await received(as_sdk(Request()), patience)
        assert 0.1 <= looked_s[-1] < 0.2
        assert caught.value.message == "S gave no answer for 0 s (training)"
        assert "engine.patience_minutes" in (caught.value.hint or "")

    run(scenario)


def test_every_answer_starts_the_wait_anew() -> None:
    async def scenario() -> None:
        now_s = [0.0]
        patience = Patience(60.0, what="sampling", now_s=lambda: now_s[0])
        slow = Request()
        waiting = asyncio.ensure_future(received(as_sdk(slow), patience))
        await asyncio.sleep(0)
        for _ in range(3):
            now_s[0] += 59.0
            request = Request()
            answer = asyncio.ensure_future(received(as_sdk(request), patience))
            await asyncio.sleep(0)
            request.done.set_result("in time")
            assert await answer == "in time"
        now_s[0] += 61.0
        with pytest.raises(NetworkError):
            await received(as_sdk(Request()), patience)
        slow.done.set_result("late")
        assert await waiting == "late"

    run(scenario)


def test_time_in_which_nothing_is_awaited_does_not_count() -> None:
    async def scenario() -> None:
        now_s = [0.0]
        patience = Patience(60.0, what="sampling", now_s=lambda: now_s[0])
        now_s[0] += 1000.0
        request = Request()
        answer = asyncio.ensure_future(received(as_sdk(request), patience))
        await asyncio.sleep(0)
        request.done.set_result("at once")
        assert await answer == "at once"

    run(scenario)


def test_a_long_silence_is_told_once() -> None:
    heard: list[Event] = []

    async def scenario() -> None:
        now_s = [0.0]
        patience = Patience(900.0, what="training", listener=heard.append, now_s=lambda: now_s[0])
        waiting = [asyncio.ensure_future(received(as_sdk(Request()), patience))]
        await asyncio.sleep(0)
        for _ in range(3):
            now_s[0] += 250.0
            waiting.append(asyncio.ensure_future(received(as_sdk(Request()), patience)))
            await asyncio.sleep(0)
        for one in waiting:
            one.cancel()

    run(scenario)
    (notice,) = heard
    assert isinstance(notice, Notice)
    assert "no answer for 12 minutes (training)" in notice.text
    assert "up to 15 minutes" in notice.text


def test_behind_a_failed_request_none_waits_and_none_is_sent() -> None:
    async def scenario() -> None:
        requests = Requests(Patience(60.0, what="training"), in_order=True)
        sent = [Request() for _ in range(4)]
        answers = [requests.answered(as_sdk(request), lambda value: value) for request in sent]
        sent[1].done.set_exception(refused())
        for later in answers[1:]:
            with pytest.raises(AuthError, match="api_key"):
                await later
        with pytest.raises(AuthError):
            requests.refuse_if_failed()
        sent[0].done.set_result("done before")
        assert await answers[0] == "done before"

    run(scenario)


def test_a_request_that_was_done_has_its_answer_even_so() -> None:
    async def scenario() -> None:
        requests = Requests(Patience(60.0, what="training"), in_order=True)
        sent = [Request() for _ in range(3)]
        answers = [requests.answered(as_sdk(request), lambda value: value) for request in sent]
        sent[2].done.set_exception(refused())
        with pytest.raises(OtError):
            await answers[2]
        sent[0].done.set_exception(RuntimeError("a second failure, further in front"))
        with pytest.raises(OtError, match="second failure"):
            await answers[0]
        with pytest.raises(OtError, match="second failure"):
            await answers[1]

    run(scenario)


def test_samples_do_not_hang_on_each_other() -> None:
    async def scenario() -> None:
        requests = Requests(Patience(60.0, what="sampling"), in_order=False)
        sent = [Request() for _ in range(2)]
        answers = [requests.answered(as_sdk(request), lambda value: value) for request in sent]
        sent[0].done.set_exception(refused())
        with pytest.raises(AuthError):
            await answers[0]
        requests.refuse_if_failed()
        sent[1].done.set_result("an answer")
        assert await answers[1] == "an answer"

    run(scenario)
