"""All rows of a corpus as small columns, without their texts, and the choice among them.

A table knows of every row what `select` finds out while it streams, so the choice is the same; here
it takes the rows in their order and stops when no later one can be chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from openthoughts_cli.data.arrow_values import flags_of, name_column, numbers_of
from openthoughts_cli.data.corpus import Corpus
from openthoughts_cli.data.criteria import Criteria, judge, order_key, question_order_key
from openthoughts_cli.data.draw import Chosen, Place
from openthoughts_cli.data.overlap import Benchmarks
from openthoughts_cli.data.select import Selection
from openthoughts_cli.data.sieve import Sieve
from openthoughts_cli.data.tokens import CountColumns, TokenCounts
from openthoughts_cli.events import Listener, StageDone, StageStarted, silent

__all__ = ["SCHEMA", "Table", "select_from_table"]

_NAMES = pa.dictionary(pa.int32(), pa.string())
SCHEMA = pa.schema(
    [
        ("row_group", pa.int32()),
        ("row", pa.int32()),
        ("malformed", _NAMES),  # the reason; null: the row is whole
        ("source", _NAMES),
        ("domain", _NAMES),
        ("difficulty", pa.int64()),
        ("content_high", pa.uint64()),
        ("content_low", pa.uint64()),
        ("question_high", pa.uint64()),
        ("question_low", pa.uint64()),
        ("answer", pa.uint64()),
        ("closed", pa.bool_()),
        ("boxed", pa.bool_()),
        ("control", pa.bool_()),
        ("tokens", pa.int32()),
        ("tokens_question", pa.int32()),
        ("tokens_thinking", pa.int32()),
        ("tokens_answer", pa.int32()),
    ]
)
"""The columns of one file's rows. Of a malformed row all behind `domain` is empty."""
_UNSIGNED = ("content_high", "content_low", "question_high", "question_low", "answer")
_COUNTS = ("tokens", "tokens_question", "tokens_thinking", "tokens_answer")


@dataclass(frozen=True, slots=True)
class Table:
    """Rows as columns: `part` numbers the files, `left_out` counts rows of files not in it."""

    part: NDArray[np.int32]
    columns: Any
    """A `pyarrow.Table` of `SCHEMA`."""
    left_out: int = 0
    """Rows of files that hold none of the wanted sources."""

    @classmethod
    def of(cls, parts: Sequence[tuple[int, Any]], *, left_out: int = 0) -> Table:
        """Of the (number, `pyarrow.Table`) of each file."""
        numbers = [np.full(table.num_rows, number, dtype=np.int32) for number, table in parts]
        columns = [table.select(SCHEMA.names) for _, table in parts]
        whole = pa.concat_tables(columns) if columns else SCHEMA.empty_table()
        part = np.concatenate(numbers) if numbers else np.empty(0, dtype=np.int32)
        return cls(part, whole.unify_dictionaries().combine_chunks(), left_out)

    def numbers(self, name: str, kind: Any = np.int64) -> NDArray[Any]:
        """A column of numbers, null as 0."""
        return numbers_of(self.columns.column(name)).astype(kind)

    def flags(self, name: str) -> NDArray[np.bool_]:
        """A column of true and false, null as false."""
        return flags_of(self.columns.column(name))

    def texts(self, name: str) -> NDArray[np.object_]:
        """A column of names, null as None."""
        column = self.columns.column(name).combine_chunks()
        if isinstance(column, pa.ChunkedArray):
            column = (
                pa.concat_arrays(column.chunks) if column.num_chunks else name_column([], _NAMES)
            )
        names = np.array([*column.dictionary.to_pylist(), None], dtype=object)
        return names[numbers_of(column.indices, len(names) - 1)]


