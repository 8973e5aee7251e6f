"""Telling from the beginning of a text that it has too many tokens, so that the rest is not encoded.

Cut between an ASCII letter and a blank, a text's tokens are those of the beginning and those of the
rest: the split patterns known here end a piece there, NFC joins nothing to a blank, and no added token
holds one. So the beginning's tokens are a lower bound, and exact as far as they go.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openthoughts_cli.data.arrow_values import text_column

__all__ = ["Beginnings", "Texts"]

_BYTES_A_TOKEN = 5
"""Of a text that is this much longer than its limit, few have so few tokens."""
_SAFE_SPLITS = (
    # Qwen2 and Qwen3; then cl100k and Llama 3.
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
)


class Texts:
    """The texts of a `pyarrow.LargeStringArray` as bytes, without making objects of them."""

    def __init__(self, column: Any) -> None:
        _, offsets, data = column.buffers()
        end = column.offset + len(column) + 1
        bounds = np.frombuffer(offsets, dtype=np.int64)[column.offset : end]
        self.sizes: NDArray[np.int64] = np.diff(bounds)
        self._offsets: list[int] = bounds.tolist()
        self._data = memoryview(data or b"")

    def head(self, row: int, length: int) -> bytes:
        """At most so many bytes of a text's beginning."""
        first, last = self._offsets[row], self._offsets[row + 1]
        return bytes(self._data[first : min(last, first + length)])

    def whole(self, row: int) -> bytes:
        """All bytes of a text."""
        return bytes(self._data[self._offsets[row] : self._offsets[row + 1]])


class Beginnings:
    """Cuts texts of one tokenizer.

    Args:
        form: a renderer's `tokenizer_form()`.
        control: the control tokens that a text may spell.
    """

    def __init__(self, form: dict[str, Any], control: Sequence[str]) -> None:
        blank = any(" " in token["content"] for token in form["added_tokens"])
        self.tell = _splits_safely(form["pre_tokenizer"]) and not blank
        """Whether a beginning tells anything."""
        either = b"|".join(re.escape(text.encode()) for text in control)
        self._control = re.compile(either) if control else None

    def of(self, texts: Texts, at_most: int) -> tuple[list[int], Any]:
        """The texts that are likely to have more than so many tokens, and their beginnings."""
        size = max(at_most, 1) * _BYTES_A_TOKEN
        rows: list[int] = []
        found: list[bytes] = []
        for row in np.flatnonzero(texts.sizes > size + size // 4).tolist():
            cut = _cut(texts.head(row, size))
            if cut:
                rows.append(row)
                found.append(cut)
        return rows, text_column(found)

    def spells_control(self, text: bytes) -> bool:
        """Whether a control token is spelled anywhere in a text."""
        return self._control is not None and self._control.search(text) is not None


def _cut(head: bytes) -> bytes:
    """As much of it as ends in an ASCII letter before a blank; nothing where there is none."""
    at = head.rfind(b" ")
    while at > 0 and not head[at - 1 : at].isalpha():
        at = head.rfind(b" ", 0, at)
    return head[: max(at, 0)]


def _splits_safely(pre_tokenizer: dict[str, Any] | None) -> bool:
    """Whether a split pattern is known to end a piece between a letter and a blank."""
    if pre_tokenizer is None:
        return False
    steps: list[dict[str, Any]] = pre_tokenizer.get("pretokenizers", [pre_tokenizer])
    kinds = [step["type"] for step in steps]
    if kinds == ["ByteLevel"]:
        return bool(steps[0].get("use_regex", True))  # GPT-2's pattern
    if kinds != ["Split", "ByteLevel"] or steps[1].get("use_regex", True):
        return False
    plain = steps[0]["behavior"] == "Isolated" and not steps[0]["invert"]
    return plain and steps[0]["pattern"].get("Regex") in _SAFE_SPLITS
