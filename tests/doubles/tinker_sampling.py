"""The sampling routes of the scripted Tinker server, as the SDK 0.38 calls them."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from tests.doubles import tinker_wire as wire
from tests.doubles.loopback_http import HttpRequest, HttpResponse, json_response
from tests.doubles.tinker_base import Refused, known_or_new, promised, saved_at, served, session_of
from tests.doubles.tinker_queue import Outcome, Promise, SamplingSession

if TYPE_CHECKING:
    from tests.doubles.tinker_server import TinkerServer

__all__ = ["asample", "create_sampling_session", "get_sampler", "retrieve_futures"]


async def create_sampling_session(server: TinkerServer, request: HttpRequest) -> HttpResponse:
    asked = request.json()
    session = session_of(server, asked["session_id"])
    sampler_id = f"{session.session_id}:sample:{asked['sampling_session_seq_id']}"
    digest = wire.digest_of(request.body)
    known = server.samplers.get(sampler_id)
    if known is not None and known.digest != digest:
        raise wire.WireError(f"another sampling session is {sampler_id}")
    path = asked.get("model_path")
    if path is None:
        info = await served(server, asked["base_model"])
        if not info.sampleable:
            raise Refused(400, f"base_model {info.name} is not supported for sampling")
        sampler = await server.engine.create_sampler(info.name)
    else:
        saved = saved_at(server, path, trains=False)
        info = await served(server, saved.base_model)
        sampler = await saved.open_sampler(server.engine)
    made = SamplingSession(sampler_id, info, sampler, path, digest)
    server.samplers.setdefault(sampler_id, made)
    return json_response({"type": "create_sampling_session", "sampling_session_id": sampler_id})


async def get_sampler(server: TinkerServer, request: HttpRequest, sampler_id: str) -> HttpResponse:
    found = _sampler(server, sampler_id)
    return json_response(
        {"sampler_id": sampler_id, "base_model": found.info.name, "model_path": found.model_path}
    )


def _sampler(server: TinkerServer, sampler_id: str) -> SamplingSession:
    if sampler_id not in server.samplers:
        raise Refused(404, f"unknown sampling session {sampler_id}")
    session_of(server, sampler_id.split(":")[0])
    return server.samplers[sampler_id]


async def asample(server: TinkerServer, request: HttpRequest) -> HttpResponse:
    asked = request.json()
    found = _sampler(server, asked["sampling_session_id"])
    prompt = wire.read_prompt(asked["prompt"])
    params = wire.read_sampling(asked["sampling_params"], asked["num_samples"])
    server.check_tokens(prompt)
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

    request_id = f"{found.sampling_session_id}:{asked['seq_id']}"
    known = known_or_new(server, request_id, request, sample)
    if known.request_id not in found.asked:
        found.asked.append(known.request_id)
    if "sample_sequence_ids" in server.lacks:
        return promised(known)
    ids = [f"{known.request_id}:{index}" for index in range(params.n)]
    return promised(known, sample_sequence_ids=ids)


async def retrieve_futures(server: TinkerServer, request: HttpRequest) -> HttpResponse:
    """Which of a sampling session's requests are done: for the flag `sample_use_retrieve_futures`.

    The cursor counts those that were told of; they are told in the order in which they were found.
    """
    asked = request.json()
    found = _sampler(server, asked["target"]["sampling_session_id"])
    for request_id in asked["retrieved_request_ids"]:
        if request_id not in found.asked:
            raise wire.WireError(f"{request_id} is not a request of this session")
    ends = time.monotonic() + (server.poll_s if asked.get("timeout") is None else 0.0)
    while True:
        for request_id in found.asked:
            if request_id not in found.told and server.promises[request_id].outcome is not None:
                found.told.append(request_id)
        fresh = found.told[asked["prev_cursor"] :]
        if fresh or time.monotonic() >= ends:
            break
        await asyncio.sleep(0.005)
    completions = [_completion(one, server.promises[one]) for one in fresh]
    return json_response({"completions": completions, "cursor": len(found.told)})


def _completion(request_id: str, promise: Promise) -> dict[str, Any]:
    outcome = promise.outcome
    if outcome is None or outcome.proto is None:
        return {"state": "failed", "request_id": request_id}
    size = len(outcome.proto)
    return {
        "state": "finished",
        "request_id": request_id,
        "response_payload_uncompressed_size": size,
    }
