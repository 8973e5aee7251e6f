"""What the built-in sample's questions and rows are, before they become parquet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from openthoughts_cli.config.sources import SOURCES
from openthoughts_cli.problems.dice import Dice

__all__ = ["ANSWERS_PER_QUESTION", "LABEL", "Question", "cut_short", "row_dicts", "thought"]

ANSWERS_PER_QUESTION = 4
LABEL = "sample rows 1"

_SOURCE = {source.short: source for source in SOURCES}


@dataclass(frozen=True, slots=True)
class Question:
    """One question with its four answers.

    `kind` names the family that made it, by which a test finds the way to recompute the answer
    from the question's own text; it is not written to the parquet.
    """

    kind: str
    source: str  # short name
    text: str
    answers: tuple[str, str, str, str]
    difficulty: int | None = None


def thought(thinking: str, answer: str) -> str:
    """An assistant turn in the form of the data set: closed thinking, then the answer."""
    return f"<think>\n{thinking}\n</think>\n\n{answer}"


def cut_short(answer: str, dice: Dice) -> str:
    """The turn as it looks when generation hit its limit: it ends within the thinking.

    Between half and nine tenths of the thinking's words are left, and no `</think>`.
    """
    thinking = answer.partition("\n</think>")[0]
    spaces = [at for at, char in enumerate(thinking) if char == " "]
    keep = len(spaces) * dice.between(50, 90) // 100
    return thinking[: spaces[keep]]


def row_dicts(question: Question) -> list[dict[str, Any]]:
    """The question's rows, one an answer, in the columns of OpenThoughts3."""
    source = _SOURCE[question.source]
    return [
        {
            "difficulty": question.difficulty,
            "source": source.full,
            "domain": source.domain,
            "conversations": [
                {"from": "human", "value": question.text},
                {"from": "gpt", "value": answer},
            ],
        }
        for answer in question.answers
    ]
