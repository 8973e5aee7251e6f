"""How long a silent server is waited for.

The SDK retries and polls by itself, and while a training result is fetched it does so for ever. One
clock for each client bounds that: it runs while something is awaited, and every answer starts it
anew, so that a long queue is no reason to give up and a lost request is.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from openthoughts_cli.errors import NetworkError
from openthoughts_cli.events import Listener, Notice, silent

__all__ = ["Patience"]

_TELL_AFTER_S = 600.0


class Patience:
    """The clock of one client's requests.

    Args:
        limit_s: the longest wait without any answer.
        what: what is waited for, in the message.
        server: what the server is called in messages: "Tinker", or one of your own with its
            address.
        listener: told once in each silence that is longer than 10 minutes.
        now_s: a clock that only goes forward, in seconds.
    """

    def __init__(
        self,
        limit_s: float,
        *,
        what: str,
        server: str = "Tinker",
        listener: Listener = silent,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limit_s = limit_s
        self.server = server
        self._what = what
        self._listener = listener
        self._now_s = now_s
        self._waiting = 0
        self._since_s = now_s()
        self._told = False

    async def wait_for(self, done: asyncio.Future[Any], *others: asyncio.Future[Any]) -> None:
        """Wait until `done`, or any of `others`, is there.

        Raises:
            NetworkError: nothing of this client was answered for `limit_s`.
        """
        with self._counted():
            while not (done.done() or any(other.done() for other in others)):
                silent_s = self._now_s() - self._since_s
                if silent_s >= self.limit_s:
                    raise self._lost()
                self._tell(silent_s)
                left_s = min(self.limit_s, silent_s + _TELL_AFTER_S) - silent_s
                await asyncio.wait(
                    [done, *others], timeout=left_s, return_when=asyncio.FIRST_COMPLETED
                )
            if done.done():
                self._answered()

    @contextmanager
    def _counted(self) -> Generator[None]:
        if self._waiting == 0:
            self._answered()
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1

    def _answered(self) -> None:
        self._since_s = self._now_s()
        self._told = False

    def _tell(self, silent_s: float) -> None:
        if silent_s < _TELL_AFTER_S or self._told:
            return
        self._told = True
        self._listener(
            Notice(
                f"{self.server}: no answer for {_minutes(silent_s)} ({self._what}); it is waited for up "
                f"to {_minutes(self.limit_s)}",
                "warning",
            )
        )

    def _lost(self) -> NetworkError:
        return NetworkError(
            f"{self.server} gave no answer for {_minutes(self.limit_s)} ({self._what})",
            hint="resume the run later: its checkpoints are kept; engine.patience_minutes sets how "
            "long a silent server is waited for",
        )


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.0f} s"
