"""Rows as they stand in a file: a batch of Arrow columns taken apart, row by row.

A row is whole when its conversation is one `human` turn and then one `gpt` or `assistant` turn,
both with text; any other is malformed, and counted by its reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from openthoughts_cli.data.rows import content_hash

__all__ = ["Labels", "Malformed", "RawRow", "batch_rows", "labels_of"]

_QUESTION_ROLE = b"human"
_ANSWER_ROLES = (b"gpt", b"assistant")


class RawRow(NamedTuple):
    """A row as it stands in a file; the texts are UTF-8 bytes, checked."""

    row_group: int
    row: int  # within the row group
    source: str
    domain: str
    difficulty: int | None
    question: bytes
    answer: bytes
    answer_role: str

    @property
    def content(self) -> int:
        """The `content_hash` of the row."""
        return content_hash(self.source, self.domain, self.difficulty, self.question, self.answer)


class Malformed(NamedTuple):
    """A row whose conversation cannot be used, and why."""

    row_group: int
    row: int
    reason: str


class Labels(NamedTuple):
    """The small columns of a row group, one entry a row."""

    source: list[str]
    domain: list[str]
    difficulty: list[int | None]


def labels_of(table: Any) -> Labels:
    """The small columns of a table: null texts as "", bytes that are no UTF-8 as U+FFFD."""
    return Labels(
        _texts(table.column("source")),
        _texts(table.column("domain")),
        cast("list[int | None]", table.column("difficulty").to_pylist()),
    )


def _texts(column: Any) -> list[str]:
    """A text column with null as "" and bytes that are no UTF-8 as U+FFFD."""
    raw = column.cast(pa.large_string()).cast(pa.large_binary()).to_pylist()
    seen: dict[bytes | None, str] = {None: ""}
    for value in raw:
        if value not in seen:
            seen[value] = value.decode("utf-8", "replace")
    return [seen[value] for value in raw]


def batch_rows(
    batch: Any, row_group: int, start: int, wanted: Callable[[str, str], bool]
) -> Iterator[RawRow | Malformed]:
    """The rows of a record batch whose (source, domain) is wanted.

    Args:
        batch: the four columns.
        row_group: which the batch is of.
        start: the number of its first row there.
        wanted: of a row's source and domain.
    """
    labels = labels_of(pa.Table.from_batches([batch]))
    conversations = batch.column("conversations")
    lengths: list[int | None] = pc.call_function("list_value_length", [conversations]).to_pylist()
    first = conversations.offsets.to_pylist()
    turns = conversations.values
    roles: list[bytes | None] = (
        turns.field("from").cast(pa.large_string()).cast(pa.large_binary()).to_pylist()
    )
    texts = _Bytes(turns.field("value").cast(pa.large_string()).cast(pa.large_binary()))
    valid = _all_utf8(texts.column)
    for i in range(batch.num_rows):
        if not wanted(labels.source[i], labels.domain[i]):
            continue
        reason = _count_reason(lengths[i])
        if reason is None:
            at = first[i]
            answer_role = roles[at + 1]
            question, answer = texts[at], texts[at + 1]
            reason = _turn_reason(roles[at], answer_role, question, answer, checked=valid)
            if reason is None:
                assert question is not None
                assert answer is not None
                assert answer_role is not None
                yield RawRow(
                    row_group,
                    start + i,
                    labels.source[i],
                    labels.domain[i],
                    labels.difficulty[i],
                    question,
                    answer,
                    answer_role.decode(),
                )
                continue
        yield Malformed(row_group, start + i, reason)


class _Bytes:
    """The values of a `pyarrow.LargeBinaryArray`, each copied when it is asked for."""

    def __init__(self, column: Any) -> None:
        self.column = column
        _, offsets, data = column.buffers()
        end = column.offset + len(column) + 1
        bounds = np.frombuffer(offsets, dtype=np.int64) if offsets is not None else np.zeros(0)
        self._bounds: list[int] = bounds[column.offset : end].tolist()
        self._data = memoryview(data or b"")
        self._nulls = column.null_count > 0

    def __getitem__(self, at: int) -> bytes | None:
        if self._nulls and not self.column[at].is_valid:
            return None
        return bytes(self._data[self._bounds[at] : self._bounds[at + 1]])


def _count_reason(turns: int | None) -> str | None:
    if turns is None:
        return "no conversation"
    if turns == 0:
        return "empty conversation"
    if turns != 2:
        return f"{'more' if turns > 2 else 'fewer'} than two turns"
    return None


def _turn_reason(
    asks: bytes | None,
    answers: bytes | None,
    question: bytes | None,
    answer: bytes | None,
    *,
    checked: bool,
) -> str | None:
    if asks != _QUESTION_ROLE or answers not in _ANSWER_ROLES:
        return "other roles than human and gpt"
    for text in (question, answer):
        if text is None or _is_blank(text):
            return "a turn without text"
        if not checked and not _is_utf8(text):
            return "not UTF-8"
    return None


def _is_blank(text: bytes) -> bool:
    # A text with any visible character among its first bytes is settled without decoding it all.
    head = text[:64].decode("utf-8", "ignore")
    return not head.strip() and not text.decode("utf-8", "replace").strip()


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _all_utf8(texts: Any) -> bool:
    try:
        texts.view(pa.large_string()).validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True
