"""Whole journeys through the real command line, as a process in a directory of its own."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.doubles.chat_models import chatml_folder
from tests.doubles.tinker_server import TinkerServer
from tests.doubles.tiny_llama import save_tiny_llama
from tests.tools.warm_ot import LOCAL, STRICT, TINKER, Ended, WarmOt, read_early, run_cold

CONTEXT_TOKENS = 4096

RunOt = Callable[..., Ended]


@pytest.fixture(scope="session")
def warm() -> Generator[WarmOt]:
    """Starts processes that have imported the engines that are installed here."""
    local = LOCAL if find_spec("peft") else ()
    with WarmOt((*local, *TINKER), options=STRICT) as warm_ot:
        yield warm_ot


@pytest.fixture
def run_ot(tmp_path: Path, warm: WarmOt) -> RunOt:
    """`run_ot("train", "--subset", "s", env={...})` in tmp_path; no terminal, no input."""

    def run(*args: object, env: dict[str, str] | None = None, timeout_s: float = 240) -> Ended:
        variables = {**own_environment(), **(env or {})}
        start = warm.run if read_early(variables) == read_early(warm.env) else run_cold
        return start([str(arg) for arg in args], cwd=tmp_path, env=variables, timeout_s=timeout_s)

    return run


def own_environment() -> dict[str, str]:
    """This process's environment, less the test's own places: a journey has them in its directory."""
    return {k: v for k, v in os.environ.items() if k not in ("OT_RUNS", "OT_SUBSETS", "OT_SWEEPS")}


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random two-layer Llama with a ChatML tokenizer: a model folder as people have them."""
    folder = tmp_path_factory.mktemp("models") / "tiny-llama"
    folder.mkdir()
    chatml_folder(folder)
    import json

    vocabulary = json.loads((folder / "tokenizer.json").read_text())
    size = 1 + max(
        [*vocabulary["model"]["vocab"].values(), *(t["id"] for t in vocabulary["added_tokens"])]
    )
    save_tiny_llama(
        folder,
        vocab_size=size,
        max_position_embeddings=CONTEXT_TOKENS,
        eos_token_id=None,
        bos_token_id=None,
        pad_token_id=None,
    )
    return folder


@pytest.fixture
def tinker() -> Generator[TinkerServer]:
    """A Tinker server that serves one model under the name of a Qwen3."""
    from openthoughts_cli.engine.base import ModelInfo
    from tests.doubles.memory_engine import MemoryEngine

    served = (ModelInfo("Qwen/Qwen3-4B-Instruct-2507", 4096),)
    with TinkerServer(lambda: MemoryEngine(served, vocab_size=151_936)) as server:
        yield server
