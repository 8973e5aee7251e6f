"""In which order the rows are trained on.

Every row of every epoch is used exactly once, whatever the mode. The order depends on the seed and
the rows' ids alone, not on how the rows happen to lie in a file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import xxhash

from openthoughts_cli.errors import ConfigError

__all__ = ["Batch", "CurriculumMode", "MissingKey", "batches", "order_rows"]

CurriculumMode: TypeAlias = Literal["none", "easy_to_hard", "first_epoch_only", "grouped_shuffle"]
MissingKey: TypeAlias = Literal["refuse", "first", "last", "drop"]


@dataclass(frozen=True, slots=True)
class Batch:
    """The rows of one optimiser step, as indices. `epoch` is the number of epochs done after it."""

    rows: tuple[int, ...]
    epoch: float


def _shuffled(rows: Sequence[int], ids: Sequence[str], seed: int, epoch: int) -> list[int]:
    def place(row: int) -> int:
        return xxhash.xxh3_64_intdigest(f"{seed}/{epoch}/{ids[row]}".encode())

    return sorted(rows, key=lambda row: (place(row), ids[row]))


def order_rows(
    ids: Sequence[str],
    keys: Sequence[float | None],
    *,
    epochs: int,
    mode: CurriculumMode,
    missing: MissingKey = "refuse",
    key_name: str = "difficulty",
    seed: int = 0,
) -> list[list[int]]:
    """Row indices in training order: one list an epoch, or one pooled list for `grouped_shuffle`.

    Args:
        ids: each row's identity; the order follows from them and the seed.
        keys: how hard each row is, ascending from easy; None where the row does not say.
            Not looked at when `mode` is `none`.

    Raises:
        ConfigError: rows without the key, and `missing` is `refuse`.
    """
    rows = list(range(len(ids)))
    if mode == "none":
        return [_shuffled(rows, ids, seed, epoch) for epoch in range(epochs)]
    rows, rank = _ranks(rows, keys, missing, key_name)
    if mode == "grouped_shuffle":
        pool = [
            (
                rank[row],
                xxhash.xxh3_64_intdigest(f"{seed}/pool/{epoch}/{ids[row]}".encode()),
                ids[row],
                row,
            )
            for epoch in range(epochs)
            for row in rows
        ]
        return [[row for *_, row in sorted(pool)]]
    ordered: list[list[int]] = []
    for epoch in range(epochs):
        shuffled = _shuffled(rows, ids, seed, epoch)
        by_key = mode == "easy_to_hard" or epoch == 0
        ordered.append(sorted(shuffled, key=lambda row: rank[row]) if by_key else shuffled)
    return ordered


def _ranks(
    rows: list[int], keys: Sequence[float | None], missing: MissingKey, key_name: str
) -> tuple[list[int], dict[int, float]]:
    without = [row for row in rows if keys[row] is None]
    if without and missing == "refuse":
        raise ConfigError(
            f"curriculum_key {key_name!r}: {len(without)} of {len(rows)} training rows have none"
            + (" (only code rows carry a difficulty)" if key_name == "difficulty" else ""),
            hint="use another column (curriculum_key: tokens, tokens_thinking, ...), or say where "
            "such rows go (curriculum_missing: first, last or drop)",
        )
    if missing == "drop":
        rows = [row for row in rows if keys[row] is not None]
        if not rows:
            raise ConfigError(
                f"curriculum_missing: drop leaves no rows, since none has a {key_name!r}",
                hint="choose another curriculum_key",
            )
    edge = float("-inf") if missing == "first" else float("inf")
    return rows, {row: edge if (key := keys[row]) is None else float(key) for row in rows}


def batches(order: Sequence[Sequence[int]], batch_size: int, *, epochs: int) -> list[Batch]:
    """Cut each list of `order` into batches; the last of a list may be smaller, and is kept."""
    total_rows = sum(len(part) for part in order)
    cut: list[Batch] = []
    done = 0
    for part in order:
        for start in range(0, len(part), batch_size):
            rows = tuple(part[start : start + batch_size])
            done += len(rows)
            cut.append(Batch(rows, epoch=epochs * done / total_rows))
    return cut
