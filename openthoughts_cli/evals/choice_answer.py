"""Grades answers that are one letter of A to D (GPQA)."""

from __future__ import annotations

import re

from openthoughts_cli.evals.answer_text import after_thinking, answer_lines, last_box
from openthoughts_cli.evals.benchmark import Grade, Verdict

__all__ = ["find_choice", "grade_choice"]

_WRAPPER = re.compile(
    r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mathit|boldsymbol|bm|mbox|hbox|boxed)\s*"
    r"\{([^{}]*)\}"
)
_NOISE = re.compile(r"\\[()\[\],;:! ]|[$*_`\"'{}]|\\(?:left|right|displaystyle|quad)\b")
_LEAD = re.compile(r"^(?:(?:the|option|choice|answer|letter)\s*:?\s+)*", re.IGNORECASE)
# A letter alone, in brackets, or before a delimiter; what follows the delimiter is its text.
_ALONE = re.compile(r"\(?\s*([A-Da-d])\s*\)?\s*[.:,;!]?")
_LABEL = re.compile(r"(?:\(\s*([A-Da-d])\s*\)|([A-Da-d])\s*[):.])\s*(.*)", re.DOTALL)
# In a sentence only a capital before a word that gives the reason.
_SENTENCE = re.compile(
    r"\(?([A-D])\)?\s*[,;-]?\s*(?:because|since|as|for|due|which|given|from|by|\(|[-–—])(.*)",
    re.DOTALL,
)
_ANOTHER = re.compile(
    r"^[\s,;]*(?:(?:or|and|/|&|,|both|nor)\s*)+\(?\s*(?:option\s+)?[A-Da-d]\b(?!\w)", re.IGNORECASE
)


def grade_choice(text: str, expected: str) -> Grade:
    """Compare the letter that `text` ends with to `expected`.

    The rules: the thinking is dropped, and thinking that never closes gives no answer; the last
    balanced box counts; without any box, the last "Answer: X" or "the answer is X"; never a
    capital letter that merely stands in the prose.
    """
    letter, why = find_choice(text)
    if letter is None:
        return Grade(None, False, Verdict.NO_ANSWER, why)
    if letter == expected:
        return Grade(letter, True, Verdict.CORRECT)
    return Grade(letter, False, Verdict.WRONG, f"expected {expected}")


def find_choice(text: str) -> tuple[str | None, str]:
    """The stated letter, or None and why there is none."""
    final = after_thinking(text)
    if final is None:
        return None, "the thinking never ends"
    box = last_box(final)
    if box is not None:
        letter = None if box.hedged else _letter(box.content, in_sentence=False)
        shown = box.content.strip()[:60]
        return letter, "" if letter else f"the last box states no single choice: {shown!r}"
    for statement in answer_lines(final):
        kind = _letter(statement, in_sentence=True)
        if kind is not None:
            return kind, ""
        if _ANOTHER.search(f"or {_plain(statement)}"):
            return None, f"the answer line states no single choice: {statement[:60]!r}"
    return None, "no box and no answer line"


def _plain(text: str) -> str:
    for _ in range(5):
        text, count = _WRAPPER.subn(r"\1", text)
        if not count:
            break
    return _LEAD.sub("", _NOISE.sub("", text).strip()).strip()


def _letter(text: str, *, in_sentence: bool) -> str | None:
    plain = _plain(text[:2000])
    if match := _ALONE.fullmatch(plain):
        return match[1].upper()
    if match := _LABEL.fullmatch(plain):
        return None if _ANOTHER.search(match[3]) else (match[1] or match[2]).upper()
    if in_sentence and (match := _SENTENCE.fullmatch(plain)):
        return None if _ANOTHER.search(match[2]) else match[1]
    return None
