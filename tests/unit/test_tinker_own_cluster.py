"""A server that lacks something: the error names what, and the server with its version."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tinker

from openthoughts_cli.config.engine import EngineConfig
from openthoughts_cli.engine.base import AdamParams, Datum, LoraSpec, SamplingParams
from openthoughts_cli.engine.tinker import TinkerEngine
from openthoughts_cli.errors import EngineError, ModelError
from tests.doubles.tinker_server import TinkerServer

MODEL = "tiny/bigram"
Scenario = Callable[[TinkerEngine], Awaitable[Any]]


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("TINKER_BASE_URL", raising=False)
    monkeypatch.setenv("TINKER_API_KEY", "tml-fake-key-of-the-scripted-server")


def said_by(server: TinkerServer, scenario: Scenario) -> EngineError:
    async def main() -> None:
        async with TinkerEngine(EngineConfig(base_url=server.url)) as engine:
            await scenario(engine)

    with server, pytest.raises(EngineError) as caught:
        asyncio.run(main())
    return caught.value


async def serve(engine: TinkerEngine) -> None:
    await engine.models()


async def train(engine: TinkerEngine) -> None:
    trainer = await engine.create_trainer(MODEL, LoraSpec(rank=4))
    tokens = np.arange(5, dtype=np.int64)
    datum = Datum(tokens[:-1], tokens[1:], np.ones(4, dtype=np.float32))
    result, step = trainer.forward_backward([datum]), trainer.optim_step(AdamParams(0.1))
    await result
    await step
    state, path = trainer.save_state("one"), trainer.save_sampler("one")
    await state
    await engine.create_sampler(sampler_path=await path)
    await engine.resume_trainer(await state)


async def sample(engine: TinkerEngine) -> None:
    sampler = await engine.create_sampler(MODEL)
    await sampler.sample([1, 2], SamplingParams(max_tokens=2))


@pytest.mark.parametrize(
    ("route", "scenario"),
    [
        ("client/config", serve),
        ("get_server_capabilities", serve),
        ("create_session", train),
        ("create_model", train),
        ("get_info", train),
        ("forward_backward", train),
        ("optim_step", train),
        ("save_weights", train),
        ("save_weights_for_sampler", train),
        ("load_weights", train),
        ("retrieve_future", train),
        ("create_sampling_session", sample),
        ("asample", sample),
    ],
)
def test_a_route_that_is_lacking_is_named_with_the_server_s_version(
    route: str, scenario: Scenario
) -> None:
    server = TinkerServer(lacks=[f"/api/v1/{route}"], version="0.4.0")
    error = said_by(server, scenario)
    assert f"lacks {'GET' if route.startswith('get_s') else 'POST'} /api/v1/{route}" in str(error)
    assert f"the server at {server.url} (Scripted 0.4.0)" in error.message
    assert tinker.__version__ in error.message
    assert "docs/own-cluster.md" in (error.hint or "")


@pytest.mark.parametrize(
    ("lacking", "words"),
    [("sample_sequence_ids", "sample_sequence_ids"), ("protobuf", "only supports as proto")],
)
def test_an_answer_of_an_older_api_is_named_with_the_server_s_version(
    lacking: str, words: str
) -> None:
    error = said_by(TinkerServer(lacks=[lacking], version="0.4.0"), sample)
    assert words in error.message
    assert "(Scripted 0.4.0) gave an answer that tinker" in error.message
    assert "docs/own-cluster.md" in (error.hint or "")


def test_a_server_may_tell_no_version() -> None:
    error = said_by(TinkerServer(lacks=["/api/v1/asample"]), sample)
    assert "(it tells no version) lacks POST /api/v1/asample" in error.message


def test_a_model_that_cannot_be_trained_there_is_named_with_the_server() -> None:
    server = TinkerServer(version="0.4.0")
    error = said_by(server, lambda engine: engine.create_trainer("tiny/frozen", LoraSpec(rank=4)))
    assert type(error) is ModelError
    assert "tiny/frozen cannot be trained by the server at" in error.message
    assert "(Scripted 0.4.0)" in error.message
