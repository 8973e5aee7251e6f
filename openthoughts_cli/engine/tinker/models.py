"""What a Tinker server serves, and what to say when it does not serve a model."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from openthoughts_cli.engine.base import ModelInfo
from openthoughts_cli.errors import ModelError

if TYPE_CHECKING:
    from tinker.types import GetServerCapabilitiesResponse

__all__ = ["assumed_model", "find_served", "served_models", "tokenizer_family"]

# What a server that does not say is taken for: the shortest context the service has published.
_UNSAID_CONTEXT_TOKENS = 32_768

# The server does not say; these are `hidden_size` in each model's config.json on the hub.
_HIDDEN_SIZES = {
    "Qwen/Qwen3-4B-Instruct-2507": 2560,
    "Qwen/Qwen3-8B": 4096,
    "Qwen/Qwen3-8B-Base": 4096,
    "Qwen/Qwen3-32B": 5120,
    "Qwen/Qwen3-30B-A3B": 2048,
    "Qwen/Qwen3-30B-A3B-Base": 2048,
    "Qwen/Qwen3-30B-A3B-Instruct-2507": 2048,
    "meta-llama/Llama-3.2-1B": 2048,
    "meta-llama/Llama-3.2-3B": 3072,
    "meta-llama/Llama-3.1-8B": 4096,
    "meta-llama/Llama-3.1-8B-Instruct": 4096,
    "meta-llama/Llama-3.1-70B": 8192,
    "meta-llama/Llama-3.3-70B-Instruct": 8192,
}

_FAMILIES = (
    (re.compile(r"qwen(\d+\.\d+)", re.IGNORECASE), "qwen{}"),
    (re.compile(r"qwen(\d+)", re.IGNORECASE), "qwen{}"),
    (re.compile(r"llama-(\d)", re.IGNORECASE), "llama{}"),
    (re.compile(r"(gpt-oss|deepseek-v\d|kimi-k\d|nemotron-\d|smollm\d)", re.IGNORECASE), "{}"),
)


def tokenizer_family(name: str) -> str:
    """A label that models with one tokenizer share, as far as their names tell.

    Qwen3-8B and Qwen3-4B-Instruct-2507 share a tokenizer; Qwen3.5 has another.
    """
    base = name.rsplit("/", 1)[-1]
    for pattern, label in _FAMILIES:
        if found := pattern.search(base):
            return label.format(found.group(1).lower())
    return name.split("/", 1)[0].lower()


def served_models(capabilities: GetServerCapabilitiesResponse) -> tuple[ModelInfo, ...]:
    """The named models of the server's answer; what it does not say is taken as possible."""
    return tuple(
        ModelInfo(
            model.model_name,
            model.max_context_length or _UNSAID_CONTEXT_TOKENS,
            trainable=model.trainable is not False,
            sampleable=model.sampleable is not False,
            hidden_size=_HIDDEN_SIZES.get(model.model_name),
        )
        for model in capabilities.supported_models
        if model.model_name
    )


def assumed_model(name: str) -> ModelInfo:
    """A model that no server was asked about: served, with the shortest context there is."""
    return ModelInfo(name, _UNSAID_CONTEXT_TOKENS, hidden_size=_HIDDEN_SIZES.get(name))


def find_served(
    served: Sequence[ModelInfo],
    name: str,
    *,
    train: bool = False,
    sample: bool = False,
    server: str = "this Tinker server",
) -> ModelInfo:
    """The served model of that name, able to do what is asked.

    Raises:
        ModelError: it is not; the hint lists what is, same tokenizer first, and the flag.
    """

    def able(model: ModelInfo) -> bool:
        return (model.trainable or not train) and (model.sampleable or not sample)

    found = next((model for model in served if model.name == name), None)
    if found is not None and able(found):
        return found
    use = "trained" if train else "sampled"
    problem = "is not served" if found is None else f"cannot be {use}"
    raise ModelError(
        f"the model {name} {problem} by {server}",
        hint=_offer(filter(able, served), tokenizer_family(name)),
    )


def _offer(models: Iterable[ModelInfo], family: str) -> str:
    ordered = sorted(models, key=lambda model: (tokenizer_family(model.name) != family, model.name))
    if not ordered:
        return "it serves no model for this"
    same = [model.name for model in ordered if tokenizer_family(model.name) == family]
    others = [model.name for model in ordered if tokenizer_family(model.name) != family]
    lists = [
        f"{label}: {', '.join(names)}"
        for label, names in (("with the same tokenizer", same), ("others", others))
        if names
    ]
    return f"choose one with --model, such as --model {ordered[0].name}; " + "; ".join(lists)
