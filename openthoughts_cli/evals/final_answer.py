"""What an answer comes to, in a few words: how the answers to one question are told apart."""

from __future__ import annotations

import re
from typing import NamedTuple

from openthoughts_cli.evals.answer_text import after_thinking, answer_lines, last_box
from openthoughts_cli.evals.lcb_code import code_in, fenced_blocks

__all__ = ["FinalAnswer", "final_answer"]

_MOST_CHARS = 120
_MOST_CODE_CHARS = 100_000
_LATEX_SPACE = re.compile(r"\\[,;:! ]|~|\s+")


class FinalAnswer(NamedTuple):
    """The answer as it is shown, and the form by which two are the same."""

    shown: str
    same_by: str
    found_in: str
    """`box`, `line`, `code`, `end` (its last line), or "" where there is none."""


def final_answer(text: str) -> FinalAnswer:
    """The final answer of a trace: its last box, its answer line, its last code block, its last line.

    A rough reading, for looking at rows: benchmarks have graders of their own. A trace whose
    thinking is never closed has none, unless it has a box.
    """
    said = after_thinking(text)
    box = last_box(text if said is None else said)
    if box is not None:
        shown = " ".join(box.content.split())
        return FinalAnswer(_short(shown), _LATEX_SPACE.sub("", box.content), "box")
    if said is None or not said.strip():
        return FinalAnswer("", "", "")
    code = code_in(text) or _other_code(said)
    if code:
        lines = [line.rstrip() for line in code.strip().splitlines()]
        named = next((line for line in lines if line.lstrip().startswith("def ")), lines[0])
        return FinalAnswer(
            _short(f"code, {len(lines)} lines: {named.strip()}"), "\n".join(lines), "code"
        )
    line = next(answer_lines(said), "").strip("*_` ")
    if line:
        return FinalAnswer(_short(line), _LATEX_SPACE.sub("", line).casefold(), "line")
    last = " ".join(said.strip().splitlines()[-1].split())
    return FinalAnswer(_short(last), last.casefold(), "end")


def _other_code(said: str) -> str:
    """The last closed fenced block, of whatever language."""
    closed = [block.body for block in fenced_blocks(said[-_MOST_CODE_CHARS:]) if block.closed]
    return closed[-1] if closed else ""


def _short(text: str) -> str:
    return text if len(text) <= _MOST_CHARS else f"{text[: _MOST_CHARS - 1]}…"
