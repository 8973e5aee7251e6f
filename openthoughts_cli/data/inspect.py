"""What can be seen of a subset, or of rows that are not a subset yet."""

from __future__ import annotations

import glob
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from openthoughts_cli.config.sources import SAMPLE_DATASET
from openthoughts_cli.config.subset import DEFAULT_TOKENIZER
from openthoughts_cli.data.card import spread_over_lengths
from openthoughts_cli.data.corpus import Corpus, open_corpus
from openthoughts_cli.data.figures import describe_rows
from openthoughts_cli.data.overlap import Benchmarks, Match, load_benchmarks
from openthoughts_cli.data.raw_rows import Malformed
from openthoughts_cli.data.rows import Row, content_hash, question_hash, row_id
from openthoughts_cli.data.select import Criteria, select
from openthoughts_cli.data.subset import Subset, load_subset
from openthoughts_cli.data.tokens import RendererCounter
from openthoughts_cli.errors import DataError, IntegrityError, NotFoundError
from openthoughts_cli.events import Listener, silent

if TYPE_CHECKING:
    from openthoughts_cli.chat.renderer import Renderer

__all__ = [
    "DRAWN_ROWS",
    "Inspection",
    "MaskedRow",
    "Overlap",
    "inspect_rows",
    "mask_row",
    "mask_rows",
]

DRAWN_ROWS = 1000
"""Rows of a parquet file or data set whose tokens are counted, chosen by the seed."""
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")


@dataclass(frozen=True, slots=True)
class Overlap:
    """A row whose question is a benchmark's."""

    index: int
    row_id: str
    source: str
    match: Match

    def record(self) -> dict[str, Any]:
        """All of it as JSON-like values."""
        about = {"index": self.index, "row_id": self.row_id, "source": self.source}
        return {**about, **asdict(self.match)}


@dataclass(frozen=True, slots=True)
class Inspection:
    """What `ot inspect` shows.

    For rows that are no subset `figures` are those of a seeded draw of at most `DRAWN_ROWS`, and
    `labels` counts all rows by (source, domain).
    """

    target: str
    kind: Literal["subset", "rows"]
    tokenizer: str
    num_rows: int
    funnel: Mapping[str, int | dict[str, int]]
    figures: Mapping[str, Any]
    shown: Sequence[tuple[int, Row]]
    """The rows asked for, each with its number."""
    labels: Mapping[tuple[str, str], int] | None = None
    control_tokens: int | None = None
    """Of the drawn rows, those that spell a control token."""
    digest: str | None = None
    problem: str | None = None
    """Why the rows on disk are not those that were written; None when they are."""
    metadata: Mapping[str, Any] | None = None
    answers: Mapping[int, int] = field(default_factory=dict[int, int])
    """How many questions have so many rows, by that number."""
    overlaps: Sequence[Overlap] | None = None
    """Rows whose question a benchmark has; None where that was not asked."""

    def __repr__(self) -> str:
        problem = f"; {self.problem}" if self.problem else ""
        tokens = self.figures.get("total_tokens")
        of = f", {tokens:,} tokens" if self.kind == "subset" and tokens is not None else ""
        return (
            f"<Inspection of the {self.kind} {self.target}: {self.num_rows:,} rows{of} under "
            f"{self.tokenizer}, {len(self.shown)} shown{problem}>"
        )

    def record(self) -> dict[str, Any]:
        """All of it as JSON-like values."""
        labels = None
        if self.labels is not None:
            labels = [
                {"source": source, "domain": domain, "rows": count}
                for (source, domain), count in sorted(self.labels.items())
            ]
        return {
            "target": self.target,
            "of": self.kind,
            "tokenizer": self.tokenizer,
            "rows": self.num_rows,
            "funnel": dict(self.funnel),
            "figures": dict(self.figures),
            "labels": labels,
            "answers_per_question": {str(rows): n for rows, n in sorted(self.answers.items())},
            "control_tokens": self.control_tokens,
            "overlaps": self.overlaps and [overlap.record() for overlap in self.overlaps],
            "digest": self.digest,
            "problem": self.problem,
            "shown": [{"index": index, **row._asdict()} for index, row in self.shown],
        }


