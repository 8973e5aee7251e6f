"""The official rules by which an output equals the expected one. Nothing here runs a candidate.

LiveCodeBench, `lcb_runner/evaluation/testing_util.py` (MIT): texts are compared line by line,
values by `==`.
"""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

__all__ = ["Difference", "compare_outputs", "compare_values", "read_arguments", "read_value"]

_SHOWN = 60


class Difference(NamedTuple):
    """Where an output first differs, in words for a person."""

    text: str


def compare_outputs(printed: str, expected: str) -> Difference | None:
    """None where equal: the same number of lines, each equal as text or number by number.

    Both are stripped as a whole and line by line. Numbers are compared exactly, as decimals.
    """
    got_lines = [line.strip() for line in printed.strip().split("\n")]
    want_lines = [line.strip() for line in expected.strip().split("\n")]
    if len(got_lines) != len(want_lines):
        return Difference(f"{len(got_lines)} lines where {len(want_lines)} are expected")
    for number, (got, want) in enumerate(zip(got_lines, want_lines, strict=True), start=1):
        if got != want and not _same_numbers(got, want):
            place = f"line {number}: " if len(want_lines) > 1 else ""
            return Difference(f"{place}{_shown(got)} where {_shown(want)} is expected")
    return None


def compare_values(reply: bytes, expected: Any) -> Difference | None:
    """None where the value in `reply` (see `lcb_inside`) equals the expected JSON value."""
    try:
        value = _unwrapped(json.loads(reply))
        same = bool(value == expected)
    except (ValueError, RecursionError):
        return Difference("a value that cannot be read back")
    if same:
        return None
    return Difference(f"{_shown(value)} where {_shown(expected)} is expected")


def read_arguments(text: str) -> list[Any]:
    """The arguments of a functional test: one JSON value a line.

    Raises:
        ValueError: a line is not JSON.
    """
    return [read_value(line) for line in text.split("\n")]


def read_value(text: str) -> Any:
    """One JSON value.

    Raises:
        ValueError: it is not, or it is nested too deeply.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _same_numbers(got: str, want: str) -> bool:
    got_tokens, want_tokens = got.split(), want.split()
    if len(got_tokens) != len(want_tokens):
        return False
    try:
        return all(
            Decimal(one) == Decimal(other)
            for one, other in zip(got_tokens, want_tokens, strict=True)
        )
    except (InvalidOperation, ValueError):  # ValueError: too many digits for a decimal
        return False


class _Other:
    """A value that no JSON value equals."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"<{self.name}>"


def _unwrapped(value: Any) -> Any:
    if isinstance(value, list):
        return [_unwrapped(item) for item in value]
    if not isinstance(value, dict):
        return value
    match value:
        case {"dict": dict(items)}:
            return {key: _unwrapped(item) for key, item in items.items()}
        case {"hex": str(digits)}:
            return int(digits, 16)
        case {"other": str(name)}:
            return _Other(name)
        case _:
            raise ValueError("not a reply")


def _shown(value: Any) -> str:
    """A short form without control characters. Long numbers are not written out."""
    if isinstance(value, str):
        text = repr(value[: _SHOWN + 1])
    else:
        try:
            text = _without_long_numbers(value)
        except (ValueError, RecursionError):
            text = f"a {type(value).__name__} that is long or deep"
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def _without_long_numbers(value: Any) -> str:
    return repr(value[:_SHOWN] if isinstance(value, list) else value)
