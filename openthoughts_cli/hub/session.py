"""Which hub, whether it may be asked at all, and how to keep its library from the terminal."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Generator

from openthoughts_cli.errors import NetworkError

__all__ = [
    "access_steps",
    "OFFLINE_VARIABLES",
    "endpoint",
    "http_error",
    "is_offline",
    "quiet",
    "refuse_offline",
    "short_reason",
    "why_unreachable",
]

OFFLINE_VARIABLES = ("HF_HUB_OFFLINE", "OT_OFFLINE")
"""`--offline` sets both: the first forbids requests to a hub, the second to any registry too."""
PROBE_TIMEOUT_S = 5.0
_ERRNO = re.compile(r"^\[Errno -?\d+\] ")


def endpoint() -> str:
    """The address of the hub, without a slash at its end; read now, not when it was imported."""
    return (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")


def is_offline() -> bool:
    """Whether requests to a hub are forbidden."""
    from huggingface_hub import is_offline_mode

    said = (os.environ.get(name, "").upper() for name in OFFLINE_VARIABLES)
    return is_offline_mode() or any(value in ("1", "ON", "YES", "TRUE") for value in said)


def refuse_offline(what: str) -> None:
    """Stand before every request.

    Raises:
        NetworkError: requests are forbidden, and `what` is not in the cache.
    """
    if is_offline():
        raise NetworkError(
            f"{what} is not in the cache, and HF_HUB_OFFLINE (--offline) forbids fetching it",
            hint="leave it out where there is a network",
        )


def http_error() -> type[Exception]:
    """What the library's HTTP client raises for a host that does not answer, or not to the end."""
    from huggingface_hub.errors import HTTPError  # pyright: ignore[reportPrivateImportUsage]

    return HTTPError


def why_unreachable(url: str) -> str | None:
    """One quick request before a call whose retries last half a minute; None when it answers.

    Any answer but "too many requests" and a server's failure counts as one.
    """
    from huggingface_hub import get_session

    if is_offline():
        return "HF_HUB_OFFLINE forbids it"
    try:
        status = get_session().head(url, timeout=PROBE_TIMEOUT_S).status_code
    except http_error() as error:
        return short_reason(error)
    return f"it answers {status}" if status == 429 or status >= 500 else None


@contextlib.contextmanager
def quiet() -> Generator[None]:
    """Keep huggingface_hub from drawing bars and logging its retries; events speak for us."""
    from huggingface_hub import utils

    level = utils.logging.get_verbosity()
    bars = not utils.are_progress_bars_disabled()
    if bars:
        utils.disable_progress_bars()
    utils.logging.set_verbosity_error()
    try:
        yield
    finally:
        utils.logging.set_verbosity(level)
        if bars:
            utils.enable_progress_bars()


def short_reason(error: BaseException) -> str:
    """The error's first words on one line, or its type where it says nothing."""
    words = _ERRNO.sub("", " ".join(str(error).split()))
    return (words or type(error).__name__)[:160]


def access_steps(repo: str, kind: str = "dataset") -> str:
    """How a person gets into a gated repository, step by step, for a hint."""
    page = f"{endpoint()}/{'datasets/' if kind == 'dataset' else ''}{repo}"
    return (
        f"1. sign in and accept the terms at {page}  "
        f"2. make a token with read access at {endpoint()}/settings/tokens  "
        "3. run `hf auth login`, or set HF_TOKEN to it  "
        "4. run this again"
    )
