"""The routes of the scripted Tinker server, one function each, as the SDK 0.38 calls them."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from openthoughts_cli.engine.base import ForwardResult, LoraSpec, ModelInfo, OptimResult
from tests.doubles import tinker_wire as wire
from tests.doubles.loopback_http import HttpRequest, HttpResponse, json_response
from tests.doubles.tinker_queue import Outcome, Promise, Run, SamplingSession, Saved, Session

if TYPE_CHECKING:
    from tests.doubles.tinker_server import TinkerServer

__all__ = ["ROUTES", "Refused"]

T = TypeVar("T")

_LEAST_TTL_S, _MOST_TTL_S = 3600, 10 * 366 * 86_400


class Refused(Exception):
    """An answer with an error status, which clients do meet in life."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


async def _then(answer: Awaitable[T], write: Callable[[T], Outcome]) -> Outcome:
    return write(await answer)


def _promise(promise: Promise, **more: Any) -> HttpResponse:
    return json_response({"request_id": promise.request_id, **more})


def _session(server: TinkerServer, session_id: str) -> Session:
    session = server.sessions.get(session_id)
    if session is None:
        raise Refused(404, f"unknown session {session_id}")
    if session.ended is not None:
        raise Refused(410, f"the session {session_id} has finished")
    return session


def _run(server: TinkerServer, model_id: str) -> Run:
    if model_id not in server.runs:
        raise Refused(404, f"unknown model_id {model_id}")
    _session(server, model_id.split(":")[0])
    return server.runs[model_id]


def _saved(server: TinkerServer, path: str, *, trains: bool) -> Saved:
    saved = server.saved.get(path)
    if saved is None or saved.trains is not trains:
        raise Refused(404, f"no such weights: {path}")
    if saved.expires_at is not None and server.now() >= saved.expires_at:
        raise Refused(404, f"the weights have expired: {path}")
    return saved


async def _served(server: TinkerServer, name: str) -> ModelInfo:
    for info in await server.served():
        if info.name == name:
            return info
    raise Refused(400, f"base_model {name} is not supported")


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
    session = Session(f"session-{next(server.numbers)}")
    server.sessions[session.session_id] = session
    return json_response({"type": "create_session", "session_id": session.session_id})


async def session_heartbeat(server: TinkerServer, request: HttpRequest) -> HttpResponse:
    _session(server, request.json()["session_id"]).heartbeats += 1
    return json_response({"type": "session_heartbeat"})


async def finish_session(
    server: TinkerServer, request: HttpRequest, session_id: str
) -> HttpResponse:
    _session(server, session_id).ended = request.json()["reason"]["type"]
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
    request_id = request.json()["request_id"]
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


# Training


async def create_model(server: TinkerServer, request: HttpRequest) -> HttpResponse:
    asked = request.json()
    model_id = f"{_session(server, asked['session_id']).session_id}:train:{asked['model_seq_id']}"
    info = await _served(server, asked["base_model"])
    config = asked["lora_config"]
    rank = config["rank"]
    if rank < 1 or rank & (rank - 1):
        raise Refused(400, f"the LoRA rank must be a power of two, not {rank}")
    if not info.trainable:
        raise Refused(400, f"base_model {info.name} is not supported for training")
    lora = LoraSpec(
        rank,
        config.get("seed") or 0,
        config["train_attn"],
        config["train_mlp"],
        config["train_unembed"],
    )

    async def create() -> Outcome:
        trainer = await server.engine.create_trainer(info.name, lora)
        server.add_run(Run(model_id, info, lora, trainer))
        return Outcome(json={"type": "create_model", "model_id": model_id})

    return _create(server, request, model_id, create)


def _create(
    server: TinkerServer,
    request: HttpRequest,
    model_id: str,
    create: Callable[[], Awaitable[Outcome]],
) -> HttpResponse:
    request_id = f"{model_id}:0"
    if request_id not in server.promises:
        server.promised(request_id, request, create).begin()
    return _promise(server.promises[request_id], model_id=model_id)


