"""A subset for a person who looks: rows one by one, lengths, the split, what was left out, another one.

Texts stay on disk until one is asked for; the small columns are in memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple

from openthoughts_cli.data import arrow_directory
from openthoughts_cli.data.figures import Bar, percentiles, token_bars
from openthoughts_cli.data.rows import Row
from openthoughts_cli.data.split import split_by_question
from openthoughts_cli.data.subset import Subset
from openthoughts_cli.data.subset_files import changed_files
from openthoughts_cli.errors import NotFoundError
from openthoughts_cli.store import read_lines

__all__ = ["Comparison", "Side", "SubsetView", "compare_subsets"]

_SMALL = (
    *("row_id", "question_id", "source", "domain", "difficulty"),
    *("tokens", "tokens_question", "tokens_thinking", "tokens_answer"),
)


class Side(NamedTuple):
    """One side of a split."""

    name: str
    rows: int
    questions: int
    tokens: int


class Comparison(NamedTuple):
    """Two subsets held against each other. A row is the same by its id, a question by its hash."""

    rows: tuple[int, int]
    """Of the first and of the second; so are the pairs below."""
    rows_in_both: int
    questions: tuple[int, int]
    questions_in_both: int
    tokens: tuple[int, int]
    percentiles: tuple[dict[str, int], dict[str, int]]
    """Of the tokens of whole rows."""
    sources: dict[str, tuple[int, int]]
    """Rows by source."""

    @property
    def rows_jaccard(self) -> float:
        """Rows in both by rows in either, 0 to 1."""
        return self.rows_in_both / max(sum(self.rows) - self.rows_in_both, 1)

    @property
    def questions_jaccard(self) -> float:
        """Questions in both by questions in either, 0 to 1."""
        return self.questions_in_both / max(sum(self.questions) - self.questions_in_both, 1)


class SubsetView:
    """A subset's rows.

    Args:
        subset: from `load_subset`.

    Raises:
        DataError: its file cannot be read.
    """

    def __init__(self, subset: Subset) -> None:
        self.subset = subset
        self._table = arrow_directory.read_table(subset.path / "dataset")

    def __len__(self) -> int:
        return int(self._table.num_rows)

    @cached_property
    def columns(self) -> dict[str, list[Any]]:
        """The small columns by name, in the order of the rows."""
        return {name: self._table.column(name).to_pylist() for name in _SMALL}

    def changed_files(self) -> list[str]:
        """Files that are not those that were written; they are read whole."""
        return changed_files(self.subset.path, self.subset.metadata)

    def row(self, index: int) -> Row:
        """One row with its texts.

        Raises:
            NotFoundError: there are not so many.
        """
        if not 0 <= index < len(self):
            raise NotFoundError(
                f"{self.subset.name} has rows 0 to {len(self) - 1}, not {index}",
                hint="give the number of a row that is there",
            )
        record = self._table.slice(index, 1).to_pylist()[0]
        turns = record.pop("conversations")
        return Row(question=turns[0]["value"], answer=turns[1]["value"], **record)

    def bars(self, column: str, most: int = 40) -> list[Bar]:
        """A histogram of a token count."""
        return token_bars(self.columns[column], most)

    def percentiles(self, column: str) -> dict[str, int]:
        """Exact percentiles of a token count, by nearest rank."""
        return percentiles(self.columns[column])

    def composition(self) -> dict[str, dict[str, int]]:
        """Rows by source, domain and difficulty, the most first."""
        found: dict[str, dict[str, int]] = {}
        for name in ("source", "domain", "difficulty"):
            values = ["none" if each is None else str(each) for each in self.columns[name]]
            found[name] = dict(Counter(values).most_common())
        return found

    def split(self, *, train_fraction: float, seed: int) -> list[Side]:
        """The two sides that `ot train` would make of it."""
        questions, tokens = self.columns["question_id"], self.columns["tokens"]
        if not questions:
            return []
        sides = split_by_question(questions, train_fraction=train_fraction, seed=seed)
        return [
            Side(
                name,
                len(rows),
                len({questions[row] for row in rows}),
                sum(tokens[row] for row in rows),
            )
            for name, rows in zip(("train", "held out"), sides, strict=True)
        ]

    def removed(self) -> list[dict[str, Any]]:
        """The rows that were left out because a benchmark has their question, with the reason.

        All others are counted in the funnel alone.
        """
        return read_lines(self.subset.path / "removed.jsonl")


def compare_subsets(one: SubsetView, other: SubsetView) -> Comparison:
    """What two subsets have in common."""
    return Comparison(
        rows=(len(one), len(other)),
        rows_in_both=_common(one.columns["row_id"], other.columns["row_id"]),
        questions=tuple(len(set(each.columns["question_id"])) for each in (one, other)),  # pyright: ignore[reportArgumentType]
        questions_in_both=_common(one.columns["question_id"], other.columns["question_id"]),
        tokens=(sum(one.columns["tokens"]), sum(other.columns["tokens"])),
        percentiles=(one.percentiles("tokens"), other.percentiles("tokens")),
        sources=_side_by_side(one.columns["source"], other.columns["source"]),
    )


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    return len(set(one) & set(other))


def _side_by_side(one: Sequence[str], other: Sequence[str]) -> dict[str, tuple[int, int]]:
    left, right = Counter(one), Counter(other)
    names = sorted({*left, *right}, key=lambda name: (-(left[name] + right[name]), name))
    return {name: (left[name], right[name]) for name in names}
