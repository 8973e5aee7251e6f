"""The routes of the scripted Tinker server, as the SDK 0.38 calls them; sessions and results here."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from tests.doubles import tinker_sampling as sampling
from tests.doubles import tinker_training as training
from tests.doubles import tinker_wire as wire
from tests.doubles.loopback_http import HttpRequest, HttpResponse, json_response
from tests.doubles.tinker_base import Refused, session_of
from tests.doubles.tinker_queue import Session

if TYPE_CHECKING:
    from tests.doubles.tinker_server import TinkerServer

__all__ = ["ROUTES"]


# The client and its session


async def client_config(server: TinkerServer, request: HttpRequest) -> HttpResponse:
    """The flags of a plain server; everything else is the SDK's default."""
    if not request.json()["sdk_version"]:
        raise Refused(400, "the SDK's version is missing")
    return json_response({"pjwt_auth_enabled": False, **server.client_config})


async def client_dynamic_config(server: TinkerServer, request: HttpRequest) -> HttpResponse:
    return json_response({"sample_cancel_enabled": True})


async def create_session(server: TinkerServer, request: HttpRequest) -> HttpResponse:
    request.json()["sdk_version"]
    session = Session(f"session-{next(server.numbers)}", server.now())
    server.sessions[session.session_id] = session
    return json_response({"type": "create_session", "session_id": session.session_id})


async def session_heartbeat(server: TinkerServer, request: HttpRequest) -> HttpResponse:
    session_of(server, request.json()["session_id"]).heartbeats += 1
    return json_response({"type": "session_heartbeat"})


async def finish_session(
    server: TinkerServer, request: HttpRequest, session_id: str
) -> HttpResponse:
    session_of(server, session_id).ended = request.json()["reason"]["type"]
    return json_response({})


async def capabilities(server: TinkerServer, request: HttpRequest) -> HttpResponse:
    models = server.advertised if server.advertised is not None else await server.served()
    return json_response(
        {
            "supported_models": [
                {
                    "model_name": model.name,
                    "max_context_length": model.context_tokens,
                    "trainable": model.trainable,
                    "sampleable": model.sampleable,
                }
                for model in models
            ]
        }
    )


async def telemetry(server: TinkerServer, request: HttpRequest) -> HttpResponse:
    return json_response({"status": "accepted"})


# Results


async def retrieve_future(server: TinkerServer, request: HttpRequest) -> HttpResponse:
    asked = request.json()
    request_id = asked["request_id"]
    if request_id in server.lost:
        raise Refused(410, f"the result of {request_id} is gone")
    if request_id not in server.promises:
        raise Refused(404, f"unknown request_id {request_id}")
    outcome = await server.promises[request_id].wait(server.poll_s)
    if outcome is None:
        return json_response(
            {"type": "try_again", "request_id": request_id, "queue_state": "active"}
        )
    if outcome.error is not None:
        return json_response({"error": outcome.error, "category": "user"})
    if outcome.proto is not None:
        if "protobuf" in server.lacks:
            return json_response({"type": "sample", "sequences": []})
        if len(outcome.proto) > server.inline_bytes and asked["allow_metadata_only"]:
            size = len(outcome.proto)
            return json_response({"status": "complete_metadata", "response_payload_size": size})
        if "application/x-protobuf" not in request.headers.get("accept", ""):
            raise wire.WireError("this result is protobuf, which the client does not accept")
        return HttpResponse(200, outcome.proto, "application/x-protobuf")
    return json_response(outcome.json)


async def cancel_future(server: TinkerServer, request: HttpRequest) -> HttpResponse:
    """Sampling alone may be cancelled; here it simply goes on unheard."""
    request_id = request.json()["request_id"]
    if ":sample:" not in request_id:
        raise wire.WireError(f"{request_id} is not a sampling request")
    return json_response({})


Route = tuple[str, re.Pattern[str], Callable[..., Awaitable[HttpResponse]]]


def _post(name: str, handle: Callable[..., Awaitable[HttpResponse]]) -> Route:
    return "POST", re.compile(f"/api/v1/{name}"), handle


ROUTES: tuple[Route, ...] = (
    _post("client/config", client_config),
    _post("client/dynamic_config", client_dynamic_config),
    _post("create_session", create_session),
    _post("session_heartbeat", session_heartbeat),
    _post(r"sessions/([\w-]+)/finish", finish_session),
    ("GET", re.compile("/api/v1/get_server_capabilities"), capabilities),
    _post("telemetry", telemetry),
    _post("retrieve_future", retrieve_future),
    _post("retrieve_futures", sampling.retrieve_futures),
    _post("cancel_future", cancel_future),
    _post("create_model", training.create_model),
    _post("load_weights", training.load_weights),
    _post("get_info", training.get_info),
    _post("forward_backward", training.forward_backward),
    _post("optim_step", training.optim_step),
    _post("save_weights", training.save_weights),
    _post("save_weights_for_sampler", training.save_weights_for_sampler),
    _post("create_sampling_session", sampling.create_sampling_session),
    ("GET", re.compile(r"/api/v1/samplers/([\w:-]+)"), sampling.get_sampler),
    _post("asample", sampling.asample),
)
