"""The engine contract through the real SDK over HTTP, against the scripted server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from openthoughts_cli.config.engine import EngineConfig
from openthoughts_cli.engine.tinker import TinkerEngine
from tests.contract.engine_contract import *  # noqa: F403
from tests.contract.engine_contract import Contract
from tests.doubles.tinker_server import TinkerServer

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server() -> Iterator[TinkerServer]:
    with TinkerServer() as running:
        yield running
    assert running.violations == []


@pytest.fixture
def contract(server: TinkerServer, monkeypatch: pytest.MonkeyPatch) -> Contract:
    monkeypatch.setenv("TINKER_BASE_URL", server.url)
    monkeypatch.setenv("TINKER_API_KEY", server.key)
    return Contract(
        open_engine=lambda: TinkerEngine(EngineConfig(kind="tinker")),
        model="tiny/bigram",
        vocab_size=32,
        context_tokens=64,
        untrainable_model="tiny/frozen",
    )
