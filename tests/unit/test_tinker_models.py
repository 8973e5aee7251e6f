"""Which models are offered, in which order, when the one asked for is not served."""

from __future__ import annotations

import pytest

from openthoughts_cli.engine.base import ModelInfo
from openthoughts_cli.engine.tinker.models import find_served, tokenizer_family
from openthoughts_cli.errors import ModelError

SERVED = (
    ModelInfo("Qwen/Qwen3.5-4B", 65_536),
    ModelInfo("openai/gpt-oss-20b", 32_768),
    ModelInfo("Qwen/Qwen3-8B", 32_768),
    ModelInfo("Qwen/Qwen3-0.6B", 32_768, trainable=False),
    ModelInfo("meta-llama/Llama-3.2-1B", 32_768, sampleable=False),
)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Qwen/Qwen3-4B-Instruct-2507", "Qwen/Qwen3-8B", True),
        ("Qwen/Qwen3-8B-Base", "Qwen/Qwen3-30B-A3B", True),
        ("Qwen/Qwen3.5-4B", "Qwen/Qwen3-8B", False),
        ("Qwen/Qwen3.5-4B", "Qwen/Qwen3.5-397B-A17B:peft:262144", True),
        ("meta-llama/Llama-3.2-1B", "meta-llama/Llama-3.1-70B", True),
        ("openai/gpt-oss-20b", "openai/gpt-oss-120b", True),
        ("deepseek-ai/DeepSeek-V3.1", "openai/gpt-oss-20b", False),
    ],
)
def test_families_by_name(one: str, other: str, same: bool) -> None:
    assert (tokenizer_family(one) == tokenizer_family(other)) is same


def test_a_served_model_is_found() -> None:
    assert find_served(SERVED, "Qwen/Qwen3-8B", train=True, sample=True) == SERVED[2]


def test_the_same_tokenizer_is_offered_first_with_the_flag() -> None:
    with pytest.raises(ModelError, match="Qwen3-4B-Instruct-2507 is not served") as caught:
        find_served(SERVED, "Qwen/Qwen3-4B-Instruct-2507", train=True)
    hint = caught.value.hint or ""
    assert "--model Qwen/Qwen3-8B;" in hint
    assert "with the same tokenizer: Qwen/Qwen3-8B;" in hint
    assert hint.index("Qwen/Qwen3-8B") < hint.index("Qwen/Qwen3.5-4B")
    assert "Qwen3-0.6B" not in hint, "it cannot be trained"


def test_a_model_that_cannot_do_it_is_told_apart() -> None:
    with pytest.raises(ModelError, match=r"Qwen3-0\.6B cannot be trained"):
        find_served(SERVED, "Qwen/Qwen3-0.6B", train=True)
    with pytest.raises(ModelError, match=r"Llama-3\.2-1B cannot be sampled"):
        find_served(SERVED, "meta-llama/Llama-3.2-1B", sample=True)


def test_a_server_without_models_says_so() -> None:
    with pytest.raises(ModelError) as caught:
        find_served((), "Qwen/Qwen3-8B", train=True)
    assert caught.value.hint == "it serves no model for this"
