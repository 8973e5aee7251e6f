"""Rows with their texts, and the other answers to the same question beside each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from openthoughts_cli.data.browse import Browse, Kind
from openthoughts_cli.data.trace import split_trace

__all__ = ["FullRow", "Line", "Sibling", "read_rows", "siblings_of", "table_lines"]

_BEGINNING_CHARS = 300


class Line(NamedTuple):
    """A row in a table: what is known of it without reading its texts."""

    row: int
    question: str
    """Its beginning."""
    kind: Kind
    tokens: int
    tokens_question: int
    tokens_thinking: int
    tokens_answer: int
    answers: int


class FullRow(NamedTuple):
    """A row with its texts."""

    row: int
    row_id: str
    file: str
    kind: Kind
    question: str
    thinking: str
    """Up to and with `</think>`; all of the answer when `<think>` is opened and never closed."""
    answer: str
    closed: bool
    tokens: int
    tokens_question: int
    tokens_thinking: int
    tokens_answer: int


class Sibling(NamedTuple):
    """Another answer to the same question, held against the row that is looked at."""

    row: FullRow
    is_this: bool
    tokens_more: int
    """Tokens of the whole row more than the one looked at."""
    final: str
    """The final answer, as it is shown."""
    same_final: bool
    """Whether it is the final answer of the row looked at."""
    final_rows: int
    """How many of the siblings have this final answer."""


def table_lines(browse: Browse, rows: Sequence[int]) -> list[Line]:
    """The lines of a table, from the index alone."""
    columns = browse.columns
    return [
        Line(
            row,
            browse.questions.text(int(browse.question[row]))[:_BEGINNING_CHARS],
            browse.kinds[int(browse.kind[row])],
            int(columns["tokens"][row]),
            int(columns["tokens_question"][row]),
            int(columns["tokens_thinking"][row]),
            int(columns["tokens_answer"][row]),
            int(columns["answers"][row]),
        )
        for row in map(int, rows)
    ]


def read_rows(browse: Browse, rows: Sequence[int]) -> list[FullRow]:
    """Rows with their texts, read from the files; each row group once.

    Raises:
        DataError: a file is damaged or has changed.
    """
    places = {browse.place(row): row for row in map(int, rows)}
    found: dict[int, FullRow] = {}
    for place, raw in browse.corpus.fetch(places):
        row = places[place]
        trace = split_trace(raw.answer.decode())
        line = table_lines(browse, [row])[0]
        found[row] = FullRow(
            row,
            browse.row_id(row),
            browse.corpus.parts[place[0]].name,
            line.kind,
            raw.question.decode(),
            trace.thinking,
            trace.answer,
            trace.closed,
            line.tokens,
            line.tokens_question,
            line.tokens_thinking,
            line.tokens_answer,
        )
    return [found[int(row)] for row in rows]


def siblings_of(
    browse: Browse,
    row: int,
    *,
    final: Callable[[str], tuple[str, str]],
    most: int = 64,
) -> list[Sibling]:
    """All answers to a row's question, itself first, then from the shortest to the longest.

    Args:
        browse: the rows.
        row: the one that is looked at.
        final: of a whole answer its final answer, as it is shown and as it is compared; the latter
            empty where there is none.
        most: so many at most; the one looked at is among them.

    Raises:
        DataError: a file is damaged or has changed.
    """
    tokens = browse.columns["tokens"]
    others = [int(each) for each in browse.siblings(row) if each != row]
    others.sort(key=lambda each: (int(tokens[each]), each))
    read = read_rows(browse, [row, *others[: most - 1]])
    finals = [final(each.thinking + each.answer) for each in read]
    return [
        Sibling(
            each,
            each.row == row,
            each.tokens - read[0].tokens,
            shown,
            bool(same_by) and same_by == finals[0][1],
            sum(bool(same_by) and same_by == other for _, other in finals),
        )
        for each, (shown, same_by) in zip(read, finals, strict=True)
    ]
