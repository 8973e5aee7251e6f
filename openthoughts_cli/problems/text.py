"""Checks on the text of a problem's row: its key, its size and its characters."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from openthoughts_cli.errors import SchemaError

__all__ = ["MAX_CHARACTERS", "MEND_ROW", "clean_text", "required_text"]

MAX_CHARACTERS = 200_000

MEND_ROW = "correct that row, or give a file with the columns of the benchmark's own data"
"""What to do about a row of a file that a benchmark cannot use."""

# A LaTeX command whose backslash was read as an escape: "\frac" became form feed + "rac". Form
# feed, backspace, bell and vertical tab mean nothing in a question, so before a letter they can
# only be that. Tab, carriage return and newline are legal, and what follows one may be indented code
# or a word of the next column. So only what is no word is repaired everywhere ("imes", "ext{"), and
# commands that look like words ("o", "an", "floor") within formulas alone.
_LOST_BACKSLASH = {"\f": "\\f", "\b": "\\b", "\a": "\\a", "\v": "\\v"}
_LOST = re.compile("([\f\b\a\v])(?=[A-Za-z])")
_LOST_TAB = re.compile(
    "\t(?=(?:imes|heta|riangle|ilde|anh)(?![A-Za-z0-9_])|ext(?:bf|it|rm)?\\s?\\{|frac\\s?[{0-9])"
)
_LOST_RETURN = re.compile("\r(?=(?:ight|ho)(?![A-Za-z0-9_]))")
_LOST_TAB_IN_FORMULA = re.compile("\t(?=(?:an|au|o|op)(?![A-Za-z0-9_]))")
_LOST_RETURN_IN_FORMULA = re.compile("\r(?=(?:angle|ceil|floor)(?![A-Za-z0-9_]))")
_FORMULA = re.compile(r"\$\$[^$]{1,2000}\$\$|\$[^$]{1,2000}\$|\\\([^$]{1,500}?\\\)", re.DOTALL)
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_SUSPECT = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\t\ud800-\udfff]")


def required_text(row: Mapping[str, Any], key: str, where: str) -> str:
    """`row[key]` as cleaned, non-empty text.

    Raises:
        SchemaError: naming `where` and the key.
    """
    if key not in row:
        there = ", ".join(sorted(map(str, row))[:20]) or "none"
        raise SchemaError(
            f"{where}: the key {key!r} is missing; its keys are {there}", hint=MEND_ROW
        )
    value = row[key]
    if not isinstance(value, str) or not value.strip():
        shown = "empty" if isinstance(value, str) else type(value).__name__
        raise SchemaError(f"{where}: {key!r} must be text, and it is {shown}", hint=MEND_ROW)
    return clean_text(value, key, where)


def clean_text(text: str, key: str, where: str) -> str:
    """`text` with LaTeX commands restored whose backslash became a control character.

    Raises:
        SchemaError: text of more than `MAX_CHARACTERS`, or with a control character (or half of a
            surrogate pair) that stands for nothing.
    """
    if len(text) > MAX_CHARACTERS:
        raise SchemaError(
            f"{where}: {key!r} has {len(text):,} characters, and at most {MAX_CHARACTERS:,} are "
            "allowed",
            hint="shorten it, or leave the row out",
        )
    if _SUSPECT.search(text) is None:
        return text
    text = _LOST.sub(lambda match: _LOST_BACKSLASH[match[1]], text)
    text = _LOST_TAB.sub(r"\\t", text)
    text = _LOST_RETURN.sub(r"\\r", text)
    text = _FORMULA.sub(_restored_formula, text)
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if bad := _FORBIDDEN.search(text):
        raise SchemaError(
            f"{where}: {key!r} holds the control character U+{ord(bad[0]):04X} "
            f"at position {bad.start()}",
            hint="correct the file: a lost backslash or a wrong encoding is the usual cause",
        )
    return text


def _restored_formula(formula: re.Match[str]) -> str:
    text = _LOST_TAB_IN_FORMULA.sub(r"\\t", formula[0])
    return _LOST_RETURN_IN_FORMULA.sub(r"\\r", text)
