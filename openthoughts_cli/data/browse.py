"""All rows of a data set as its index knows them, ready to be filtered, counted and paged.

Columns stand in memory, about 50 bytes a row, in the order of the files. All labels of a row are one
small number (its kind), so a filter on labels is one look-up, and whatever is filtered, counting is one
pass. A page comes from the numbers of the rows that pass, which are kept for the last filters; so the
last page costs what the first does.
"""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from openthoughts_cli.data.browse_filter import ALL_ROWS, RowFilter
from openthoughts_cli.data.browse_search import Questions
from openthoughts_cli.data.corpus import Corpus
from openthoughts_cli.data.rows import row_id
from openthoughts_cli.errors import NotFoundError

__all__ = ["COUNTS", "SORTS", "Browse", "Kind", "Page"]

COUNTS = ("tokens", "tokens_question", "tokens_thinking", "tokens_answer")
SORTS = ("", *COUNTS, "difficulty", "answers")
"""What rows can be sorted by; "": the order of the files."""
_KEPT_SELECTIONS = 6
_WITHOUT_LEVEL = -(1 << 31)


class Kind(NamedTuple):
    """The labels that rows share."""

    source: str
    domain: str
    difficulty: int | None
    closed: bool
    boxed: bool
    control: bool

    @property
    def level(self) -> str:
        """The difficulty as text, `none` for rows without one."""
        return "none" if self.difficulty is None else str(self.difficulty)


class Page(NamedTuple):
    """Some of the rows that pass, in their order."""

    rows: NDArray[np.int64]
    """Their numbers."""
    first: int
    """The place of the first of them among all that pass, from 0."""
    total: int
    """How many pass."""


