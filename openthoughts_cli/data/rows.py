"""What a row is, and what makes it the same row everywhere: its content, never its place.

`row_id` is the XXH3-128 of the row's content and the number of its occurrence ("a3..f0-0"): the
same in any file, order or number of files. Copies of one content are interchangeable, so which
copy is number 0 does not matter. `question_id` is the same hash of the normalised question.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

import xxhash

from openthoughts_cli.digests import digest_value

__all__ = ["Row", "canonical_digest", "content_hash", "normal_question", "question_hash", "row_id"]

ROWS_FORMAT = 1
"""Counts up whenever an id or a digest of the same rows would change."""


class Row(NamedTuple):
    """One row of a subset: a question, an answer, and their exact tokens.

    `tokens` is the whole example as the trainer sees it, end-of-turn token included;
    `tokens_question` those of the question inside the prompt, `tokens_thinking` those of the
    answer up to and with `</think>`, `tokens_answer` the rest of the target.
    """

    row_id: str
    question_id: str
    source: str
    domain: str
    difficulty: int | None
    question: str
    answer: str
    tokens: int = 0
    tokens_question: int = 0
    tokens_thinking: int = 0
    tokens_answer: int = 0


def content_hash(
    source: str,
    domain: str,
    difficulty: int | None,
    question: bytes | memoryview,
    answer: bytes | memoryview,
) -> int:
    """XXH3-128 of a row's content.

    The fields are put one after the other, each led by its length in bytes ("3:abc"), so that no
    two different rows give the same bytes. Texts are UTF-8; a missing difficulty is "-".
    """
    state = xxhash.xxh3_128(_content_head(source, domain, difficulty) + b"%d:" % len(question))
    state.update(question)
    state.update(b"%d:" % len(answer))
    state.update(answer)
    return state.intdigest()


@lru_cache(maxsize=1024)
def _content_head(source: str, domain: str, difficulty: int | None) -> bytes:
    level = "-" if difficulty is None else str(difficulty)
    fields = (field.encode() for field in (source, domain, level))
    return b"openthoughts row 1\n" + b"".join(b"%d:%b" % (len(field), field) for field in fields)


def row_id(content: int, occurrence: int) -> str:
    """The row's name: 32 hexadecimal digits of its content, a hyphen, its occurrence from 0."""
    return f"{content:032x}-{occurrence}"


def normal_question(question: str) -> str:
    """The question as it is compared: NFC, runs of white space as one blank, case folded.

    Two questions that differ in nothing else are one question; so a letter's case alone ("let X"
    and "let x") keeps no two answers apart. The error is on the safe side: it can only put more
    rows on one side of a split.
    """
    folded = unicodedata.normalize("NFC", question).casefold()
    # Folding decomposes a few letters, so NFC comes once more.
    return " ".join(unicodedata.normalize("NFC", folded).split())


def question_hash(question: str) -> str:
    """XXH3-128 of the normalised question, as 32 hexadecimal digits."""
    return xxhash.xxh3_128_hexdigest(normal_question(question).encode("utf-8", "surrogatepass"))


def canonical_digest(rows: Iterable[Row]) -> str:
    """The digest of rows in their order: content, identities and token counts.

    It reads no file format, so the same rows agree in parquet, Arrow or memory. The content enters
    by the hash in `row_id`; to check stored rows against it, recompute that hash first.
    """
    lines: Sequence[list[str | int]] = [
        [
            row.row_id,
            row.question_id,
            row.tokens,
            row.tokens_question,
            row.tokens_thinking,
            row.tokens_answer,
        ]
        for row in rows
    ]
    return digest_value({"rows": lines, "format": ROWS_FORMAT})
