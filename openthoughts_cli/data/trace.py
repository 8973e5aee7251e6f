"""The two parts of an answer: what is thought, and what is then said."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["CLOSE", "OPEN", "Trace", "split_trace"]

OPEN = "<think>"
CLOSE = "</think>"


class Trace(NamedTuple):
    """An answer in two parts; `thinking + answer` is the text, verbatim."""

    thinking: str
    """Up to and with the first `</think>`; all of it when `<think>` is opened and never closed."""
    answer: str
    """What follows; all of it when there is no `<think>`."""
    closed: bool
    """Whether the text has a `</think>`."""


def split_trace(text: str) -> Trace:
    """Cut an answer behind its first `</think>`."""
    at = text.find(CLOSE)
    if at >= 0:
        cut = at + len(CLOSE)
        return Trace(text[:cut], text[cut:], True)
    if text.lstrip().startswith(OPEN):
        return Trace(text, "", False)
    return Trace("", text, False)