class Browse:
    """The rows of an index. Made by `browse_load.load_browse`.

    Args:
        corpus: where the texts are.
        tokenizer: the model whose tokens were counted.
        digest: of the index parts.
        places: part, row group and row in the group, of each row.
        kinds: the kinds that there are, and of each row the number of its own.
        counts: tokens by the names of `COUNTS`.
        content: both halves of each row's content hash.
        question: of each row the number of its question.
        questions: their texts.
        malformed: rows that are left out, by reason.
    """

    def __init__(
        self,
        corpus: Corpus,
        tokenizer: str,
        digest: str,
        *,
        places: tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]],
        kinds: Sequence[Kind],
        kind: NDArray[Any],
        counts: dict[str, NDArray[np.int32]],
        content: tuple[NDArray[np.uint64], NDArray[np.uint64]],
        question: NDArray[np.int32],
        questions: Questions,
        malformed: Counter[str],
    ) -> None:
        self.corpus = corpus
        self.tokenizer = tokenizer
        self.digest = digest
        self.kinds = list(kinds)
        self.kind = kind
        self.columns = dict(counts)
        self.question = question
        self.questions = questions
        self.malformed = malformed
        self._places = places
        self._content = content
        self.answers_of_question = np.bincount(question, minlength=len(questions)).astype(np.int32)
        self.columns["answers"] = self.answers_of_question[question]
        self._lock = threading.Lock()
        self._orders: dict[str, NDArray[np.int32]] = {}
        self._selections: OrderedDict[tuple[RowFilter, str, bool], NDArray[Any]] = OrderedDict()

    def __len__(self) -> int:
        return len(self.kind)

    @property
    def longest(self) -> int:
        """Tokens of the longest row."""
        return int(self.columns["tokens"].max(initial=0))

    def mask(self, chosen: RowFilter) -> NDArray[np.bool_] | None:
        """Of each row whether it passes; None: all do.

        Raises:
            ConfigError: the search is no regular expression.
        """
        mask: NDArray[np.bool_] | None = None
        allowed = self._allowed_kinds(chosen)
        if not allowed.all():
            mask = allowed.take(self.kind)
        for name, span in chosen.spans.items():
            column = self.columns[name]
            for bound, compare in ((span.low, np.greater_equal), (span.high, np.less_equal)):
                if bound is not None:
                    here = compare(column, min(max(bound, -1), 2**31 - 1))
                    mask = here if mask is None else np.logical_and(mask, here, out=mask)
        if chosen.search is not None and chosen.search.text.strip():
            here = self.questions.find(chosen.search).take(self.question)
            mask = here if mask is None else np.logical_and(mask, here, out=mask)
        return mask

    def _allowed_kinds(self, chosen: RowFilter) -> NDArray[np.bool_]:
        sources, domains = set(chosen.sources), set(chosen.domains)
        levels = set(chosen.difficulty)
        return np.array(
            [
                (not sources or kind.source in sources)
                and (not domains or kind.domain in domains)
                and (not levels or kind.level in levels)
                and (chosen.closed is None or kind.closed == chosen.closed)
                and (chosen.boxed is None or kind.boxed == chosen.boxed)
                for kind in self.kinds
            ],
            dtype=np.bool_,
        )

    def page(
        self,
        chosen: RowFilter = ALL_ROWS,
        *,
        number: int = 0,
        size: int = 50,
        sort: str = "",
        descending: bool = False,
    ) -> Page:
        """Page `number`, from 0, of the rows that pass; one behind the last is the last.

        Args:
            chosen: which rows.
            number: of the page.
            size: rows a page.
            sort: one of `SORTS`; equals stay in the order of the files.
            descending: the greatest first.

        Raises:
            ConfigError: the search is no regular expression.
        """
        rows = self.selection(chosen, sort=sort, descending=descending)
        last = max((len(rows) - 1) // size, 0)
        first = min(max(number, 0), last) * size
        return Page(rows[first : first + size].astype(np.int64), first, len(rows))

    def selection(
        self, chosen: RowFilter = ALL_ROWS, *, sort: str = "", descending: bool = False
    ) -> NDArray[np.int32]:
        """The numbers of all rows that pass, in the order; kept for the last few filters."""
        key = (chosen, sort, descending)
        with self._lock:
            found = self._selections.get(key)
            if found is not None:
                self._selections.move_to_end(key)
                return found
        mask = self.mask(chosen)
        order = self._order(sort) if sort else None
        if order is None:
            rows = self._all_rows() if mask is None else np.flatnonzero(mask).astype(np.int32)
        else:
            rows = order if mask is None else order[mask.take(order)]
        if descending:
            rows = self._descending(rows, sort)
        with self._lock:
            self._selections[key] = rows
            while len(self._selections) > _KEPT_SELECTIONS:
                self._selections.popitem(last=False)
        return rows

    def _all_rows(self) -> NDArray[np.int32]:
        return np.arange(len(self), dtype=np.int32)

    def _descending(self, rows: NDArray[np.int32], sort: str) -> NDArray[np.int32]:
        backwards = rows[::-1]
        if not sort or len(rows) < 2:
            return backwards
        # Runs of equals were turned around too: turn each of them back.
        values = self._sorted_by(sort).take(backwards)
        starts = np.flatnonzero(np.concatenate(([True], values[1:] != values[:-1])))
        lengths = np.diff(np.append(starts, len(rows)))
        first = np.repeat(starts, lengths)
        at = np.arange(len(rows))
        return backwards[2 * first + np.repeat(lengths, lengths) - 1 - at]

    def _sorted_by(self, name: str) -> NDArray[Any]:
        if name == "difficulty":
            levels = [_WITHOUT_LEVEL if k.difficulty is None else k.difficulty for k in self.kinds]
            return np.array(levels, dtype=np.int64).take(self.kind)
        return self.columns[name]

    def _order(self, sort: str) -> NDArray[np.int32]:
        if sort not in SORTS:
            raise NotFoundError(
                f"rows cannot be sorted by {sort!r}", hint=f"sort by one of {', '.join(SORTS[1:])}"
            )
        found = self._orders.get(sort)
        if found is None:
            found = np.argsort(self._sorted_by(sort), kind="stable").astype(np.int32)
            self._orders[sort] = found
        return found

    def place(self, row: int) -> tuple[int, int, int]:
        """Part, row group and row in the group."""
        part, group, at = (int(column[row]) for column in self._places)
        return part, group, at

    def row_id(self, row: int) -> str:
        """The row's id: its content, and which of the rows of that content it is."""
        high, low = (int(column[row]) for column in self._content)
        same = self._same_content(high, low)
        return row_id(high << 64 | low, int(np.searchsorted(same, row)))

    def find(self, name: str) -> int:
        """The number of the row with this id.

        Raises:
            NotFoundError: there is none.
        """
        content, _, occurrence = name.partition("-")
        found: NDArray[np.int64] = np.empty(0, dtype=np.int64)
        if len(content) == 32 and set(content) <= set("0123456789abcdef"):
            found = self._same_content(int(content[:16], 16), int(content[16:], 16))
        at = int(occurrence) if occurrence.isdecimal() and len(occurrence) < 9 else 0
        if at >= len(found):
            raise NotFoundError(
                f"{self.corpus.dataset} has no row {name[:60]}",
                hint="the link may be of another data set or revision",
            )
        return int(found[at])

    def _same_content(self, high: int, low: int) -> NDArray[np.int64]:
        found = np.flatnonzero(self._content[0] == np.uint64(high))
        return found[self._content[1][found] == np.uint64(low)]

    def siblings(self, row: int) -> NDArray[np.int64]:
        """The numbers of all rows of the row's question, itself included."""
        return np.flatnonzero(self.question == self.question[row])
