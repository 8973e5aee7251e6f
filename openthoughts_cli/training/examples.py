"""From a subset's rows to the batches that an engine trains on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from openthoughts_cli.engine.base import Datum

if TYPE_CHECKING:
    from openthoughts_cli.chat.renderer import Renderer
    from openthoughts_cli.data.rows import Row

__all__ = ["LossNormalization", "Packed", "TrainingRows", "collate", "render_rows"]

LossNormalization: TypeAlias = Literal["token", "sequence", "sum"]

_ROWS_AT_ONCE = 512


@dataclass(frozen=True, slots=True)
class Packed:
    """One row as tokens, four bytes each: `tokens` is the prompt, then the target."""

    tokens: npt.NDArray[np.int32]
    prompt_length: int

    @property
    def num_tokens(self) -> int:
        return len(self.tokens)

    @property
    def num_loss_tokens(self) -> int:
        return len(self.tokens) - max(self.prompt_length, 1)

    def datum(self, weight: float) -> Datum:
        """Shifted by one; loss on the target's tokens alone, each weighing `weight`."""
        tokens = self.tokens.astype(np.int64)
        weights = np.full(len(tokens) - 1, weight, dtype=np.float32)
        weights[: max(self.prompt_length - 1, 0)] = 0.0
        return Datum(tokens[:-1], tokens[1:], weights)


@dataclass(frozen=True, slots=True)
class TrainingRows:
    """Rows that fit, as tokens, and how many do not, by reason."""

    rows: tuple[Row, ...]
    packed: tuple[Packed, ...]
    dropped: dict[str, int] = field(default_factory=dict[str, int])

    @property
    def num_tokens(self) -> int:
        """Tokens of all kept rows, prompt and target."""
        return sum(row.num_tokens for row in self.packed)


def render_rows(
    rows: Sequence[Row], renderer: Renderer, *, max_tokens: int, keep_control_tokens: bool = False
) -> TrainingRows:
    """The rows as the model's own tokens; what does not fit is dropped and counted, never cut.

    Reasons: `control_tokens` (the text spells one of the model's control tokens) and `too_long`
    (more than `max_tokens`, prompt and target together).
    """
    kept: list[Row] = []
    packed: list[Packed] = []
    dropped = {"control_tokens": 0, "too_long": 0}
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        some = rows[start : start + _ROWS_AT_ONCE]
        clean = [row for row in some if keep_control_tokens or not _has_control(row, renderer)]
        dropped["control_tokens"] += len(some) - len(clean)
        examples = renderer.examples([(row.question, row.answer) for row in clean])
        for row, example in zip(clean, examples, strict=True):
            if example.num_tokens > max_tokens:
                dropped["too_long"] += 1
                continue
            kept.append(row)
            tokens = np.asarray((*example.prompt, *example.target), dtype=np.int32)
            packed.append(Packed(tokens, len(example.prompt)))
    return TrainingRows(tuple(kept), tuple(packed), dropped)


def _has_control(row: Row, renderer: Renderer) -> bool:
    return bool(renderer.control_tokens_in(row.question) or renderer.control_tokens_in(row.answer))


def collate(batch: Sequence[Packed], normalization: LossNormalization) -> list[Datum]:
    """One batch. The engine SUMS weighted token losses, so the mean is put into the weights.

    `token`: each loss token weighs 1 / (loss tokens in the batch). `sequence`: 1 / (rows * loss
    tokens of its row). `sum`: 1.
    """
    if normalization == "sum":
        return [row.datum(1.0) for row in batch]
    if normalization == "token":
        total = sum(row.num_loss_tokens for row in batch)
        return [row.datum(1.0 / total) for row in batch]
    return [row.datum(1.0 / (len(batch) * row.num_loss_tokens)) for row in batch]
