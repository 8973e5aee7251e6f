"""Weights of a Tinker run, by the real SDK and the real cookbook, from a scripted server."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from openthoughts_cli.config.engine import EngineConfig  # noqa: E402
from openthoughts_cli.config.train import TrainConfig  # noqa: E402
from openthoughts_cli.engine.base import AdamParams, Datum, LoraSpec, ModelInfo  # noqa: E402
from openthoughts_cli.engine.local import LocalEngine  # noqa: E402
from openthoughts_cli.engine.tinker import TinkerEngine  # noqa: E402
from openthoughts_cli.errors import (  # noqa: E402
    EngineError,
    IntegrityError,
    MissingExtraError,
    ModelError,
    OtError,
)
from openthoughts_cli.export.export import export_weights  # noqa: E402
from openthoughts_cli.runs.layout import RunDirectory  # noqa: E402
from tests.doubles.tinker_exports import ExportingServer  # noqa: E402
from tests.doubles.tinker_server import KEY  # noqa: E402
from tests.doubles.tiny_llama import CONTEXT_TOKENS, save_tiny_llama  # noqa: E402
from tests.doubles.tokenizer import byte_model  # noqa: E402
from tests.unit.test_export import TOKENS, add_checkpoint, logprobs_of  # noqa: E402

pytestmark = [
    pytest.mark.torch,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning"),
]


class Serving(LocalEngine):
    """The local engine behind the server, which must say what it serves."""

    served: tuple[ModelInfo, ...] = ()

    async def _served(self) -> tuple[ModelInfo, ...]:
        return self.served

    def models(self) -> Any:
        return self._served()


@pytest.fixture
def cookbook() -> None:
    pytest.importorskip("tinker_cookbook")
    pytest.importorskip("pyrage")


@pytest.fixture(params=[False], ids=["free-head"])
def model(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    folder = byte_model(tmp_path / "models" / "tiny")
    return save_tiny_llama(folder, vocab_size=260, tie_word_embeddings=request.param)


@pytest.fixture
def server(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Generator[ExportingServer]:
    info = ModelInfo(str(model), CONTEXT_TOKENS)

    def engine() -> Serving:
        serving = Serving(EngineConfig(kind="local", device="cpu"), store=tmp_path / "service")
        serving.served = (info,)
        return serving

    with ExportingServer(engine) as server:
        monkeypatch.setenv("TINKER_BASE_URL", server.url)
        monkeypatch.setenv("TINKER_API_KEY", KEY)
        yield server


@pytest.fixture
def run(server: ExportingServer, model: Path, tmp_path: Path) -> RunDirectory:
    """A run that was trained through the SDK; only its state can be fetched."""
    run = RunDirectory(tmp_path / "runs" / "remote")
    config = TrainConfig(subset="small", model=str(model), engine=EngineConfig(kind="tinker"))
    run.write_config(config.model_dump(mode="json"), {"model": {"name": str(model)}})
    asyncio.run(_train(run, str(model)))
    return run


async def _train(run: RunDirectory, model: str) -> None:
    tokens = np.array(TOKENS)
    datum = Datum(tokens[:-1], tokens[1:], np.ones(len(tokens) - 1, dtype=np.float32))
    async with TinkerEngine(EngineConfig(kind="tinker")) as engine:
        trainer = await engine.create_trainer(model, LoraSpec(rank=4, seed=1))
        await trainer.forward_backward([datum])
        await trainer.optim_step(AdamParams(learning_rate=0.05))
        state, sampler = await trainer.save_state("end"), await trainer.save_sampler("end")
    add_checkpoint(run, "end", 1, state, sampler, final=True)


def service_logprobs(run: RunDirectory) -> list[float]:
    async def ask() -> tuple[float | None, ...]:
        async with TinkerEngine(EngineConfig(kind="tinker")) as engine:
            path = run.checkpoints()[-1].sampler_path
            sampler = await engine.create_sampler(sampler_path=path)
            return await sampler.logprobs(TOKENS)

    return [value for value in asyncio.run(ask()) if value is not None]


def test_the_adapter_loads_in_peft_and_says_what_the_service_says(
    cookbook: None, server: ExportingServer, run: RunDirectory
) -> None:
    from peft import AutoPeftModelForCausalLM

    done = export_weights(str(run.path))

    settings = json.loads((done.path / "adapter_config.json").read_text())
    assert "lm_head" in settings["target_modules"]
    loaded = AutoPeftModelForCausalLM.from_pretrained(done.path)
    np.testing.assert_allclose(logprobs_of(loaded), service_logprobs(run), atol=2e-5)
    assert server.recipients  # it travelled encrypted
    assert server.exports == {}  # and nothing of it stays on the service
    assert server.violations == []
    assert {session.ended for session in server.sessions.values()} == {"success"}
    assert not [file for file in done.path.iterdir() if file.name.startswith(".")]
    assert export_weights(str(run.path)).reused


def test_the_merged_model_says_the_same(
    cookbook: None, server: ExportingServer, run: RunDirectory
) -> None:
    from transformers import AutoModelForCausalLM

    done = export_weights(str(run.path), merged=True)

    loaded = AutoModelForCausalLM.from_pretrained(done.path)
    np.testing.assert_allclose(logprobs_of(loaded), service_logprobs(run), atol=2e-5)


def test_it_works_where_a_loop_runs_already_as_in_a_notebook(
    cookbook: None, server: ExportingServer, run: RunDirectory
) -> None:
    async def cell() -> Path:
        return export_weights(str(run.path)).path

    assert (asyncio.run(cell()) / "adapter_model.safetensors").is_file()


@pytest.mark.parametrize("model", [True], ids=["tied-head"], indirect=True)
@pytest.mark.parametrize("merged", [False, True])
def test_an_output_layer_shared_with_the_embeddings_is_refused(
    cookbook: None, server: ExportingServer, run: RunDirectory, merged: bool
) -> None:
    """The local engine leaves it out, the service trains it: here it is put in by hand."""
    from safetensors.torch import load, save

    def with_unembed(files: dict[str, bytes]) -> dict[str, bytes]:
        weights = load(files["adapter_model.safetensors"])
        name = "base_model.model.model.unembed_tokens"
        weights[f"{name}.lora_A.weight"] = torch.ones(4, 32)
        weights[f"{name}.lora_B.weight"] = torch.ones(260, 4)
        return {**files, "adapter_model.safetensors": save(weights)}

    server.bend = with_unembed

    with pytest.raises(ModelError, match="shares with its input embeddings"):
        export_weights(str(run.path), merged=merged)
    _nothing_is_left(run, server)


def test_a_file_that_would_leave_the_folder_is_refused(
    cookbook: None, server: ExportingServer, run: RunDirectory, tmp_path: Path
) -> None:
    server.rename = lambda name: f"../../../../{name}"

    with pytest.raises(EngineError, match="path traversal"):
        export_weights(str(run.path))

    assert not list(tmp_path.glob("*adapter_*"))
    _nothing_is_left(run, server)


def test_half_a_file_is_no_weights(
    cookbook: None, server: ExportingServer, run: RunDirectory
) -> None:
    server.cut = True

    with pytest.raises(EngineError, match="cannot be fetched"):
        export_weights(str(run.path))
    _nothing_is_left(run, server)


@pytest.mark.parametrize(
    ("bend", "said"),
    [
        (
            lambda files: {"adapter_config.json": files["adapter_config.json"]},
            "holds no adapter_model",
        ),
        (
            lambda files: {**files, "adapter_model.safetensors": b"\x08" + bytes(20)},
            "not an adapter",
        ),
        (lambda files: {**files, "adapter_config.json": b"[1]"}, "holds no object"),
        (
            lambda files: {**files, "adapter_config.json": b"{" + b" " * (2 << 20)},
            "larger than any",
        ),
    ],
    ids=["no-weights", "torn-header", "no-object", "huge"],
)
def test_what_is_no_adapter_is_refused(
    cookbook: None, server: ExportingServer, run: RunDirectory, bend: Any, said: str
) -> None:
    server.bend = bend

    with pytest.raises(IntegrityError, match=said):
        export_weights(str(run.path))
    _nothing_is_left(run, server)


def test_expired_weights_are_said_to_be_gone(
    cookbook: None, server: ExportingServer, run: RunDirectory
) -> None:
    server.expire(run.checkpoints()[-1].state_path or "")

    with pytest.raises(OtError, match="Tinker does not know this") as caught:
        export_weights(str(run.path))
    assert caught.value.hint
    _nothing_is_left(run, server)


def test_a_model_that_is_no_longer_served_is_found_before_anything_is_fetched(
    cookbook: None, server: ExportingServer, run: RunDirectory
) -> None:
    server.advertised = [ModelInfo("another/model", 100)]

    with pytest.raises(ModelError, match="is not served by the server at"):
        export_weights(str(run.path))
    assert not [path for path in server.paths() if "external" in path]


def test_without_the_cookbook_the_remedy_is_named(
    server: ExportingServer, run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tinker_cookbook", None)
    asked = len(server.requests)

    with pytest.raises(MissingExtraError, match="tinker_cookbook") as caught:
        export_weights(str(run.path))

    assert caught.value.hint == "pip install 'openthoughts-cli[cookbook]'"
    assert len(server.requests) == asked
    assert not (run.path / "exports").exists()


def _nothing_is_left(run: RunDirectory, server: ExportingServer) -> None:
    folder = run.path / "exports"
    assert not folder.exists() or not list(folder.iterdir())
    assert server.exports == {}
