"""Which rows: filters, and a seeded choice that depends on no order of files or rows.

Every row has a place in a seeded order of its own: `xxh3_64(content, seed)`. The rows chosen are the
first `limit` in that order that pass the filters, which is "shuffle all, take the first that pass"
without shuffling or holding all: a heap of the best `limit` is kept, and a row beyond its last
place is neither tokenised nor kept. A larger limit contains a smaller one, and parts of a corpus can
be read in any order, or apart and merged.

Copies of one content share a place and stand next to each other in the order; which is first cannot
matter, so nothing has to be remembered of the rows that were passed over.
"""

from __future__ import annotations

import heapq
import tempfile
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import xxhash

from openthoughts_cli.data.corpus import Corpus
from openthoughts_cli.data.funnel import Funnel
from openthoughts_cli.data.parquet import Malformed, RawRow
from openthoughts_cli.data.rows import Row, content_hash, question_hash, row_id
from openthoughts_cli.data.tokens import TokenCounter, TokenCounts
from openthoughts_cli.events import Listener, StageDone, StageProgress, StageStarted, silent

__all__ = ["Chosen", "Criteria", "Place", "Selection", "identities", "order_key", "select"]

_BATCH_ROWS = 256
_BATCH_BYTES = 2 << 20
_BEHIND_ALL = 1 << 64
_PROGRESS_ROWS = 64
KEPT_TEXT_BYTES = 256 << 20
"""Texts of chosen rows held in memory; beyond it they are read again when they are written."""


@dataclass(frozen=True, slots=True)
class Criteria:
    """What a row must be, and how many are wanted. Empty sets mean: all."""

    sources: frozenset[str] = frozenset()
    domains: frozenset[str] = frozenset()
    min_tokens: int = 0
    max_tokens: int | None = None
    drop_control_tokens: bool = True
    limit: int = 100
    seed: int = 42


class Place(NamedTuple):
    """Where a row stands in the corpus."""

    part: int
    row_group: int
    row: int


@dataclass(slots=True)
class Chosen:
    """A row that may be written. `raw` is None when its text was let go to save memory."""

    rank: tuple[int, int]
    place: Place
    question_id: str
    counts: TokenCounts
    num_bytes: int
    raw: RawRow | None
    occurrence: int = 0

    @property
    def row_id(self) -> str:
        return row_id(self.rank[1], self.occurrence)


@dataclass(frozen=True, slots=True)
class Selection:
    """The chosen rows in their seeded order, and where all others went."""

    corpus: Corpus
    criteria: Criteria
    chosen: list[Chosen]
    funnel: Funnel

    def rows(self) -> Iterator[tuple[Row, str]]:
        """Each chosen row with the role name of its answer, in the seeded order.

        Texts that were let go are read again in one pass and spooled to a temporary file.
        """
        missing = {item.place for item in self.chosen if item.raw is None}
        with tempfile.TemporaryFile() as spool:
            spooled: dict[Place, tuple[int, int, RawRow]] = {}
            for place, raw in self._read(missing):
                at = spool.tell()
                spool.write(raw.question + raw.answer)
                bare = raw._replace(question=b"", answer=b"")
                spooled[place] = (at, len(raw.question), bare)
            for item in self.chosen:
                raw = item.raw
                if raw is None:
                    at, cut, bare = spooled[item.place]
                    spool.seek(at)
                    texts = spool.read(item.num_bytes)
                    raw = bare._replace(question=texts[:cut], answer=texts[cut:])
                yield _finished(item, raw), raw.answer_role

    def _read(self, wanted: set[Place]) -> Iterator[tuple[Place, RawRow]]:
        groups = {(place.part, place.row_group) for place in wanted}
        if not groups:
            return
        for chunk in self.corpus.scan(self.criteria.sources, self.criteria.domains):
            if (chunk.part, chunk.row_group) not in groups:
                continue
            for raw in chunk.rows:
                place = Place(chunk.part, raw.row_group, raw.row)
                if place in wanted and isinstance(raw, RawRow):
                    yield place, raw


def order_key(content: int, seed: int) -> int:
    """A row's place in the order of a seed: XXH3-64 of its content hash and the seed."""
    return xxhash.xxh3_64_intdigest(f"order {seed} {content:032x}".encode())


def select(
    corpus: Corpus,
    criteria: Criteria,
    counter: TokenCounter,
    *,
    keep_bytes: int = KEPT_TEXT_BYTES,
    listener: Listener = silent,
) -> Selection:
    """Choose rows: exact, seeded, in one pass over the row groups that can hold them.

    Args:
        corpus: where the rows are.
        criteria: what is asked of a row, and how many are wanted.
        counter: whose tokens.
        keep_bytes: texts of chosen rows held in memory; beyond it they are read a second time.
        listener: hears the progress.

    Raises:
        DataError: a file is damaged; the message names it.
    """
    draw = _Draw(criteria, counter, keep_bytes)
    stage = "choosing rows"
    listener(StageStarted(stage, corpus.num_rows, "rows"))
    for chunk in corpus.scan(criteria.sources, criteria.domains):
        draw.pass_over(chunk.num_rows, chunk.other_source, chunk.other_domain)
        for raw in chunk.rows:
            if isinstance(raw, Malformed):
                draw.funnel.malformed[raw.reason] += 1
            else:
                draw.offer(chunk.part, raw)
            if raw.row and raw.row % _PROGRESS_ROWS == 0:
                listener(StageProgress(stage, draw.funnel.read - chunk.num_rows + raw.row))
        listener(StageProgress(stage, draw.funnel.read))
    chosen, funnel = draw.finish()
    listener(StageDone(stage, f"{len(chosen):,} of {funnel.read:,} rows"))
    return Selection(corpus, criteria, chosen, funnel)


