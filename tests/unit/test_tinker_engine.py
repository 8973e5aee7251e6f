"""The adapter's own behaviour over HTTP: sessions, refusals, what it sends and what it leaves off."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from openthoughts_cli.config.engine import EngineConfig
from openthoughts_cli.engine.base import (
    AdamParams,
    Datum,
    Engine,
    LoraSpec,
    ModelInfo,
    SamplingParams,
)
from openthoughts_cli.engine.tinker import TinkerEngine
from openthoughts_cli.errors import AuthError, ConflictError, EngineError, ModelError, NetworkError
from openthoughts_cli.events import Event, Notice
from tests.doubles.memory_engine import MemoryEngine
from tests.doubles.tinker_server import TinkerServer
from tests.doubles.unreachable import unreachable

CONFIG = EngineConfig(kind="tinker")


@pytest.fixture(scope="module")
def server() -> Iterator[TinkerServer]:
    with TinkerServer() as running:
        yield running


@pytest.fixture(autouse=True)
def environment(server: TinkerServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("TINKER_CREDENTIAL_CMD", raising=False)
    monkeypatch.delenv("TINKER_TELEMETRY", raising=False)
    monkeypatch.setenv("TINKER_BASE_URL", server.url)
    monkeypatch.setenv("TINKER_API_KEY", server.key)


def _datum(length: int = 8) -> Datum:
    tokens = np.arange(length + 1, dtype=np.int64) % 32
    return Datum(tokens[:-1], tokens[1:], np.ones(length, dtype=np.float32))


async def _in(config: EngineConfig, scenario: Any) -> Any:
    async with TinkerEngine(config) as engine:
        return await scenario(engine)


def test_it_is_an_engine_that_costs_money_and_promises_no_bits() -> None:
    engine: Engine = TinkerEngine(CONFIG)
    assert (engine.kind, engine.costs_money, engine.deterministic) == ("tinker", True, False)


def test_without_credentials_nothing_is_sent(
    server: TinkerServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TINKER_API_KEY")
    asked = len(server.requests)
    with pytest.raises(AuthError, match="no Tinker credentials") as caught:
        TinkerEngine(CONFIG)
    assert "TINKER_API_KEY" in (caught.value.hint or "")
    assert "https://" in (caught.value.hint or "")
    assert len(server.requests) == asked


def test_a_refused_key_is_an_auth_error_that_does_not_tell_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TINKER_API_KEY", "tml-not-the-right-key")
    with pytest.raises(AuthError) as caught:
        asyncio.run(_in(CONFIG, lambda engine: engine.models()))
    assert "not-the-right-key" not in caught.value.message


def test_an_unreachable_server_is_told_after_three_tries() -> None:
    with unreachable() as server, pytest.raises(NetworkError, match=server.url) as caught:
        asyncio.run(_in(EngineConfig(base_url=server.url), lambda e: e.models()))
    assert server.attempts == 3
    assert "--engine local" in (caught.value.hint or "")


def test_the_config_s_address_wins_over_the_environment_s(
    server: TinkerServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TINKER_BASE_URL", "http://127.0.0.1:1")
    config = EngineConfig(base_url=server.url + "/")
    models = asyncio.run(_in(config, lambda engine: engine.models()))
    assert models[0].name == "tiny/bigram"


def test_models_that_do_not_say_all_are_taken_as_able() -> None:
    advertised = [ModelInfo("some/model", 0)]
    with TinkerServer(advertised=advertised) as other:
        config = EngineConfig(base_url=other.url)
        (model,) = asyncio.run(_in(config, lambda engine: engine.models()))
    assert model == ModelInfo("some/model", 32_768)


async def _train(engine: TinkerEngine) -> None:
    trainer = await engine.create_trainer("tiny/bigram", LoraSpec(rank=4, seed=3))
    pending = [trainer.forward_backward([_datum()]), trainer.optim_step(AdamParams(0.1))]
    await asyncio.gather(*pending)


async def _fail(engine: TinkerEngine) -> None:
    await _train(engine)
    raise RuntimeError("the caller's own failure")


async def _interrupt(engine: TinkerEngine) -> None:
    await _train(engine)
    raise asyncio.CancelledError


@pytest.mark.parametrize(
    ("scenario", "raised", "status"),
    [
        (_train, None, "success"),
        (_fail, RuntimeError, "errored"),
        (_interrupt, asyncio.CancelledError, "interrupted"),
    ],
)
def test_the_session_is_closed_with_how_it_ended(
    server: TinkerServer, scenario: Any, raised: type[BaseException] | None, status: str
) -> None:
    if raised is None:
        asyncio.run(_in(CONFIG, scenario))
    else:
        with pytest.raises(raised):
            asyncio.run(_in(CONFIG, scenario))
    assert list(server.sessions.values())[-1].ended == status


def test_a_session_that_was_never_opened_closes(server: TinkerServer) -> None:
    async def scenario() -> None:
        engine = TinkerEngine(CONFIG)
        await engine.models()
        await engine.close()
        await engine.close()

    sessions = len(server.sessions)
    asyncio.run(scenario())
    assert len(server.sessions) == sessions


def test_the_sdk_s_telemetry_is_off_unless_asked_for(
    server: TinkerServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    asyncio.run(_in(CONFIG, _train))
    assert "/api/v1/telemetry" not in server.paths()
    assert os.environ["TINKER_TELEMETRY"] == "0"
    monkeypatch.setenv("TINKER_TELEMETRY", "1")
    asyncio.run(_in(CONFIG, _train))
    assert "/api/v1/telemetry" in server.paths()


def test_the_lora_spec_arrives_whole(server: TinkerServer) -> None:
    lora = LoraSpec(rank=8, seed=5, attn=True, mlp=False, unembed=False)
    asyncio.run(_in(CONFIG, lambda engine: engine.create_trainer("tiny/bigram", lora)))
    sent = [r for r in server.requests if r.path == "/api/v1/create_model"][-1].json()
    assert sent["lora_config"] == {
        "rank": 8,
        "seed": 5,
        "train_attn": True,
        "train_mlp": False,
        "train_unembed": False,
    }


def test_a_rank_that_is_no_power_of_two_is_refused_by_the_server() -> None:
    with pytest.raises(EngineError, match="power of two"):
        asyncio.run(_in(CONFIG, lambda e: e.create_trainer("tiny/bigram", LoraSpec(rank=6))))


def test_sampling_parameters_arrive_as_the_service_takes_them(server: TinkerServer) -> None:
    async def scenario(engine: TinkerEngine) -> None:
        sampler = await engine.create_sampler("tiny/bigram")
        await sampler.sample([1] * 60, SamplingParams(50, 2, 0.7, 0.9, 0, 4, (7, 9)))

    asyncio.run(_in(CONFIG, scenario))
    sent = [r for r in server.requests if r.path == "/api/v1/asample"][-1].json()
    assert sent["num_samples"] == 2
    assert sent["sampling_params"] == {
        "max_tokens": 4,
        "seed": 4,
        "stop": [7, 9],
        "temperature": 0.7,
        "top_k": -1,
        "top_p": 0.9,
    }


def test_a_checkpoint_s_time_to_live_and_expiry(server: TinkerServer) -> None:
    async def scenario(engine: TinkerEngine) -> None:
        trainer = await engine.create_trainer("tiny/bigram", LoraSpec(rank=4))
        earliest = time.time() + 7200
        state = await trainer.save_state("kept", ttl_s=7200)
        latest = time.time() + 7200
        path = await trainer.save_sampler("kept", ttl_s=None)
        assert state.startswith("tinker://")
        assert state.endswith("/weights/kept")
        assert path.endswith("/sampler_weights/kept")
        expires_at = server.saved[state].expires_at
        assert expires_at is not None
        assert earliest <= expires_at <= latest
        assert server.saved[path].expires_at is None
        with pytest.raises(EngineError, match="ttl_seconds"):
            await trainer.save_state("short", ttl_s=60)

    asyncio.run(_in(CONFIG, scenario))

    async def after(engine: TinkerEngine) -> None:
        state, path = list(server.saved)[-2:]
        server.expire(state)
        server.expire(path)
        for opening in (engine.resume_trainer(state), engine.create_sampler(sampler_path=path)):
            with pytest.raises(ModelError) as caught:
                await opening
            assert "expired" in (caught.value.hint or "")

    asyncio.run(_in(CONFIG, after))


def test_a_name_that_is_taken_is_refused() -> None:
    async def scenario(engine: TinkerEngine) -> None:
        trainer = await engine.create_trainer("tiny/bigram", LoraSpec(rank=4))
        await trainer.save_state("twice")
        with pytest.raises((EngineError, ConflictError), match="exists"):
            await trainer.save_state("twice")

    asyncio.run(_in(CONFIG, scenario))


def test_weights_of_another_engine_are_refused_with_the_flag() -> None:
    with pytest.raises(ModelError) as caught:
        asyncio.run(_in(CONFIG, lambda engine: engine.resume_trainer("/runs/a/store/state-1")))
    assert "--engine local" in (caught.value.hint or "")


def test_a_server_with_a_shorter_context_than_it_says_is_a_model_error() -> None:
    advertised = [ModelInfo("tiny/bigram", 4096)]

    async def scenario(engine: TinkerEngine) -> None:
        sampler = await engine.create_sampler("tiny/bigram")
        with pytest.raises(ModelError, match="context"):
            await sampler.sample([1] * 100, SamplingParams(max_tokens=1))
        trainer = await engine.create_trainer("tiny/bigram", LoraSpec(rank=4))
        with pytest.raises(ModelError, match="context"):
            await trainer.forward([_datum(100)])

    with TinkerServer(advertised=advertised) as other:
        asyncio.run(_in(EngineConfig(base_url=other.url), scenario))


@pytest.mark.slow
def test_a_batch_beyond_one_chunk_keeps_its_order() -> None:
    """The SDK sends 1,024 sequences a request, the first request last."""
    batch = [_datum(1 + index % 3) for index in range(1500)]

    async def scenario(engine: TinkerEngine) -> tuple[list[int], float]:
        trainer = await engine.create_trainer("tiny/bigram", LoraSpec(rank=4))
        forward = trainer.forward_backward(batch)
        step = trainer.optim_step(AdamParams(0.1))
        result = await forward
        await step
        return [given.size for given in result.logprobs], (await trainer.forward(batch)).loss_sum

    async def in_process() -> float:
        async with MemoryEngine() as engine:
            trainer = await engine.create_trainer("tiny/bigram", LoraSpec(rank=4))
            await asyncio.gather(
                trainer.forward_backward(batch), trainer.optim_step(AdamParams(0.1))
            )
            return (await trainer.forward(batch)).loss_sum

    sizes, loss = asyncio.run(_in(CONFIG, scenario))
    assert sizes == [1 + index % 3 for index in range(1500)]
    assert loss == pytest.approx(asyncio.run(in_process()), rel=1e-9)


def test_an_answer_given_up_can_be_awaited_again() -> None:
    async def scenario(engine: TinkerEngine) -> None:
        trainer = await engine.create_trainer("tiny/bigram", LoraSpec(rank=4))
        answer = trainer.forward_backward([_datum()])
        waiter = asyncio.ensure_future(answer)
        await asyncio.sleep(0)
        waiter.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiter
        assert (await answer).loss_sum > 0

    asyncio.run(_in(CONFIG, scenario))


@pytest.mark.slow
def test_a_slow_service_is_waited_for() -> None:
    def slow() -> MemoryEngine:
        return MemoryEngine(cycle_s=0.2, latency_s=0.3)

    async def scenario(engine: TinkerEngine) -> int:
        trainer = await engine.create_trainer("tiny/bigram", LoraSpec(rank=4))
        await asyncio.gather(
            trainer.forward_backward([_datum()]), trainer.optim_step(AdamParams(0.1))
        )
        sampler = await engine.create_sampler("tiny/bigram")
        return len(await sampler.sample([1], SamplingParams(max_tokens=2, n=3)))

    with TinkerServer(slow, poll_s=0.05) as other:
        assert asyncio.run(_in(EngineConfig(base_url=other.url), scenario)) == 3
        assert other.paths().count("/api/v1/retrieve_future") > 6
        assert other.violations == []


def test_the_sdk_s_warnings_reach_the_listener_without_secrets_or_routine() -> None:
    heard: list[Event] = []

    async def scenario() -> None:
        async with TinkerEngine(CONFIG, listener=heard.append) as engine:
            await engine.models()
            logger = logging.getLogger("tinker.lib.internal_client_holder")
            for text in (
                "Retrying request self.request_id='x' because of try_again",
                "The job is paused due to billing status. Error: key tml-secretKEY",
                "The job is paused due to billing status. Error: key tml-secretKEY",
            ):
                logger.warning(text)
            logger.error("an error, which is raised as well")
            await asyncio.sleep(0)
        logger.error("after the end")

    asyncio.run(scenario())
    (notice,) = heard
    assert isinstance(notice, Notice)
    assert notice.level == "warning"
    assert "paused due to billing" in notice.text
    assert "secretKEY" not in notice.text
