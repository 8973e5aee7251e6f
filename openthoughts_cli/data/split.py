"""Train and held-out rows, divided by question: no question stands on both sides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import xxhash

__all__ = ["split_by_question"]


def split_by_question(
    question_ids: Sequence[str], *, train_fraction: float, seed: int
) -> tuple[list[int], list[int]]:
    """Divide rows into training and held out, all rows of a question on the same side.

    Questions are put in a seeded order of their own, `xxh3_64(question_id, seed)`, which depends
    on no order of the rows, and are taken for training until the next one would bring the rows
    further from `train_fraction` than they are. The training side is therefore within half of one
    question's rows of the fraction asked for, with two exceptions: it is never empty, and with at
    least two questions and a fraction below 1 neither is the held-out side.

    Args:
        question_ids: the question of each row.
        train_fraction: the share of the rows to train on, above 0 and at most 1.
        seed: of the order of the questions.

    Returns:
        The row indices of the training side and of the held-out side, each ascending.

    Raises:
        ValueError: a fraction outside (0, 1], or no rows.
    """
    if not 0 < train_fraction <= 1:
        raise ValueError(f"train_fraction {train_fraction} is not in (0, 1]")
    if not question_ids:
        raise ValueError("there are no rows to divide")
    rows_of = Counter(question_ids)
    order = sorted(rows_of, key=lambda question: (_place(question, seed), question))
    wanted = train_fraction * len(question_ids)
    most = len(order) if train_fraction == 1 else max(len(order) - 1, 1)
    train: set[str] = set()
    taken = 0
    for question in order[:most]:
        grown = taken + rows_of[question]
        if train and abs(grown - wanted) > abs(taken - wanted):
            break
        train.add(question)
        taken = grown
    sides: tuple[list[int], list[int]] = ([], [])
    for index, question in enumerate(question_ids):
        sides[question not in train].append(index)
    return sides


def _place(question: str, seed: int) -> int:
    text = f"split {seed} {question}"
    return xxhash.xxh3_64_intdigest(text.encode("utf-8", "surrogatepass"))