def select_from_table(
    corpus: Corpus,
    table: Table,
    criteria: Criteria,
    *,
    benchmarks: Benchmarks | None = None,
    question_of: Callable[[str], str] | None = None,
    listener: Listener = silent,
) -> Selection:
    """Choose rows of a corpus by its table; the same as `select`, funnel included.

    Args:
        corpus: where the texts are.
        table: all rows of the corpus.
        criteria: what is asked of a row, and how many are wanted.
        benchmarks: leave out rows whose questions these have.
        question_of: the text of a question by its id; needed with `benchmarks`.
        listener: hears the progress.

    Raises:
        EmptyResultError: a part of a mixture has fewer rows than its share.
    """
    stage = "choosing rows"
    listener(StageStarted(stage, corpus.num_rows, "rows"))
    sieve = Sieve(criteria)
    funnel = sieve.funnel
    funnel.read = corpus.num_rows
    funnel.out["source"] = table.left_out
    _Walk(table, criteria, sieve, benchmarks, question_of).run()
    chosen, funnel, overlapping = sieve.finish()
    listener(StageDone(stage, f"{len(chosen):,} of {funnel.read:,} rows, by the index"))
    return Selection(corpus, criteria, chosen, funnel, overlapping)


class _Walk:
    """The rows that pass the label steps, sorted and handed to the sieve."""

    def __init__(
        self,
        table: Table,
        criteria: Criteria,
        sieve: Sieve,
        benchmarks: Benchmarks | None,
        question_of: Callable[[str], str] | None,
    ) -> None:
        self._criteria = criteria
        self._sieve = sieve
        self._benchmarks = benchmarks
        self._question_of = question_of
        self._source = table.texts("source")
        self._domain = table.texts("domain")
        self._rows = self._eligible(table)
        rows = self._rows
        self._source, self._domain = self._source[rows], self._domain[rows]
        self._part, self._group, self._row = (
            table.part[rows],
            table.numbers("row_group")[rows],
            table.numbers("row")[rows],
        )
        high, low, self._question_high, self._question_low, self._answer = (
            table.numbers(name, np.uint64)[rows] for name in _UNSIGNED
        )
        self._content = [a << 64 | b for a, b in zip(high.tolist(), low.tolist(), strict=True)]
        self._counts = CountColumns(
            *(table.numbers(name)[rows] for name in _COUNTS), control=table.flags("control")[rows]
        )
        self._level = self._levels(table)[rows]
        self._marks = table.flags("closed")[rows], table.flags("boxed")[rows]

    def _levels(self, table: Table) -> NDArray[np.object_]:
        return np.array(table.columns.column("difficulty").to_pylist(), dtype=object)

    def _eligible(self, table: Table) -> NDArray[np.int64]:
        """The rows that pass the label steps; those that do not are counted."""
        criteria, funnel = self._criteria, self._sieve.funnel
        left = np.ones(len(table.part), dtype=np.bool_)
        for step, names, wanted in (
            ("source", self._source, criteria.sources),
            ("domain", self._domain, criteria.domains),
        ):
            if wanted:
                right = np.isin(names.astype(str), sorted(wanted))
                funnel.out[step] += int((left & ~right).sum())
                left &= right
        malformed = table.texts("malformed")
        for reason in sorted({name for name in malformed[left] if name is not None}):
            funnel.malformed[reason] += int((malformed[left] == reason).sum())
        left &= malformed == None  # noqa: E711 - an array of names and None
        if criteria.difficulty is not None or criteria.closed or criteria.boxed:
            self._take_out_by_label(table, left)
        self._sieve.eligible = int(left.sum())
        return np.flatnonzero(left)

    def _take_out_by_label(self, table: Table, left: NDArray[np.bool_]) -> None:
        levels, closed, boxed = self._levels(table), table.flags("closed"), table.flags("boxed")
        for level in set(levels[left].tolist()):
            of_level = levels == level
            for is_closed in (False, True):
                for is_boxed in (False, True):
                    same = left & of_level & (closed == is_closed) & (boxed == is_boxed)
                    step = self._criteria.label_step(level, closed=is_closed, boxed=is_boxed)
                    if step is not None:
                        self._sieve.funnel.out[step] += int(same.sum())
                        left &= ~same

    def run(self) -> None:
        if not len(self._rows):
            return
        criteria = self._criteria
        labels = {
            "source": self._source,
            "domain": self._domain,
            "difficulty": self._level.tolist(),
            "closed": self._marks[0],
            "boxed": self._marks[1],
        }
        steps = judge(criteria, self._counts, labels)
        self._note_shortest(steps)
        place = np.array(
            [order_key(content, criteria.seed) for content in self._content], dtype=np.uint64
        )
        leading = self._leading()
        unit_place, unit_leading = self._units(place, leading, steps == "")
        part_of = {name: self._sieve.part_of(name) for name in set(self._source.tolist())}
        parts = np.array([part_of[name] for name in self._source.tolist()], dtype=np.int64)
        for part in sorted(set(part_of.values())):
            mine = parts == part
            failed = mine & (steps != "")
            self._sieve.reject_many(
                part,
                steps[failed],
                leading[failed],
                place[failed],
                unit_place[failed],
                self._question_high[failed],
            )
            rows = np.flatnonzero(mine & (steps == ""))
            keys = (place, leading, self._question_low, self._question_high)
            units = (unit_place, unit_leading)
            ranked = rows[np.lexsort([column[rows] for column in (*keys, *units)])]
            self._walk(part, ranked, place, leading, unit_leading)

    def _walk(
        self, part: int, ranked: NDArray[np.int64], place: Any, leading: Any, unit_leading: Any
    ) -> None:
        sieve = self._sieve
        for at in ranked.tolist():
            question_id = f"{int(self._question_high[at]):016x}{int(self._question_low[at]):016x}"
            content = self._content[at]
            keys = sieve.keys(int(leading[at]), int(place[at]), content, question_id)
            if self._criteria.by_question:
                best = sieve.keys(int(unit_leading[at]), int(place[at]), content, question_id)
                keys = keys._replace(unit=best.unit)
            if sieve.over(part, keys.unit):
                return
            if self._benchmarks and sieve.could_take(part, keys, question_id):
                assert self._question_of is not None
                match = self._benchmarks.find(question_id, self._question_of(question_id))
                if match is not None:
                    source = str(self._source[at])
                    sieve.overlaps(part, keys, content, question_id, source, match)
                    continue
            sieve.accept(part, self._item(at, keys, question_id))

    def _item(self, at: int, keys: Any, question_id: str) -> Chosen:
        counts = self._counts
        columns = (counts.total, counts.question, counts.thinking, counts.answer)
        return Chosen(
            key=keys.row,
            unit=keys.unit,
            content=self._content[at],
            place=Place(int(self._part[at]), int(self._group[at]), int(self._row[at])),
            question_id=question_id,
            answer=int(self._answer[at]),
            counts=TokenCounts(*(int(column[at]) for column in columns)),
        )

    def _leading(self) -> NDArray[np.int64]:
        if self._criteria.order == "random":
            return np.zeros(len(self._rows), dtype=np.int64)
        response = (self._counts.thinking + self._counts.answer).tolist()
        pairs = zip(self._level.tolist(), response, strict=True)
        return np.array([self._criteria.leading(*pair) for pair in pairs], dtype=np.int64)

    def _units(self, place: Any, leading: Any, passed: Any) -> tuple[Any, Any]:
        """The place of each row's unit in the order, and what the order looks at first of it."""
        if not self._criteria.by_question:
            return place, leading
        questions = np.stack([self._question_high, self._question_low], axis=1)
        known, number = np.unique(questions, axis=0, return_inverse=True)
        number = number.reshape(-1)
        places = np.array(
            [
                question_order_key(f"{a:016x}{b:016x}", self._criteria.seed)
                for a, b in known.tolist()
            ],
            dtype=np.uint64,
        )
        best = np.full(len(known), np.iinfo(np.int64).max)
        np.minimum.at(best, number[passed], leading[passed])
        return places[number], np.where(passed, best[number], leading)

    def _note_shortest(self, steps: Any) -> None:
        too_long = self._counts.total[steps == "too_long"]
        if len(too_long):
            self._sieve.funnel.shortest_too_long = int(too_long.min())
