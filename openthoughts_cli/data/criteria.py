"""What is asked of a row, and in which order rows come.

A row's key is one integer: what the order looks at first (nothing, its difficulty, the tokens of its
response), then `xxh3_64(content, seed)`, then its content. Rows with smaller keys come first. The
key depends on the row and the seed alone, so "the first N that pass" depends on no order of files,
and a larger N contains a smaller one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import xxhash
from numpy.typing import NDArray

from openthoughts_cli.config.choice import Levels
from openthoughts_cli.data.tokens import CountColumns
from openthoughts_cli.data.where import Where

__all__ = ["Criteria", "Order", "judge", "order_key", "packed_key", "question_order_key"]

Order = Literal["random", "hardest", "longest", "shortest"]

_WITHOUT_LEVEL = 1 << 60
PASSED = ""


@dataclass(frozen=True, slots=True)
class Criteria:
    """What a row must be, how many are wanted, and which come first. Empty sets mean: all."""

    sources: frozenset[str] = frozenset()
    domains: frozenset[str] = frozenset()
    difficulty: Levels | None = None
    closed: bool = False
    boxed: bool = False
    min_tokens: int = 0
    max_tokens: int | None = None
    max_assistant_tokens: int | None = None
    max_thinking_tokens: int | None = None
    where: Where | None = None
    drop_control_tokens: bool = True
    answers_per_question: int | None = None
    dedup: bool = False
    order: Order = "random"
    limit: int = 100
    """How many rows, or questions with `by_question`."""
    by_question: bool = False
    seed: int = 42
    mix: tuple[tuple[str, float], ...] = ()
    """(source, share) of each part of a mixture; empty: no mixture."""
    mix_by_tokens: bool = False
    allow_short: bool = False

    @property
    def cap(self) -> int | None:
        """The most rows of one question."""
        if self.dedup and self.answers_per_question is None:
            return 1
        return self.answers_per_question

    @property
    def knows_questions(self) -> bool:
        """Whether a row's question matters to the choice."""
        return self.by_question or self.cap is not None

    @property
    def needs_all_tokens(self) -> bool:
        """Whether the order is known only when every row has been seen with its tokens."""
        return self.order in ("longest", "shortest") or (
            self.by_question and self.order != "random"
        )

    def label_step(
        self, difficulty: int | None, *, closed: bool | None, boxed: bool | None
    ) -> str | None:
        """The step of the funnel that takes a row out by its labels and marks; None: none does."""
        if self.difficulty is not None and not self.difficulty.hold(difficulty):
            return "difficulty"
        if self.closed and not closed:
            return "not_closed"
        if self.boxed and not boxed:
            return "not_boxed"
        return None

    def leading(self, difficulty: int | None, response_tokens: int | None) -> int:
        """What the order looks at before the seed; smaller comes first."""
        if self.order == "hardest":
            return _WITHOUT_LEVEL if difficulty is None else -difficulty
        if self.order in ("longest", "shortest"):
            if response_tokens is None:
                raise ValueError("an order by length needs the tokens")
            return response_tokens if self.order == "shortest" else -response_tokens
        return 0


def order_key(content: int, seed: int) -> int:
    """A row's place in the order of a seed: XXH3-64 of its content hash and the seed."""
    return xxhash.xxh3_64_intdigest(f"order {seed} {content:032x}".encode())


def question_order_key(question_id: str, seed: int) -> int:
    """A question's place in the order of a seed: XXH3-64 of its hash and the seed."""
    return xxhash.xxh3_64_intdigest(f"question order {seed} {question_id}".encode())


def packed_key(leading: int, place: int, identity: int) -> int:
    """One integer that compares as the three do: 64 bits of place, 128 of identity behind."""
    return (leading << 192) + (place << 128) + identity


def judge(
    criteria: Criteria, counts: CountColumns, labels: Mapping[str, Any]
) -> NDArray[np.object_]:
    """The step of the funnel that takes each row out, by its tokens; "" where none does.

    Args:
        criteria: what is asked.
        counts: tokens of the rows.
        labels: for `where` alone: source, domain, difficulty, closed and boxed of the rows.
    """
    step = np.full(len(counts.total), PASSED, dtype=object)

    def take_out(name: str, fails: Any) -> None:
        step[(step == PASSED) & fails] = name

    if criteria.drop_control_tokens:
        take_out("control_tokens", counts.control)
    if criteria.max_tokens is not None:
        take_out("too_long", counts.total > criteria.max_tokens)
    take_out("too_short", counts.total < criteria.min_tokens)
    if criteria.max_assistant_tokens is not None:
        response = counts.thinking + counts.answer
        take_out("assistant_too_long", response > criteria.max_assistant_tokens)
    if criteria.max_thinking_tokens is not None:
        take_out("thinking_too_long", counts.thinking > criteria.max_thinking_tokens)
    if criteria.where is not None and len(step):
        take_out("where", ~criteria.where.holds(labels, counts))
    return step