async def load_weights(server: TinkerServer, request: HttpRequest) -> HttpResponse:
    asked = request.json()
    if asked.get("model_id") is not None:
        raise wire.WireError("loading into a run that exists is deprecated")
    model_id = f"{_session(server, asked['session_id']).session_id}:train:{asked['model_seq_id']}"
    saved = _saved(server, asked["path"], trains=True)
    if not asked["optimizer"]:
        raise Refused(400, "this server loads weights with their optimizer alone")
    info = await _served(server, saved.base_model)

    async def load() -> Outcome:
        trainer = await saved.open_trainer(server.engine)
        server.add_run(Run(model_id, info, saved.lora, trainer, resumed_from=asked["path"]))
        return Outcome(json={"type": "load_weights", "path": asked["path"], "model_id": model_id})

    return _create(server, request, model_id, load)


async def get_info(server: TinkerServer, request: HttpRequest) -> HttpResponse:
    run = _run(server, request.json()["model_id"])
    return json_response(
        {
            "type": "get_info",
            "model_id": run.model_id,
            "model_data": {"arch": "tiny", "model_name": run.info.name, "tokenizer_id": "none"},
            "is_lora": True,
            "lora_rank": run.lora.rank,
            "model_name": run.info.name,
        }
    )


def _accept(
    server: TinkerServer,
    request: HttpRequest,
    run: Run,
    seq_id: int,
    start: Callable[[], Awaitable[Outcome]],
    *,
    change: bytes | None = None,
) -> HttpResponse:
    digest = wire.digest_of(request.body)
    promise = Promise(f"{run.model_id}:{seq_id}", digest, start, change=change)
    accepted = run.accept(seq_id, promise)
    server.promises[accepted.request_id] = accepted
    return _promise(accepted, model_id=run.model_id)


async def forward_backward(server: TinkerServer, request: HttpRequest) -> HttpResponse:
    if request.headers.get("content-type") != "application/x-protobuf":
        raise wire.WireError("forward_backward takes protobuf alone")
    asked, data = wire.read_forward_backward(request.body)
    run = _run(server, asked.model_id)

    def start() -> Awaitable[Outcome]:
        method = run.trainer.forward if asked.forward_only else run.trainer.forward_backward
        return _then(method(data), _forwarded)

    change = None if asked.forward_only else wire.content_of(asked)
    return _accept(server, request, run, asked.seq_id, start, change=change)


def _forwarded(result: ForwardResult) -> Outcome:
    return Outcome(proto=wire.write_forward(result))


async def optim_step(server: TinkerServer, request: HttpRequest) -> HttpResponse:
    asked = request.json()
    run = _run(server, asked["model_id"])
    params = wire.read_adam(asked["adam_params"])

    def stepped(result: OptimResult) -> Outcome:
        return Outcome(json={"metrics": result.metrics})

    return _accept(
        server,
        request,
        run,
        asked["seq_id"],
        lambda: _then(run.trainer.optim_step(params), stepped),
        change=wire.digest_of(repr(params).encode()),
    )


def _saving(server: TinkerServer, request: HttpRequest, *, trains: bool) -> HttpResponse:
    asked = request.json()
    run = _run(server, asked["model_id"])
    name, ttl_s = asked["path"], asked.get("ttl_seconds")
    if not re.fullmatch(r"[\w.\-]{1,128}", name):
        raise Refused(400, f"invalid checkpoint name {name!r}")
    if ttl_s is not None and not _LEAST_TTL_S <= ttl_s <= _MOST_TTL_S:
        raise Refused(400, f"ttl_seconds {ttl_s} is not between 1 hour and 10 years")
    kind = "weights" if trains else "sampler_weights"
    path = f"tinker://{run.model_id}/{kind}/{name}"

    def keep(engine_path: str) -> Outcome:
        expires_at = None if ttl_s is None else server.now() + ttl_s
        server.saved[path] = Saved(engine_path, run.info.name, run.lora, trains, expires_at)
        label = "save_weights" if trains else "save_weights_for_sampler"
        return Outcome(json={"type": label, "path": path})

    def start() -> Awaitable[Outcome]:
        save = run.trainer.save_state if trains else run.trainer.save_sampler
        return _then(save(name), keep)

    return _accept(server, request, run, asked["seq_id"], start)


