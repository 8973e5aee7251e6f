"""Keys and values of the answers that are generated side by side.

transformers' own cache copies everything at every token. This one writes into room that is kept
ahead, drops finished rows, and joins batches of different lengths by padding on the left.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

__all__ = ["is_plain", "joined", "new_cache", "select"]

_ROOM_TOKENS = 64


class RoomyLayer(DynamicLayer):
    """Keys and values [rows, heads, tokens, size] of one layer, with room for more tokens."""

    def __init__(self) -> None:
        super().__init__()
        self._room: tuple[torch.Tensor, torch.Tensor] | None = None

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        length = self.get_seq_length()
        end = length + key_states.shape[-2]
        if self._room is None or self._room[0].shape[-2] < end:
            self._make_room(key_states, end + _ROOM_TOKENS)
        assert self._room is not None
        self._room[0][:, :, length:end] = key_states
        self._room[1][:, :, length:end] = value_states
        self.keys, self.values = (part[:, :, :end] for part in self._room)
        return self.keys, self.values

    def put(self, keys: torch.Tensor, values: torch.Tensor) -> None:
        """Hold these instead; room is made when the next token comes."""
        self.keys, self.values, self._room = keys, values, None
        self.dtype, self.device = keys.dtype, keys.device
        self.is_initialized = True

    def _make_room(self, like: torch.Tensor, tokens: int) -> None:
        rows, heads, _, size = like.shape
        length = self.get_seq_length()
        room = (
            like.new_empty(rows, heads, tokens, size),
            like.new_empty(rows, heads, tokens, size),
        )
        if self.keys is not None and self.values is not None and length:
            room[0][:, :, :length] = self.keys
            room[1][:, :, :length] = self.values
        self._room = room
        self.dtype, self.device = like.dtype, like.device
        self.is_initialized = True


def new_cache(config: Any) -> Any:
    """An empty cache as the model needs it; full-attention layers get room ahead."""
    cache: Any = DynamicCache(config=config)
    cache.layers = [
        RoomyLayer() if type(layer) is DynamicLayer else layer for layer in cache.layers
    ]
    return cache


def is_plain(cache: Any) -> bool:
    """Whether every layer is full attention, so that rows can be joined and shifted."""
    return bool(cache.layers) and all(isinstance(layer, RoomyLayer) for layer in cache.layers)


def select(cache: Any, rows: Sequence[int], first: int = 0) -> None:
    """Keep these rows, in this order (one may come twice), from token `first` on."""
    index = torch.tensor(rows)
    for layer in cache.layers:
        if isinstance(layer, RoomyLayer) and layer.keys is not None and layer.values is not None:
            at = index.to(layer.keys.device)
            layer.put(layer.keys[:, :, first:][at], layer.values[:, :, first:][at])
        else:
            some: Any = layer
            some.reorder_cache(index)  # the one method that layers of every kind have


def joined(upper: Any, lower: Any) -> Any:
    """The rows of both, the shorter ones padded on the left; `upper` becomes the result."""
    for one, other in zip(upper.layers, lower.layers, strict=True):
        assert isinstance(one, RoomyLayer)
        one.put(_stack(one.keys, other.keys), _stack(one.values, other.values))
        other.keys = other.values = None  # free each layer's memory as we go
    return upper


def _stack(upper: torch.Tensor | None, lower: torch.Tensor | None) -> torch.Tensor:
    assert upper is not None
    assert lower is not None
    length = max(upper.shape[-2], lower.shape[-2])
    pads = [torch.nn.functional.pad(t, (0, 0, length - t.shape[-2], 0)) for t in (upper, lower)]
    return torch.cat(pads)