class _Draw:
    """The heap of the best rows so far, and what was tested and failed."""

    def __init__(self, criteria: Criteria, counter: TokenCounter, keep_bytes: int) -> None:
        self.funnel = Funnel()
        self._criteria = criteria
        self._counter = counter
        self._keep_bytes = keep_bytes
        self._heap: list[tuple[int, int, Chosen]] = []  # (-rank, number, row): the worst first
        self._pushed = 0
        self._kept_bytes = 0
        self._pending: list[tuple[tuple[int, int], int, RawRow]] = []
        self._pending_bytes = 0
        self._eligible = 0
        self._failed = {
            reason: array("Q") for reason in ("control_tokens", "too_long", "too_short")
        }

    def pass_over(self, num_rows: int, other_source: int, other_domain: int) -> None:
        self.funnel.read += num_rows
        self.funnel.source += other_source
        self.funnel.domain += other_domain

    def offer(self, part: int, raw: RawRow) -> None:
        self._eligible += 1
        content = content_hash(raw.source, raw.domain, raw.difficulty, raw.question, raw.answer)
        rank = (order_key(content, self._criteria.seed), content)
        if not self._can_be_chosen(rank):
            return
        self._pending.append((rank, part, raw))
        self._pending_bytes += len(raw.question) + len(raw.answer)
        if len(self._pending) >= _BATCH_ROWS or self._pending_bytes >= _BATCH_BYTES:
            self._test_pending()

    def finish(self) -> tuple[list[Chosen], Funnel]:
        self._test_pending()
        chosen = sorted(
            (item for _, _, item in self._heap), key=lambda item: (item.rank, item.place)
        )
        seen: Counter[int] = Counter()
        for item in chosen:
            item.occurrence = seen[item.rank[1]]
            seen[item.rank[1]] += 1
        full = len(chosen) == self._criteria.limit
        # Rows behind the last chosen place count as not drawn, whether or not the order of the
        # files let them be tested before the heap was full.
        last = chosen[-1].rank[0] if full else _BEHIND_ALL
        counts = {reason: sum(key < last for key in keys) for reason, keys in self._failed.items()}
        funnel = self.funnel
        funnel.control_tokens = counts["control_tokens"]
        funnel.too_long = counts["too_long"]
        funnel.too_short = counts["too_short"]
        funnel.chosen = len(chosen)
        funnel.not_drawn = self._eligible - sum(counts.values()) - len(chosen)
        return chosen, funnel

    def _can_be_chosen(self, rank: tuple[int, int]) -> bool:
        full = len(self._heap) >= self._criteria.limit
        return not full or rank < self._heap[0][2].rank

    def _test_pending(self) -> None:
        pending = [entry for entry in self._pending if self._can_be_chosen(entry[0])]
        self._pending, self._pending_bytes = [], 0
        clean: list[tuple[tuple[int, int], int, RawRow]] = []
        texts: list[tuple[str, str]] = []
        for rank, part, raw in pending:
            pair = (raw.question.decode(), raw.answer.decode())
            if self._criteria.drop_control_tokens and any(map(self._counter.has_control, pair)):
                self._failed["control_tokens"].append(rank[0])
            else:
                clean.append((rank, part, raw))
                texts.append(pair)
        for (rank, part, raw), pair, counts in zip(
            clean, texts, self._counter.count(texts), strict=True
        ):
            if self._criteria.max_tokens is not None and counts.total > self._criteria.max_tokens:
                self._failed["too_long"].append(rank[0])
                known = self.funnel.shortest_too_long
                self.funnel.shortest_too_long = min(known or counts.total, counts.total)
            elif counts.total < self._criteria.min_tokens:
                self._failed["too_short"].append(rank[0])
            else:
                self._keep(rank, part, raw, pair[0], counts)

    def _keep(
        self,
        rank: tuple[int, int],
        part: int,
        raw: RawRow,
        question: str,
        counts: TokenCounts,
    ) -> None:
        if not self._can_be_chosen(rank):
            return
        num_bytes = len(raw.question) + len(raw.answer)
        place = Place(part, raw.row_group, raw.row)
        item = Chosen(rank, place, question_hash(question), counts, num_bytes, raw)
        self._pushed += 1
        entry = (-(rank[0] << 128 | rank[1]), self._pushed, item)
        if len(self._heap) < self._criteria.limit:
            heapq.heappush(self._heap, entry)
        else:
            gone = heapq.heapreplace(self._heap, entry)[2]
            if gone.raw is not None:
                self._kept_bytes -= gone.num_bytes
        self._kept_bytes += num_bytes
        if self._kept_bytes > self._keep_bytes:
            for _, _, kept in self._heap:
                kept.raw = None
            self._kept_bytes = 0


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
