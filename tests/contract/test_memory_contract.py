"""The engine contract against the in-memory double, so that the double can stand in for engines."""

from __future__ import annotations

import pytest

from tests.contract.engine_contract import *  # noqa: F403
from tests.contract.engine_contract import Contract
from tests.doubles.memory_engine import MemoryEngine


@pytest.fixture(scope="module")
def contract() -> Contract:
    store: dict[str, bytes] = {}
    return Contract(
        open_engine=lambda: MemoryEngine(vocab_size=32, store=store),
        model="tiny/bigram",
        vocab_size=32,
        context_tokens=64,
        untrainable_model="tiny/frozen",
    )
