"""How long is slept before the next request: what a sleep is asked for, not how long it took."""

from __future__ import annotations

import threading
from email.utils import formatdate
from typing import Any

import httpx
import pytest
from huggingface_hub.errors import HfHubHTTPError

from openthoughts_cli.errors import NetworkError
from openthoughts_cli.hub.patience import Patience


class Sleeps(threading.Event):
    """A `stop` that is never set, and keeps what it was asked to wait instead of waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.asked_s: list[float | None] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.asked_s.append(timeout)
        return False


def _failure(status: int, **headers: str) -> HfHubHTTPError:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = httpx.Request("GET", "https://hub.example/x")
    response: Any = httpx.Response(status, headers=named, request=request)
    return HfHubHTTPError(str(status), response=response)


def test_what_the_server_asks_for_is_slept_and_else_ever_longer() -> None:
    sleeps = Sleeps()
    patience = Patience("fetching x", stop=sleeps)
    patience.failed(_failure(429, retry_after="2"))
    patience.failed(_failure(429, ratelimit='"resolvers";r=0;t=7'))
    assert sleeps.asked_s == [2.0, 7.0]
    patience.progressed()
    for _ in range(5):
        patience.failed(_failure(503))
    assert sleeps.asked_s[2:] == [0.25, 0.5, 1.0, 2.0, 4.0]
    with pytest.raises(NetworkError, match="6 times in a row"):
        patience.failed(_failure(503))
    assert len(sleeps.asked_s) == 7


def test_no_wait_beyond_the_bound_is_slept() -> None:
    sleeps = Sleeps()
    with pytest.raises(NetworkError, match=r"3,600 s"):
        Patience("fetching x", stop=sleeps).failed(_failure(429, retry_after="3600"))
    assert sleeps.asked_s == []


def test_a_date_that_has_passed_asks_for_no_wait() -> None:
    sleeps = Sleeps()
    Patience("fetching x", stop=sleeps).failed(_failure(503, retry_after=formatdate(0)))
    assert sleeps.asked_s == [0.0]
