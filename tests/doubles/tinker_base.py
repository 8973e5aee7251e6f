"""What the routes of the scripted Tinker server share: refusals, and what a request refers to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from openthoughts_cli.engine.base import ModelInfo
from tests.doubles import tinker_wire as wire
from tests.doubles.loopback_http import HttpRequest, HttpResponse, json_response
from tests.doubles.tinker_queue import Outcome, Promise, Saved, Session

if TYPE_CHECKING:
    from tests.doubles.tinker_server import TinkerServer

__all__ = ["Refused", "known_or_new", "promised", "saved_at", "served", "session_of", "then"]

T = TypeVar("T")


class Refused(Exception):
    """An answer with an error status, which clients do meet in life."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


async def then(answer: Awaitable[T], write: Callable[[T], Outcome]) -> Outcome:
    return write(await answer)


def promised(promise: Promise, **more: Any) -> HttpResponse:
    return json_response({"request_id": promise.request_id, **more})


def known_or_new(
    server: TinkerServer,
    request_id: str,
    request: HttpRequest,
    start: Callable[[], Awaitable[Outcome]],
) -> Promise:
    """The promise of that id, begun; the same request sent again gets the same one.

    Raises:
        WireError: another request has the id.
    """
    digest = wire.digest_of(request.body)
    known = server.promises.get(request_id)
    if known is None:
        known = server.promises[request_id] = Promise(request_id, digest, start)
        known.begin()
    elif known.digest != digest:
        raise wire.WireError(f"another request is {request_id}")
    return known


def session_of(server: TinkerServer, session_id: str) -> Session:
    """The session, which this request keeps alive."""
    session = server.sessions.get(session_id)
    if session is None:
        raise Refused(404, f"unknown session {session_id}")
    if session.ended is None and server.now() - session.heard_at > server.session_lapses_s:
        session.ended = "lapsed"
    if session.ended is not None:
        raise Refused(410, f"the session {session_id} has finished")
    session.heard_at = server.now()
    return session


def saved_at(server: TinkerServer, path: str, *, trains: bool) -> Saved:
    saved = server.saved.get(path)
    if saved is None or saved.trains is not trains:
        raise Refused(404, f"no such weights: {path}")
    if saved.expires_at is not None and server.now() >= saved.expires_at:
        raise Refused(404, f"the weights have expired: {path}")
    return saved


async def served(server: TinkerServer, name: str) -> ModelInfo:
    for info in await server.served():
        if info.name == name:
            return info
    raise Refused(400, f"base_model {name} is not supported")