@dataclass(frozen=True, slots=True)
class MaskedRow:
    """A row as a model is trained on it: runs of text and whether their tokens carry loss."""

    model: str
    index: int
    pieces: Sequence[tuple[str, bool]]
    prompt_tokens: int
    loss_tokens: int

    def record(self) -> dict[str, Any]:
        """All of it as JSON-like values."""
        pieces = [{"text": text, "loss": loss} for text, loss in self.pieces]
        return {**asdict(self), "pieces": pieces}


def inspect_rows(
    target: str,
    *,
    samples: int = 3,
    row: int | None = None,
    tokenizer: str | None = None,
    seed: int = 42,
    overlap: Sequence[str] = (),
    ngram: int = 8,
    root: Path | None = None,
    listener: Listener = silent,
) -> Inspection:
    """Look into a subset (by name or directory), a parquet file, folder or glob, or `sample`.

    Args:
        target: what to look into.
        samples: rows to show, spread from the shortest to the longest.
        row: show this row alone, by its number from 0.
        tokenizer: whose tokens to count in rows that are no subset; a subset keeps its own counts.
        seed: of the draw from rows that are no subset.
        overlap: benchmarks, by name or as files, whose questions are looked for in the rows.
        ngram: words in a row that questions must share to be compared.
        root: where subsets are looked for by name.
        listener: hears the progress.

    Raises:
        NotFoundError: nothing of that name, or no such row.
        DataError, SchemaError, NetworkError, ModelError: as `open_corpus` and `load_renderer`.
    """
    benchmarks = None
    if overlap:
        benchmarks = load_benchmarks(overlap, ngram=ngram, listener=listener)
    if _is_corpus(target, root):
        corpus = open_corpus(target, seed=seed, listener=listener)
        model = tokenizer or DEFAULT_TOKENIZER
        return _of_corpus(corpus, model, samples, row, seed, benchmarks, listener)
    return _of_subset(load_subset(target, root=root), target, samples, row, benchmarks)


def _overlaps(rows: Sequence[Row], benchmarks: Benchmarks | None) -> list[Overlap] | None:
    if benchmarks is None:
        return None
    found = ((i, row, benchmarks.find(row.question_id, row.question)) for i, row in enumerate(rows))
    return [Overlap(i, row.row_id, row.source, match) for i, row, match in found if match]


def _answers(rows: Sequence[Row]) -> Counter[int]:
    """How many questions have so many rows."""
    return Counter(Counter(row.question_id for row in rows).values())


def _is_corpus(target: str, root: Path | None) -> bool:
    """Whether `target` names rows that are no subset."""
    if target == SAMPLE_DATASET:
        return True
    path = Path(target).expanduser()
    if (path / "metadata.json").is_file():
        return False
    if path.is_file() or glob.has_magic(target) or target.endswith(".parquet"):
        return True
    if path.is_dir():
        return any(path.rglob("*.parquet"))
    return "/" in target and _HUB_ID.fullmatch(target) is not None and root is None


def _of_subset(
    subset: Subset, target: str, samples: int, row: int | None, benchmarks: Benchmarks | None
) -> Inspection:
    problem = None
    try:
        rows = subset.rows()
    except IntegrityError as error:
        problem = error.message
        rows = subset.stored_rows()
    if row is not None and not 0 <= row < len(rows):
        raise NotFoundError(
            f"{subset.name} has rows 0 to {len(rows) - 1}, not {row}",
            hint="give --row one of these",
        )
    indices = [row] if row is not None else spread_over_lengths([r.tokens for r in rows], samples)
    return Inspection(
        target=target,
        kind="subset",
        tokenizer=subset.metadata["tokenizer"]["model"],
        num_rows=len(rows),
        funnel=subset.metadata["funnel"],
        figures=describe_rows(rows),
        shown=[(index, rows[index]) for index in indices],
        digest=subset.digest,
        problem=problem,
        metadata=subset.metadata,
        answers=_answers(rows),
        overlaps=_overlaps(rows, benchmarks),
    )


