"""How often and how long a request is repeated.

A hub that was never reached is given up at once: without a network that is said within seconds.
One that answered before is asked again after a cut, a silence or a failure of its own; a server that
says how long to wait (Retry-After, or the hub's `ratelimit`) is obeyed up to a bound, and beyond it
the wait is said instead of slept through.
"""

from __future__ import annotations

import datetime
import threading
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from openthoughts_cli.errors import InterruptedByUser, NetworkError
from openthoughts_cli.hub.session import endpoint, http_error, short_reason

__all__ = ["LONGEST_ASKED_WAIT_S", "Patience", "asked_wait", "patiently"]

T = TypeVar("T")

LONGEST_ASKED_WAIT_S = 300.0
"""The longest wait of a server that is slept through; the hub's limits count in five minutes."""
_TRIES = 5
_FIRST_WAIT_S = 0.25
_LONGEST_OWN_WAIT_S = 8.0
_SAID_WAIT_S = 2.0
_WORTH_RETRYING = (408, 429, 500, 502, 503, 504)
_NEVER_CONNECTED = ("ConnectError", "ConnectTimeout", "ProxyError", "UnsupportedProtocol")

_answered: set[str] = set()


class Patience:
    """How much one piece of work still bears. `failed` sleeps, or raises when it is used up.

    Args:
        what: what is being done, for the error: "fetching data/x.parquet".
        say: hears in one line of each longer wait.
        stop: when set, a sleep ends at once.
    """

    def __init__(
        self,
        what: str,
        *,
        say: Callable[[str], None] | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        self._what = what
        self._say = say or _unheard
        self._stop = stop or threading.Event()
        self._failures = 0

    def progressed(self) -> None:
        """Something came: the next failure is the first again."""
        self._failures = 0
        _answered.add(endpoint())

    def failed(self, error: Exception) -> None:
        """Sleep before the next try.

        Raises:
            InterruptedByUser: `stop` was set meanwhile.
            NetworkError: there is none: the failures in a row are too many, the host was never
                reached, or it asks for a wait beyond the bound.
            Exception: the error itself, where repeating cannot help.
        """
        from huggingface_hub.errors import OfflineModeIsEnabled

        response: Any = getattr(error, "response", None)
        status = getattr(response, "status_code", None)
        of_the_network = isinstance(error, (http_error(), ConnectionError, TimeoutError))
        if not of_the_network or isinstance(error, OfflineModeIsEnabled):
            raise error
        if status is not None and status not in _WORTH_RETRYING:
            raise error
        self._failures += 1
        reason = f"it answers {status}" if status else short_reason(error)
        unreached = type(error).__name__ in _NEVER_CONNECTED and endpoint() not in _answered
        if unreached or self._failures > _TRIES:
            times = "" if unreached else f" ({self._failures} times in a row)"
            remedy = (
                "check the connection, or name a mirror with HF_ENDPOINT"
                if unreached
                else "check the connection and run the same command again; what was fetched is "
                "kept and gone on with"
            )
            raise NetworkError(
                f"{self._what} from {endpoint()} failed: {reason}{times}", hint=remedy
            ) from error
        asked = asked_wait(response.headers) if response is not None else None
        self._sleep(reason, asked, error)

    def _sleep(self, reason: str, asked_s: float | None, error: Exception) -> None:
        if asked_s is not None and asked_s > LONGEST_ASKED_WAIT_S:
            raise NetworkError(
                f"{endpoint()} asks to wait {asked_s:,.0f} s before {self._what}: {reason}",
                hint="run the same command again after that time; what was fetched is kept. "
                "HF_TOKEN raises the hub's limits",
            ) from error
        own_s = min(_FIRST_WAIT_S * 2 ** (self._failures - 1), _LONGEST_OWN_WAIT_S)
        wait_s = own_s if asked_s is None else asked_s
        if wait_s >= _SAID_WAIT_S:
            self._say(f"{endpoint()}: {reason}; going on in {wait_s:,.0f} s")
        if self._stop.wait(wait_s):
            raise InterruptedByUser(
                f"{self._what} was stopped; what came is kept",
                hint="run the same command again: it goes on there",
            ) from error


def patiently(
    call: Callable[[], T],
    what: str,
    *,
    say: Callable[[str], None] | None = None,
) -> T:
    """What `call` returns, repeated while repeating may help. The call must be safe to repeat.

    Raises:
        NetworkError: as `Patience.failed`.
        Exception: what the call raises otherwise.
    """
    from huggingface_hub.errors import HfHubHTTPError

    patience = Patience(what, say=say)
    while True:
        try:
            result = call()
        except (HfHubHTTPError, http_error(), ConnectionError, TimeoutError) as error:
            patience.failed(error)
        else:
            patience.progressed()
            return result


def _unheard(text: str) -> None:
    del text


def asked_wait(headers: Mapping[str, str]) -> float | None:
    """Seconds that a server asks to wait: Retry-After (RFC 9110), else the hub's `ratelimit`."""
    if value := headers.get("retry-after", "").strip():
        if value.isdigit():
            return float(value)
        try:
            until = parsedate_to_datetime(value)
        except ValueError:
            return None
        if until.tzinfo is None:
            until = until.replace(tzinfo=datetime.UTC)
        return max((until - datetime.datetime.now(datetime.UTC)).total_seconds(), 0.0)
    from huggingface_hub.utils import parse_ratelimit_headers

    limit = parse_ratelimit_headers(headers)
    return float(limit.reset_in_seconds) if limit is not None and limit.remaining == 0 else None
