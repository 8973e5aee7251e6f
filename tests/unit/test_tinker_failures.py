"""Every error the SDK is known to raise becomes one of ours, with a remedy and without secrets."""

from __future__ import annotations

import asyncio

import httpx
import pytest
import tinker
from tinker.lib.retryable_exception import RetryableException
from tinker.types import RequestErrorCategory

from openthoughts_cli.engine.tinker.failures import as_ot_error
from openthoughts_cli.errors import (
    AuthError,
    ConflictError,
    EngineError,
    ModelError,
    NetworkError,
    OtError,
)

REQUEST = httpx.Request("POST", "http://x/api/v1/asample", headers={"X-API-Key": "tml-secret-key"})
STATUSES: dict[int, type[tinker.APIStatusError]] = {
    400: tinker.BadRequestError,
    401: tinker.AuthenticationError,
    402: tinker.APIStatusError,
    403: tinker.PermissionDeniedError,
    404: tinker.NotFoundError,
    409: tinker.ConflictError,
    422: tinker.UnprocessableEntityError,
    429: tinker.RateLimitError,
    503: tinker.InternalServerError,
}


def _status(status: int, detail: str = "what the server says") -> tinker.APIStatusError:
    response = httpx.Response(status, request=REQUEST)
    return STATUSES[status](f"Error code: {status}", response=response, body={"detail": detail})


@pytest.mark.parametrize(
    ("status", "kind", "remedy"),
    [
        (400, EngineError, None),
        (401, AuthError, "TINKER_API_KEY"),
        (402, EngineError, "billing"),
        (403, AuthError, "TINKER_API_KEY"),
        (404, ModelError, "expired"),
        (409, ConflictError, None),
        (422, EngineError, None),
        (429, NetworkError, "resume"),
        (503, NetworkError, "resume"),
    ],
)
def test_a_status_means_one_kind_of_error(
    status: int, kind: type[OtError], remedy: str | None
) -> None:
    error = as_ot_error(_status(status))
    assert type(error) is kind
    assert str(status) in error.message
    assert "what the server says" in error.message
    assert remedy is None or remedy in (error.hint or "")


@pytest.mark.parametrize(
    "detail",
    [
        "prompt and max_tokens (40000) exceed the context of 32768 tokens",
        "Prompt length plus max_tokens exceeds maximum context length",
        "sequence too long",
    ],
)
def test_a_full_context_is_a_model_error(detail: str) -> None:
    error = as_ot_error(_status(400, detail))
    assert type(error) is ModelError
    assert "max_tokens" in (error.hint or "")


@pytest.mark.parametrize(
    "detail",
    ["base_model X is not supported", "Unknown model: X", "Model X does not exist"],
)
def test_an_unknown_model_is_a_model_error(detail: str) -> None:
    for error in (
        as_ot_error(_status(400, detail)),
        as_ot_error(tinker.RequestFailedError(detail, "r", RequestErrorCategory.User)),
    ):
        assert type(error) is ModelError
        assert "--model" in (error.hint or "")


def test_a_fatal_future_is_known_by_its_cause() -> None:
    wrapped = ValueError("Error retrieving result: ... with status 401")
    wrapped.__cause__ = _status(401)
    assert type(as_ot_error(wrapped)) is AuthError


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (tinker.APIConnectionError(request=REQUEST), NetworkError),
        (tinker.APITimeoutError(request=REQUEST), NetworkError),
        (TimeoutError(), NetworkError),
        (RetryableException("Promise expired"), EngineError),
        (asyncio.CancelledError(), EngineError),
        (AssertionError("asample promises always carry sample_sequence_ids"), EngineError),
        (tinker.RequestFailedError("no", "r", RequestErrorCategory.Server), EngineError),
        (tinker.TinkerError("The api_key client option must be set"), AuthError),
        (RuntimeError("Internal client holder is closed"), EngineError),
    ],
)
def test_other_errors_of_the_sdk(raised: BaseException, kind: type[OtError]) -> None:
    error = as_ot_error(raised)
    assert type(error) is kind
    assert error.message


def test_keys_and_tokens_are_taken_out() -> None:
    error = as_ot_error(_status(401, "key tml-abcDEF123 and eyJhbGciOi.eyJzdWIi.sig refused"))
    assert "abcDEF" not in error.message
    assert "eyJzdWIi" not in error.message
    assert "refused" in error.message
    assert "<secret>" in error.message


def test_long_answers_are_cut() -> None:
    assert len(as_ot_error(_status(400, "word " * 2000)).message) < 400
