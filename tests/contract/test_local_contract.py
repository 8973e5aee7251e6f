"""The engine contract against the local engine, with a tiny random model."""

from __future__ import annotations

import pytest

from openthoughts_cli.config.engine import EngineConfig
from openthoughts_cli.engine.local import LocalEngine
from tests.contract.engine_contract import *  # noqa: F403
from tests.contract.engine_contract import Contract
from tests.doubles.tiny_llama import CONTEXT_TOKENS, VOCAB_SIZE, save_tiny_llama

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def contract(tmp_path_factory: pytest.TempPathFactory) -> Contract:
    home = tmp_path_factory.mktemp("local")
    model = save_tiny_llama(home / "model")

    class KnownModel(LocalEngine):
        """The same engine with the tiny model loaded, so that `models` lists it."""

        async def __aenter__(self) -> KnownModel:
            await self.create_sampler(str(model))
            return self

    return Contract(
        open_engine=lambda: KnownModel(EngineConfig(kind="local", device="cpu"), store=home),
        model=str(model),
        vocab_size=VOCAB_SIZE,
        context_tokens=CONTEXT_TOKENS,
    )
