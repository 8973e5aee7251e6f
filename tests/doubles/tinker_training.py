"""The training routes of the scripted Tinker server, as the SDK 0.38 calls them."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import zstandard

from openthoughts_cli.engine.base import ForwardResult, LoraSpec, OptimResult
from tests.doubles import tinker_wire as wire
from tests.doubles.loopback_http import HttpRequest, HttpResponse, json_response
from tests.doubles.tinker_base import (
    Refused,
    known_or_new,
    promised,
    saved_at,
    served,
    session_of,
    then,
)
from tests.doubles.tinker_queue import Outcome, Promise, Run, Saved

if TYPE_CHECKING:
    from tests.doubles.tinker_server import TinkerServer

__all__ = [
    "create_model",
    "forward_backward",
    "get_info",
    "load_weights",
    "optim_step",
    "save_weights",
    "save_weights_for_sampler",
]

_LEAST_TTL_S, _MOST_TTL_S = 3600, 10 * 366 * 86_400


def _run(server: TinkerServer, model_id: str) -> Run:
    if model_id not in server.runs:
        raise Refused(404, f"unknown model_id {model_id}")
    session_of(server, model_id.split(":")[0])
    return server.runs[model_id]


async def create_model(server: TinkerServer, request: HttpRequest) -> HttpResponse:
    asked = request.json()
    model_id = f"{session_of(server, asked['session_id']).session_id}:train:{asked['model_seq_id']}"
    info = await served(server, asked["base_model"])
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

    return promised(known_or_new(server, f"{model_id}:0", request, create), model_id=model_id)


async def load_weights(server: TinkerServer, request: HttpRequest) -> HttpResponse:
    asked = request.json()
    if asked.get("model_id") is not None:
        raise wire.WireError("loading into a run that exists is deprecated")
    model_id = f"{session_of(server, asked['session_id']).session_id}:train:{asked['model_seq_id']}"
    saved = saved_at(server, asked["path"], trains=True)
    if not asked["optimizer"]:
        raise Refused(400, "this server loads weights with their optimizer alone")
    info = await served(server, saved.base_model)

    async def load() -> Outcome:
        trainer = await saved.open_trainer(server.engine)
        server.add_run(Run(model_id, info, saved.lora, trainer, resumed_from=asked["path"]))
        return Outcome(json={"type": "load_weights", "path": asked["path"], "model_id": model_id})

    return promised(known_or_new(server, f"{model_id}:0", request, load), model_id=model_id)


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
    return promised(accepted, model_id=run.model_id)


async def forward_backward(server: TinkerServer, request: HttpRequest) -> HttpResponse:
    if request.headers.get("content-type") != "application/x-protobuf":
        raise wire.WireError("forward_backward takes protobuf alone")
    body = request.body
    if request.headers.get("content-encoding") == "zstd":
        body = zstandard.ZstdDecompressor().decompress(body, max_output_size=1 << 28)
    asked, data = wire.read_forward_backward(body)
    run = _run(server, asked.model_id)
    for datum in data:
        server.check_tokens(datum.input_tokens.tolist())
        server.check_tokens(datum.target_tokens.tolist())
        if datum.input_tokens.size > run.info.context_tokens:
            raise Refused(
                400,
                f"a sequence of {datum.input_tokens.size} tokens exceeds the context of "
                f"{run.info.context_tokens} tokens",
            )

    def start() -> Awaitable[Outcome]:
        method = run.trainer.forward if asked.forward_only else run.trainer.forward_backward
        return then(method(data), _forwarded)

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
        lambda: then(run.trainer.optim_step(params), stepped),
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
        return then(save(name), keep)

    return _accept(server, request, run, asked["seq_id"], start)


async def save_weights(server: TinkerServer, request: HttpRequest) -> HttpResponse:
    return _saving(server, request, trains=True)


async def save_weights_for_sampler(server: TinkerServer, request: HttpRequest) -> HttpResponse:
    return _saving(server, request, trains=False)