async def save_weights(server: TinkerServer, request: HttpRequest) -> HttpResponse:
    return _saving(server, request, trains=True)


async def save_weights_for_sampler(server: TinkerServer, request: HttpRequest) -> HttpResponse:
    return _saving(server, request, trains=False)


# Sampling


async def create_sampling_session(server: TinkerServer, request: HttpRequest) -> HttpResponse:
    asked = request.json()
    session = _session(server, asked["session_id"])
    sampler_id = f"{session.session_id}:sample:{asked['sampling_session_seq_id']}"
    path = asked.get("model_path")
    if path is None:
        info = await _served(server, asked["base_model"])
        if not info.sampleable:
            raise Refused(400, f"base_model {info.name} is not supported for sampling")
        sampler = await server.engine.create_sampler(info.name)
    else:
        saved = _saved(server, path, trains=False)
        info = await _served(server, saved.base_model)
        sampler = await saved.open_sampler(server.engine)
    server.samplers.setdefault(sampler_id, SamplingSession(sampler_id, info, sampler, path))
    return json_response({"type": "create_sampling_session", "sampling_session_id": sampler_id})


async def get_sampler(server: TinkerServer, request: HttpRequest, sampler_id: str) -> HttpResponse:
    found = _sampler(server, sampler_id)
    return json_response(
        {"sampler_id": sampler_id, "base_model": found.info.name, "model_path": found.model_path}
    )


def _sampler(server: TinkerServer, sampler_id: str) -> SamplingSession:
    if sampler_id not in server.samplers:
        raise Refused(404, f"unknown sampling session {sampler_id}")
    _session(server, sampler_id.split(":")[0])
    return server.samplers[sampler_id]


async def asample(server: TinkerServer, request: HttpRequest) -> HttpResponse:
    asked = request.json()
    found = _sampler(server, asked["sampling_session_id"])
    prompt = wire.read_prompt(asked["prompt"])
    params = wire.read_sampling(asked["sampling_params"], asked["num_samples"])
    length = len(prompt) + params.max_tokens
    wants_prompt = bool(asked.get("prompt_logprobs"))
    if length - wants_prompt > found.info.context_tokens:
        raise Refused(
            400,
            f"prompt and max_tokens ({length}) exceed the context of "
            f"{found.info.context_tokens} tokens",
        )

    async def sample() -> Outcome:
        if wants_prompt:
            scored = await found.sampler.logprobs(prompt)
            drawn = await found.sampler.sample(prompt[-1:], params)
            return Outcome(proto=wire.write_samples(drawn, scored))
        return Outcome(proto=wire.write_samples(await found.sampler.sample(prompt, params), None))

    seq_id = asked["seq_id"]
    known = found.promises.get(seq_id)
    if known is None:
        request_id = f"{found.sampling_session_id}:{seq_id}"
        known = found.promises[seq_id] = server.promised(request_id, request, sample)
        known.begin()
    elif known.digest != wire.digest_of(request.body):
        raise wire.WireError(f"another sample has seq_id {seq_id}")
    ids = [f"{known.request_id}:{index}" for index in range(params.n)]
    return _promise(known, sample_sequence_ids=ids)


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
    _post("cancel_future", cancel_future),
    _post("create_model", create_model),
    _post("load_weights", load_weights),
    _post("get_info", get_info),
    _post("forward_backward", forward_backward),
    _post("optim_step", optim_step),
    _post("save_weights", save_weights),
    _post("save_weights_for_sampler", save_weights_for_sampler),
    _post("create_sampling_session", create_sampling_session),
    ("GET", re.compile(r"/api/v1/samplers/([\w:-]+)"), get_sampler),
    _post("asample", asample),
)
