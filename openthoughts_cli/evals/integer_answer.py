"""Grades answers that are one integer (AIME, arithmetic), by comparing integers."""

from __future__ import annotations

import re

from openthoughts_cli.evals.answer_text import after_thinking, answer_lines, last_box
from openthoughts_cli.evals.benchmark import Grade, Verdict
from openthoughts_cli.problems.integers import read_integer

__all__ = ["find_integer", "grade_integer"]

_DIGIT = re.compile(r"[0-9]")


def grade_integer(text: str, expected: int, allowed: range | None = None) -> Grade:
    """Compare the integer that `text` ends with to `expected`.

    The rules: the thinking is dropped, and thinking that never closes gives no answer; the last
    balanced box counts; without any box, an explicit "ANSWER: n" or "the answer is n"; otherwise
    there is no answer, and never the last number of the text. `allowed` is the range of values
    that can be an answer at all.
    """
    value, why = find_integer(text, allowed)
    if value is None:
        return Grade(None, False, Verdict.NO_ANSWER, why)
    if value == expected:
        return Grade(str(value), True, Verdict.CORRECT)
    return Grade(str(value), False, Verdict.WRONG, f"expected {expected}")


def find_integer(text: str, allowed: range | None = None) -> tuple[int | None, str]:
    """The stated integer, or None and why there is none."""
    final = after_thinking(text)
    if final is None:
        return None, "the thinking never ends"
    box = last_box(final)
    if box is not None:
        if box.hedged:
            return None, "two boxes joined by an 'or'"
        return _within(read_integer(box.content), allowed, "the last box", box.content)
    for statement in answer_lines(final):
        if _DIGIT.search(statement):
            return _within(read_integer(statement), allowed, "the answer line", statement)
    return None, "no box and no answer line"


def _within(
    value: int | None, allowed: range | None, where: str, shown: str
) -> tuple[int | None, str]:
    if value is None:
        return None, f"{where} states no single integer: {shown.strip()[:60]!r}"
    if allowed is not None and value not in allowed:
        return None, f"{where} states {value}, outside {allowed.start}..{allowed.stop - 1}"
    return value, ""
