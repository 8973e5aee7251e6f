"""Which layers of a model an adapter can take: found from the model itself, not from a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from openthoughts_cli.engine.base import LoraSpec
from openthoughts_cli.errors import ModelError

__all__ = ["Layers", "Targets", "find_layers", "find_targets"]

_PARTS = {
    "attn": ("attn", "attention", "mixer"),
    "mlp": ("mlp", "feed_forward", "ffn", "expert", "moe"),
}


@dataclass(frozen=True, slots=True)
class Layers:
    """What an adapter could take: the paths of all linear layers, and of a free output layer."""

    paths: tuple[str, ...]
    head: str | None


@dataclass(frozen=True, slots=True)
class Targets:
    """Names in peft's sense: each matches the modules whose path ends with it."""

    names: tuple[str, ...]
    left_out: tuple[str, ...]
    """Why a part that was asked for is not adapted, one sentence each."""


def find_layers(model: nn.Module) -> Layers:
    """The linear layers of a model that carries no adapter yet."""
    paths = tuple(path for path, module in model.named_modules() if _can_adapt(module))
    return Layers(paths, _free_head(model))


def find_targets(layers: Layers, spec: LoraSpec) -> Targets:
    """Those that `spec` asks to adapt.

    Raises:
        ModelError: none of the parts asked for has a layer that can be adapted.
    """
    wanted = {part: getattr(spec, part) for part in _PARTS}
    chosen: list[str] = []
    left_out: list[str] = []
    for part, words in _PARTS.items():
        paths = [path for path in layers.paths if _belongs(path, words)]
        if wanted[part] and not paths:
            left_out.append(f"this model has no {part} layers that can be adapted")
        elif wanted[part]:
            chosen += paths
    if spec.unembed:
        if layers.head is None:
            left_out.append(
                "the output layer shares its weights with the input embeddings and stays frozen"
            )
        else:
            chosen.append(layers.head)
    if not chosen:
        raise ModelError(
            "nothing of this model can be adapted: " + ("; ".join(left_out) or "no part is asked"),
            hint="set at least one of attn and mlp in the lora settings",
        )
    return Targets(tuple(_short_names(chosen, layers.paths)), tuple(left_out))


def _can_adapt(module: nn.Module) -> bool:
    from transformers.pytorch_utils import Conv1D

    return isinstance(module, (nn.Linear, Conv1D))


def _belongs(path: str, words: Sequence[str]) -> bool:
    parents = path.lower().split(".")[:-1]
    return any(word in parent for parent in parents for word in words)


def _free_head(model: nn.Module) -> str | None:
    """The output layer's path, unless its weight is the embedding's (a merge would change both)."""
    head = model.get_output_embeddings()  # pyright: ignore[reportCallIssue]
    embeddings = model.get_input_embeddings()  # pyright: ignore[reportCallIssue]
    if not isinstance(head, nn.Linear) or head.weight is embeddings.weight:
        return None
    return next(path for path, module in model.named_modules() if module is head)


def _short_names(chosen: Sequence[str], layers: Sequence[str]) -> list[str]:
    """Last names where they are unambiguous, such as q_proj; else with the parent's."""
    others = set(layers) - set(chosen)
    names: dict[str, None] = {}
    for path in chosen:
        parts = path.split(".")
        for length in range(1, len(parts) + 1):
            name = ".".join(parts[-length:])
            if not any(other == name or other.endswith(f".{name}") for other in others):
                names[name] = None
                break
    return sorted(names)
