"""A short training through the SDK over HTTP equals the same training in process, bit for bit."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable
from pathlib import Path

import pytest

from openthoughts_cli.config.engine import EngineConfig
from openthoughts_cli.engine.base import AdamParams, Engine, LoraSpec, SamplingParams
from openthoughts_cli.engine.tinker import TinkerEngine
from tests.contract.support import Contract, make_batch
from tests.doubles.memory_engine import MemoryEngine
from tests.doubles.tinker_server import KEY, TinkerServer

pytestmark = pytest.mark.slow
SHAPES = Contract(MemoryEngine, "tiny/bigram", vocab_size=32, context_tokens=64)


async def _short_run(engine: Engine) -> list[object]:
    """Everything a run observes: losses, log-probabilities, samples before and after a resume."""
    seen: list[object] = []
    trainer = await engine.create_trainer("tiny/bigram", LoraSpec(rank=4, seed=9))
    for start in (0, 3):
        losses = [
            (
                trainer.forward_backward(make_batch(SHAPES, seed)),
                trainer.optim_step(AdamParams(0.02, weight_decay=0.01, grad_clip_norm=1.0)),
            )
            for seed in range(start, start + 3)
        ]
        state = trainer.save_state(f"step-{start}")
        sampler_path = trainer.save_sampler(f"step-{start}")
        held_out = trainer.forward(make_batch(SHAPES, 99))
        for loss, step in losses:
            seen.append((await loss).loss_sum)
            seen.append((await step).metrics)
        seen.extend(given.tobytes() for given in (await held_out).logprobs)
        sampler = await engine.create_sampler(sampler_path=await sampler_path)
        answers: Awaitable[object] = sampler.sample([1, 2, 3], SamplingParams(9, 3, 0.7, seed=5))
        seen.append(await answers)
        seen.append(await sampler.logprobs([5, 6, 7, 8]))
        trainer = await engine.resume_trainer(await state)
    return seen


async def _observed(engine: Engine) -> list[object]:
    async with engine:
        return await _short_run(engine)


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINKER_API_KEY", KEY)


def test_the_wire_changes_nothing() -> None:
    with TinkerServer() as server:
        config = EngineConfig(kind="tinker", base_url=server.url)
        over_the_wire = asyncio.run(_observed(TinkerEngine(config)))
        assert server.violations == []
    assert over_the_wire == asyncio.run(_observed(MemoryEngine()))


def test_what_the_server_may_switch_on_changes_nothing() -> None:
    """Compressed batches, chunks one by one, sizes before results, one poll for all samples."""
    flags = {
        "proto_compress_fwdbwd": True,
        "parallel_fwdbwd_chunks": False,
        "fwdbwd_max_chunk_len": 2,
        "sample_use_retrieve_futures": True,
    }
    with TinkerServer(client_config=flags, inline_bytes=16) as server:
        config = EngineConfig(kind="tinker", base_url=server.url)
        over_the_wire = asyncio.run(_observed(TinkerEngine(config)))
        assert server.violations == []
        assert "/api/v1/retrieve_futures" in server.paths()
        sent = [r for r in server.requests if r.path == "/api/v1/forward_backward"]
        assert {r.headers.get("content-encoding") for r in sent} == {"zstd"}
        assert len(sent) == 2 * 8, "batches of three in chunks of two"
    assert over_the_wire == asyncio.run(_observed(MemoryEngine()))


def test_the_server_runs_as_a_process_of_its_own(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.doubles.tinker_server", "--port", "0"]
    command += ["--model", "tiny/bigram", "--context", "64", "--weights", str(tmp_path / "weights")]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            config = EngineConfig(kind="tinker", base_url=url)
            over_the_wire = asyncio.run(_observed(TinkerEngine(config)))
        finally:
            os.kill(process.pid, signal.SIGTERM)
        assert process.wait(timeout=20) == 0
    assert over_the_wire == asyncio.run(_observed(MemoryEngine()))
    assert len(list((tmp_path / "weights").iterdir())) == 4
