"""Where the answer stands in a completion: after the thinking, in the last box or answer line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["Box", "after_thinking", "answer_lines", "last_box"]

_OPEN, _CLOSE = "<think>", "</think>"
_BOX_START = re.compile(r"\\f?boxed\s*\{")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_MAX_BOX_CHARACTERS = 2000
_MAX_TRIES = 50
_STATEMENT = re.compile(r"\banswer\b[*_ \t]*(?:is\b[*_ \t]*:?|[:=])[*_\s]*([^\n]+)", re.IGNORECASE)
_SENTENCE_END = re.compile(r"(?<=[^A-Z\s])\.(?=\s|$)(?!\s*\d)")


class Box(NamedTuple):
    """What a box holds, and whether another answer is offered just before it ("\\boxed{1} or ...")."""

    content: str
    hedged: bool


def after_thinking(text: str) -> str | None:
    """The text after the last `</think>`; None while the thinking is still open.

    A text without these marks is returned whole. A `<think>` that is never closed is an answer
    never given, whatever its text holds.
    """
    close = text.rfind(_CLOSE)
    if text.rfind(_OPEN) > close:
        return None
    return text if close < 0 else text[close + len(_CLOSE) :]


def last_box(text: str) -> Box | None:
    """The last `\\boxed{...}` whose braces balance; boxes cut off by the end are passed over.

    Looks at the last 50 boxes and at 2,000 characters in each, which bounds the work on hostile
    text; no answer is near either.
    """
    starts = [match.span() for match in _BOX_START.finditer(text)][-_MAX_TRIES:]
    previous_end = -1
    found: tuple[int, int, int] | None = None
    for start, inside in starts:
        end = _closing(text, inside)
        if end is None:
            continue
        if found is not None:
            previous_end = found[2]
        found = (start, inside, end)
    if found is None:
        return None
    start, inside, end = found
    between = text[previous_end + 1 : start] if 0 <= previous_end < start else ""
    return Box(text[inside:end], _is_or(between))


def _closing(text: str, inside: int) -> int | None:
    depth = 1
    for match in _BRACE.finditer(text, inside, inside + _MAX_BOX_CHARACTERS):
        if match[0] == "{":
            depth += 1
        elif match[0] == "}":
            depth -= 1
            if depth == 0:
                return match.start()
    return None


def _is_or(between: str) -> bool:
    words = re.sub(r"[\s$.,*]|\\text\s*\{|\\[\[\](),;:! ]|\}", "", between[:80])
    return len(between) <= 80 and words.lower() in {"or", "oder", "/", "\\lor"}


def answer_lines(text: str) -> Iterator[str]:
    """What follows each explicit "ANSWER:" or "the answer is", to the end of its sentence, last first."""
    for match in reversed(list(_STATEMENT.finditer(text))):
        statement = match[1]
        if end := _SENTENCE_END.search(statement):
            statement = statement[: end.start()]
        yield statement.strip()
