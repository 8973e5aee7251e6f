"""The SDK's errors in this project's terms, each with what to do about it.

The SDK retries by itself (429, 5xx, lost connections) and pauses on 402 for up to an hour, so what
arrives here is final. Fatal errors while a result is fetched arrive as `ValueError`, with the
status error as their cause.
"""

from __future__ import annotations

import re
from typing import Any

import tinker

from openthoughts_cli.engine.tinker.credentials import KEYS_URL
from openthoughts_cli.errors import (
    AuthError,
    ConflictError,
    EngineError,
    ModelError,
    NetworkError,
    OtError,
)
from openthoughts_cli.redaction import redact

__all__ = ["OTHER_VERSION", "SDK_ERRORS", "as_ot_error"]

SDK_ERRORS: tuple[type[Exception], ...] = (
    tinker.TinkerError,
    ValueError,
    RuntimeError,
    AssertionError,
    OSError,
)
"""What a call of the SDK is known to raise by itself."""

_CONTEXT = re.compile(
    r"context|too long|max(imum)?[ _](sequence[ _])?length|exceed\w* .*tokens|tokens .*exceed",
    re.IGNORECASE,
)
_MODEL = re.compile(
    r"model.*(not (supported|available|served|found)|does ?n.t exist|does not exist|unknown|"
    r"unsupported|invalid)|(unknown|unsupported|invalid|no such) (base[ _])?model",
    re.IGNORECASE,
)
_FOREIGN = re.compile(
    r"predates|deserialization failed|validation error|only supports as proto", re.IGNORECASE
)
_NO_ROUTE = ("not found", "method not allowed", "not implemented")
OTHER_VERSION = (
    "the server speaks another version of the API: upgrade it, or the `tinker` package; "
    "docs/own-cluster.md lists what is known to work"
)
_KEY_HINT = (
    f"check the key: {KEYS_URL}; set TINKER_API_KEY or run `tinker auth login` "
    "(`--engine local` needs no key)"
)


def as_ot_error(error: BaseException, *, server: str = "Tinker") -> OtError:
    """What the failure means here. Its own text is kept, shortened and without secrets.

    Args:
        server: what the server is called, with its version where it tells one.
    """
    known = _known(error)
    if isinstance(known, tinker.APIStatusError):
        return _lacking(known, server) or _by_status(known)
    if isinstance(known, tinker.APIConnectionError):
        return NetworkError(
            f"the connection to Tinker failed: {_detail(known)}",
            hint="check the network, then resume the run; its checkpoints are kept",
        )
    if isinstance(known, tinker.APIResponseValidationError):
        return _foreign(known, server)
    if isinstance(known, tinker.RequestFailedError):
        return _by_text(_detail(known), f"Tinker could not do a request ({known.category.value})")
    if isinstance(known, TimeoutError):
        return NetworkError("Tinker did not answer in time", hint="resume the run later")
    if isinstance(known, AssertionError) or _FOREIGN.search(str(known)):
        return _foreign(known, server)
    if "api_key" in str(known) or "CREDENTIAL_CMD" in str(known):
        return AuthError(_detail(known), hint=_KEY_HINT)
    if type(known).__name__ == "RetryableException":
        return EngineError(
            f"Tinker lost a request: {_detail(known)}", hint="resume the run from its checkpoint"
        )
    if type(known).__name__ == "CancelledError":
        return EngineError(
            "the request was cancelled because the Tinker session ended",
            hint="resume the run: its checkpoints are kept",
        )
    return _by_text(_detail(known), "a request to Tinker failed")


def _known(error: BaseException) -> BaseException:
    """The SDK's own error inside the ValueError or RuntimeError that wraps it."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, tinker.TinkerError):
            return cause
        cause = cause.__cause__
    return error


def _by_status(error: tinker.APIStatusError) -> OtError:
    status, detail = error.status_code, _detail(error)
    if status == 401:
        return AuthError(f"Tinker refused the credentials (401): {detail}", hint=_KEY_HINT)
    if status == 403:
        return AuthError(f"these credentials may not do this (403): {detail}", hint=_KEY_HINT)
    if status == 402:
        return EngineError(
            f"Tinker stopped the work for lack of payment (402): {detail}",
            hint="settle billing at https://tinker.thinkingmachines.ai, then resume the run",
        )
    if status == 404:
        return ModelError(
            f"Tinker does not know this (404): {detail}",
            hint="a model may be retired, and saved weights may have expired; where the server lost "
            "the session, resume the run: its checkpoints are kept",
        )
    if status == 409:
        return ConflictError(
            f"Tinker refused a request in its present state (409): {detail}",
            hint="resume the run: its checkpoints are kept",
        )
    if status == 429:
        return NetworkError(
            f"Tinker is over its rate limit (429): {detail}", hint="wait, then resume the run"
        )
    if status >= 500:
        return NetworkError(
            f"Tinker answers with an error ({status}): {detail}", hint="resume the run later"
        )
    return _by_text(detail, f"Tinker refused a request ({status})")


def _by_text(detail: str, prefix: str) -> EngineError:
    if _CONTEXT.search(detail):
        return ModelError(
            f"{prefix}: {detail}", hint="lower max_tokens, or choose a model with a longer context"
        )
    if _MODEL.search(detail):
        return ModelError(f"{prefix}: {detail}", hint="choose a model that is served, with --model")
    return EngineError(
        f"{prefix}: {detail}",
        hint="nothing more is known of it; resume the run, or ask whoever runs the server",
    )


def _lacking(error: tinker.APIStatusError, server: str) -> EngineError | None:
    """A route that the server does not have, which web frameworks answer in these words alone."""
    words = _detail(error).strip(".").lower()
    if error.status_code not in (404, 405, 501) or words not in _NO_ROUTE:
        return None
    request = error.request
    return EngineError(
        f"{server} lacks {request.method} {request.url.path}, which tinker {tinker.__version__} "
        "calls",
        hint=OTHER_VERSION,
    )


def _foreign(error: BaseException, server: str) -> EngineError:
    return EngineError(
        f"{server} gave an answer that tinker {tinker.__version__} does not expect: "
        f"{_detail(error)}",
        hint=OTHER_VERSION,
    )


def _detail(error: BaseException) -> str:
    body: Any = getattr(error, "body", None)
    text = str(error)
    if isinstance(body, dict):
        for key in ("detail", "message", "error"):
            if isinstance(body.get(key), str):
                text = body[key]
                break
    text = " ".join(redact(text).split()) or type(error).__name__
    return text if len(text) <= 300 else text[:297] + "..."