def _of_corpus(
    corpus: Corpus,
    tokenizer: str,
    samples: int,
    row: int | None,
    seed: int,
    benchmarks: Benchmarks | None,
    listener: Listener,
) -> Inspection:
    from openthoughts_cli.chat.renderer import load_renderer

    counter = RendererCounter(load_renderer(tokenizer, listener=listener))
    # Before the slow part, so that a wrong number is said at once.
    wanted = [] if row is None else [(row, _counted(corpus, row, counter))]
    criteria = Criteria(limit=DRAWN_ROWS, seed=seed, drop_control_tokens=False)
    selection = select(corpus, criteria, counter, listener=listener)
    rows = [found for found, _ in selection.rows()]
    control = sum(counter.has_control(r.question) or counter.has_control(r.answer) for r in rows)
    overlaps = _overlaps(rows, benchmarks)
    if overlaps:
        numbers = corpus.numbers([selection.chosen[each.index].place for each in overlaps])
        placed = zip(overlaps, numbers, strict=True)
        overlaps = [replace(each, index=number) for each, number in placed]
        overlaps.sort(key=lambda each: each.index)
    if row is None:
        indices = spread_over_lengths([found.tokens for found in rows], samples)
        places = [selection.chosen[index].place for index in indices]
        numbers = corpus.numbers(places)
        wanted = [(number, rows[index]) for number, index in zip(numbers, indices, strict=True)]
    return Inspection(
        target=corpus.dataset,
        kind="rows",
        tokenizer=tokenizer,
        num_rows=corpus.num_rows,
        funnel=selection.funnel.record(),
        figures=describe_rows(rows),
        shown=wanted,
        labels=Counter(corpus.label_counts()),
        control_tokens=control,
        answers=_answers(rows),
        overlaps=overlaps,
    )


def _counted(corpus: Corpus, number: int, counter: RendererCounter) -> Row:
    raw = corpus.row(number)
    if isinstance(raw, Malformed):
        raise DataError(
            f"row {number} of {corpus.dataset} is malformed: {raw.reason}",
            hint="look at another row; subsets leave malformed rows out",
        )
    question, answer = raw.question.decode(), raw.answer.decode()
    (counts,) = counter.count([(question, answer)])
    content = content_hash(raw.source, raw.domain, raw.difficulty, raw.question, raw.answer)
    return Row(
        row_id(content, 0),
        question_hash(question),
        raw.source,
        raw.domain,
        raw.difficulty,
        question,
        answer,
        counts.total,
        counts.question,
        counts.thinking,
        counts.answer,
    )


def mask_rows(
    seen: Inspection, model: str | None = None, *, listener: Listener = silent
) -> list[MaskedRow]:
    """The shown rows as a model (unset: the one whose tokens were counted) is trained on them.

    Raises:
        ModelError, NetworkError: the model's tokenizer cannot be had.
    """
    from openthoughts_cli.chat.renderer import load_renderer

    renderer = load_renderer(model or seen.tokenizer, listener=listener)
    return [mask_row(row, index, renderer) for index, row in seen.shown]


def mask_row(row: Row, index: int, renderer: Renderer) -> MaskedRow:
    """One row as the renderer's model is trained on it."""
    example = renderer.example(row.question, row.answer)
    return MaskedRow(
        model=renderer.model,
        index=index,
        pieces=renderer.pieces(example),
        prompt_tokens=len(example.prompt),
        loss_tokens=len(example.target),
    )
