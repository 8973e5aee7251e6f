"""Which rows: filters, and a seeded choice that depends on no order of files or rows.

Every row has a place in an order of its own (`criteria`), and the rows chosen are the first in that
order that pass the filters: "shuffle all, take the first that pass" without shuffling or holding
all. Rows are read once, a few at a time; one that stands behind the last place that is left is
neither tokenised nor kept. A larger limit contains a smaller one, and the corpus can be read in any
order. The same choice from an index of all rows is in `table`; what is chosen is decided in `sieve`.

Copies of one content share a place and stand next to each other in the order; which is first cannot
matter, so nothing has to be remembered of the rows that were passed over.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import xxhash

from openthoughts_cli.data.arrow_values import text_column
from openthoughts_cli.data.corpus import Corpus
from openthoughts_cli.data.criteria import Criteria, judge, order_key
from openthoughts_cli.data.draw import Chosen, Place
from openthoughts_cli.data.figures import BOXED
from openthoughts_cli.data.funnel import Funnel
from openthoughts_cli.data.overlap import Benchmarks
from openthoughts_cli.data.raw_rows import Malformed, RawRow
from openthoughts_cli.data.rejected import REMEMBER_ROWS
from openthoughts_cli.data.rows import Row, content_hash, question_hash
from openthoughts_cli.data.sieve import KEPT_TEXT_BYTES, Overlapping, Sieve
from openthoughts_cli.data.tokens import TokenCounter
from openthoughts_cli.data.trace import CLOSE
from openthoughts_cli.events import Listener, StageDone, StageProgress, StageStarted, silent

__all__ = [
    "Criteria",
    "Selection",
    "answer_hash",
    "identities",
    "order_key",
    "select",
    "text_arrays",
]

_BATCH_ROWS = 256
_BATCH_BYTES = 4 << 20
_PROGRESS_ROWS = 64
_CLOSE = CLOSE.encode()
_BOXED = BOXED.encode()


@dataclass(frozen=True, slots=True)
class Selection:
    """The chosen rows in their order, and where all others went."""

    corpus: Corpus
    criteria: Criteria
    chosen: list[Chosen]
    funnel: Funnel
    overlapping: Sequence[Overlapping] = ()
    """Rows left out because a benchmark has their question."""

    def rows(self) -> Iterator[tuple[Row, str]]:
        """Each chosen row with the role name of its answer, in the order.

        Texts that are not in memory are read in one pass and spooled to a temporary file.
        """
        missing: dict[tuple[int, int, int], int] = {
            item.place: item.content for item in self.chosen if item.raw is None
        }
        with tempfile.TemporaryFile() as spool:
            spooled: dict[Place, tuple[int, int, int, RawRow]] = {}
            for place, raw in self.corpus.fetch(missing, missing):
                at = spool.tell()
                spool.write(raw.question + raw.answer)
                bare = raw._replace(question=b"", answer=b"")
                spooled[Place(*place)] = (at, len(raw.question), len(raw.answer), bare)
            for item in self.chosen:
                raw = item.raw
                if raw is None:
                    at, cut, rest, bare = spooled[item.place]
                    spool.seek(at)
                    texts = spool.read(cut + rest)
                    raw = bare._replace(question=texts[:cut], answer=texts[cut:])
                yield _finished(item, raw), raw.answer_role


def select(
    corpus: Corpus,
    criteria: Criteria,
    counter: TokenCounter,
    *,
    benchmarks: Benchmarks | None = None,
    keep_bytes: int = KEPT_TEXT_BYTES,
    remember_rows: int = REMEMBER_ROWS,
    listener: Listener = silent,
) -> Selection:
    """Choose rows: exact, seeded, in one pass over the row groups that can hold them.

    Args:
        corpus: where the rows are.
        criteria: what is asked of a row, and how many are wanted. An order of questions by more
            than the seed (`by_question` with another order than random) needs a table.
        counter: whose tokens.
        benchmarks: leave out rows whose questions these have.
        keep_bytes: texts of chosen rows held in memory; beyond it they are read a second time.
        remember_rows: rows that failed, told before those that cannot count are forgotten.
        listener: hears the progress.

    Raises:
        DataError: a file is damaged; the message names it.
        EmptyResultError: a part of a mixture has fewer rows than its share.
    """
    sieve = Sieve(criteria, keep_bytes=keep_bytes, remember_rows=remember_rows)
    stream = _Stream(sieve, counter, benchmarks)
    funnel = stream.sieve.funnel
    stage = "choosing rows"
    listener(StageStarted(stage, corpus.num_rows, "rows"))
    for chunk in corpus.scan(criteria.sources, criteria.domains):
        funnel.read += chunk.num_rows
        funnel.out["source"] += chunk.other_source
        funnel.out["domain"] += chunk.other_domain
        for raw in chunk.rows:
            if isinstance(raw, Malformed):
                funnel.malformed[raw.reason] += 1
            else:
                stream.offer(chunk.part, raw)
            if raw.row and raw.row % _PROGRESS_ROWS == 0:
                listener(StageProgress(stage, funnel.read - chunk.num_rows + raw.row))
        listener(StageProgress(stage, funnel.read))
    stream.test_pending()
    chosen, funnel, overlapping = stream.sieve.finish()
    listener(StageDone(stage, f"{len(chosen):,} of {funnel.read:,} rows"))
    return Selection(corpus, criteria, chosen, funnel, overlapping)


class _Pending(NamedTuple):
    """A row that waits for its tokens."""

    place: int
    content: int
    question_id: str | None
    where: Place
    closed: bool | None
    boxed: bool | None
    raw: RawRow


class _Stream:
    """Hands rows to the sieve as they are read, and tokenises those that can still be chosen."""

    def __init__(
        self,
        sieve: Sieve,
        counter: TokenCounter,
        benchmarks: Benchmarks | None,
    ) -> None:
        self.sieve = sieve
        self._criteria = criteria = sieve.criteria
        self._counter = counter
        self._benchmarks = benchmarks
        self._marks = (
            criteria.closed or criteria.where is not None,
            criteria.boxed or criteria.where is not None,
        )
        self._by_length = criteria.order in ("longest", "shortest")
        self._pending: list[_Pending] = []
        self._pending_bytes = 0

    def offer(self, part: int, raw: RawRow) -> None:
        criteria = self._criteria
        closed = _CLOSE in raw.answer if self._marks[0] else None
        boxed = _BOXED in raw.answer if self._marks[1] else None
        step = criteria.label_step(raw.difficulty, closed=closed, boxed=boxed)
        if step is not None:
            self.sieve.funnel.out[step] += 1
            return
        self.sieve.eligible += 1
        content = content_hash(raw.source, raw.domain, raw.difficulty, raw.question, raw.answer)
        question_id = question_id_of(raw.question) if criteria.knows_questions else None
        where = Place(part, raw.row_group, raw.row)
        place = order_key(content, criteria.seed)
        row = _Pending(place, content, question_id, where, closed, boxed, raw)
        if not self._could_be_chosen(row):
            return
        self._pending.append(row)
        self._pending_bytes += len(raw.question) + len(raw.answer)
        if len(self._pending) >= _BATCH_ROWS or self._pending_bytes >= _BATCH_BYTES:
            self.test_pending()

    def _could_be_chosen(self, row: _Pending) -> bool:
        if self._by_length:
            return True  # its place is not known before its tokens are
        leading = self._criteria.leading(row.raw.difficulty, None)
        keys = self.sieve.keys(leading, row.place, row.content, row.question_id)
        return self.sieve.could_take(self.sieve.part_of(row.raw.source), keys, row.question_id)

    def test_pending(self) -> None:
        """Count the tokens of the rows that wait, and offer those that pass."""
        rows = [row for row in self._pending if self._could_be_chosen(row)]
        self._pending, self._pending_bytes = [], 0
        if not rows:
            return
        questions, answers = text_arrays([row.raw for row in rows])
        columns = self._counter.count_columns(questions, answers, at_most=self._enough())
        labels = {
            "source": [row.raw.source for row in rows],
            "domain": [row.raw.domain for row in rows],
            "difficulty": [row.raw.difficulty for row in rows],
            "closed": [row.closed for row in rows],
            "boxed": [row.boxed for row in rows],
        }
        steps = judge(self._criteria, columns, labels)
        self._note_shortest(columns, steps)
        for row, step, counts in zip(rows, steps, columns.rows(), strict=True):
            raw = row.raw
            leading = self._criteria.leading(raw.difficulty, counts.thinking + counts.answer)
            keys = self.sieve.keys(leading, row.place, row.content, row.question_id)
            part = self.sieve.part_of(raw.source)
            if step:
                self.sieve.reject(part, step, keys, row.question_id)
                continue
            question_id = row.question_id or question_id_of(raw.question)
            if self._benchmarks and self.sieve.could_take(part, keys, row.question_id):
                found = self._benchmarks.find(question_id, raw.question.decode())
                if found is not None:
                    self.sieve.overlaps(part, keys, row.content, question_id, raw.source, found)
                    continue
            item = Chosen(
                key=keys.row,
                unit=keys.unit,
                content=row.content,
                place=row.where,
                question_id=question_id,
                answer=answer_hash(row.raw.answer) if self._criteria.dedup else 0,
                counts=counts,
                raw=raw,
            )
            self.sieve.accept(part, item)

    def _enough(self) -> int | None:
        """With more tokens than this nothing more is to be known of a row; None: all is."""
        criteria, known = self._criteria, self.sieve.funnel.shortest_too_long
        if self._by_length or criteria.max_tokens is None or known is None:
            return None
        return max(criteria.max_tokens, known - 1)

    def _note_shortest(self, columns: Any, steps: Any) -> None:
        too_long = columns.total[steps == "too_long"]
        if len(too_long):
            known = self.sieve.funnel.shortest_too_long
            least = int(too_long.min())
            self.sieve.funnel.shortest_too_long = least if known is None else min(known, least)


@lru_cache(maxsize=1024)
def question_id_of(question: bytes) -> str:
    # The answers of one question often stand together.
    return question_hash(question.decode())


def answer_hash(answer: bytes) -> int:
    """XXH3-64 of an answer: equal answers of one question are found by it."""
    return xxhash.xxh3_64_intdigest(answer)


def text_arrays(rows: Sequence[RawRow]) -> tuple[Any, Any]:
    """Questions and answers as `pyarrow.LargeStringArray`s; the bytes were checked before."""
    return (
        text_column(row.question for row in rows),
        text_column(row.answer for row in rows),
    )


def _finished(item: Chosen, raw: RawRow) -> Row:
    counts = item.counts
    return Row(
        item.row_id,
        item.question_id,
        raw.source,
        raw.domain,
        raw.difficulty,
        raw.question.decode(),
        raw.answer.decode(),
        counts.total,
        counts.question,
        counts.thinking,
        counts.answer,
    )


def identities(chosen: Sequence[Chosen]) -> Iterator[Row]:
    """The chosen rows without their texts: what the canonical digest reads."""
    for item in chosen:
        counts = item.counts
        yield Row(
            item.row_id,
            item.question_id,
            "",
            "",
            None,
            "",
            "",
            counts.total,
            counts.question,
            counts.thinking,
            counts.answer,
        )
