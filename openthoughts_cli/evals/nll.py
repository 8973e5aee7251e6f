"""How likely the held-out answers are: nats per token and per byte, thinking and answer apart."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np

from openthoughts_cli.config.benchmark import NLL, BenchmarkConfig
from openthoughts_cli.digests import digest_value
from openthoughts_cli.engine.base import Datum, ForwardResult, Sampler
from openthoughts_cli.errors import BudgetError, EmptyResultError, EngineError
from openthoughts_cli.evals.nll_score import summarise_nll
from openthoughts_cli.evals.records import EvalDirectory, Scores
from openthoughts_cli.evals.shapes import held_out_lines
from openthoughts_cli.events import EvalDone, EvalProgress, EvalStarted, Listener, Notice, silent
from openthoughts_cli.problems.problem import stable_hash
from openthoughts_cli.store import append_line

__all__ = ["ExampleRenderer", "Forward", "HeldOutRow", "evaluate_nll", "forward_of_sampler"]

Forward: TypeAlias = Callable[[Sequence[Datum]], Awaitable[ForwardResult]]
"""Takes its place at the call, as `Trainer.forward` does; `forward_of_sampler` makes another."""

_BATCH_TOKENS = 65_536
_END_OF_THINKING = "</think>"


class HeldOutRow(Protocol):
    """What is needed of `data.rows.Row`."""

    @property
    def row_id(self) -> str: ...
    @property
    def question_id(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def domain(self) -> str: ...
    @property
    def question(self) -> str: ...
    @property
    def answer(self) -> str: ...


class RenderedExample(Protocol):
    """What is needed of `chat.renderer.Example`."""

    @property
    def prompt(self) -> tuple[int, ...]: ...
    @property
    def target(self) -> tuple[int, ...]: ...


class Measured(Protocol):
    """What is needed of `chat.renderer.Measure`: the target's tokens before a cut in its text."""

    @property
    def head(self) -> int: ...


class ExampleRenderer(Protocol):
    """What is needed of `chat.renderer.Renderer`."""

    @property
    def model(self) -> str: ...
    @property
    def digest(self) -> str: ...
    def examples(self, rows: Sequence[tuple[str, str]]) -> Sequence[RenderedExample]: ...
    def target_text(self, answer: str) -> str: ...
    def measure(self, rows: Sequence[tuple[str, str, int]]) -> Sequence[Measured]: ...


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A row as tokens. The first `thinking` of the target's tokens end with `</think>`."""

    row: HeldOutRow
    datum: Datum
    first: int
    thinking: int
    num_bytes: int


def forward_of_sampler(sampler: Sampler) -> Forward:
    """A forward pass by a sampler's log-probabilities: often cheaper than a trainer's."""

    def forward(batch: Sequence[Datum]) -> Awaitable[ForwardResult]:
        requests: list[asyncio.Future[tuple[float | None, ...]]] = []
        for datum in batch:
            tokens = [*datum.input_tokens.tolist(), int(datum.target_tokens[-1])]
            requests.append(asyncio.ensure_future(sampler.logprobs(tokens)))
            # Behind a row that failed nobody awaits the others: their failures are no news.
            requests[-1].add_done_callback(lambda done: done.cancelled() or done.exception())
        return _gathered(batch, requests)

    return forward


async def _gathered(
    batch: Sequence[Datum], requests: Sequence[asyncio.Future[tuple[float | None, ...]]]
) -> ForwardResult:
    logprobs: list[np.typing.NDArray[np.float32]] = []
    loss = 0.0
    for datum, request in zip(batch, requests, strict=True):
        found = await request
        if len(found) != len(datum.input_tokens) + 1 or None in found[1:]:
            raise EngineError(
                f"the engine gave {len(found)} log-probabilities for "
                f"{len(datum.input_tokens) + 1} tokens",
                hint="the server speaks another version of the API; docs/own-cluster.md lists what "
                "is known to work",
            )
        row = np.asarray(found[1:], dtype=np.float32)
        logprobs.append(row)
        loss -= float((row.astype(np.float64) * datum.weights).sum())
    return ForwardResult(tuple(logprobs), loss)


def evaluate_nll(
    forward: Forward,
    renderer: ExampleRenderer,
    rows: Sequence[HeldOutRow],
    settings: BenchmarkConfig,
    *,
    directory: Path,
    step: int,
    lineage: Mapping[str, Any],
    max_tokens: int | None = None,
    listener: Listener = silent,
) -> Awaitable[Scores]:
    """Mean negative log-likelihood of held-out answers, in nats.

    All forward passes are queued at the call, so that a trainer's are of the weights at the call,
    whatever is queued before the result is awaited. A row that is recorded is not asked again.

    Metrics: "mean" (nats per target token, the end-of-turn token included), "per_byte" (the same
    nats per UTF-8 byte of the target's text: comparable across tokenizers), and, over the rows that
    have `</think>`, "thinking" (tokens up to and with it) and "answer" (the rest). Intervals are
    over questions.

    Args:
        rows: the held-out rows; `settings.limit` of them are chosen by `settings.seed`.
        max_tokens: longer rows are left out and counted, never cut.

    Raises:
        EmptyResultError: no row is left.
        ConflictError: the directory holds another evaluation.
        EngineError: a forward pass failed.
        BudgetError: not all could be sent; what was sent is recorded.
    """
    work = _Nll(renderer, settings, EvalDirectory(directory), step, listener)
    chosen = work.choose(rows, max_tokens)
    work.begin(lineage)
    queued: list[tuple[list[_Prepared], asyncio.Future[ForwardResult]]] = []
    refused: BudgetError | None = None
    for batch in work.owed(chosen):
        try:
            request = forward([entry.datum for entry in batch])
        except BudgetError as error:
            refused = error  # once what was sent before, and is paid, is recorded
            break
        queued.append((batch, asyncio.ensure_future(request)))
    return work.finish(queued, refused)


class _Nll:
    def __init__(
        self,
        renderer: ExampleRenderer,
        settings: BenchmarkConfig,
        directory: EvalDirectory,
        step: int,
        listener: Listener,
    ) -> None:
        self._renderer = renderer
        self._settings = settings
        self._directory = directory
        self._step = step
        self._listener = listener
        self._chosen: list[_Prepared] = []
        self._too_long = 0
        self._recorded: dict[str, dict[str, Any]] = {}

    def choose(self, rows: Sequence[HeldOutRow], max_tokens: int | None) -> list[_Prepared]:
        """The rows to score, rendered; those over the limit are counted."""
        limit = self._settings.limit
        if limit is not None and limit < len(rows):
            seed = self._settings.seed
            rows = sorted(rows, key=lambda row: (stable_hash(seed, row.row_id), row.row_id))[:limit]
        examples = self._renderer.examples([(row.question, row.answer) for row in rows])
        thinking = self._thinking_tokens(rows)
        for row, example in zip(rows, examples, strict=True):
            if max_tokens is not None and len(example.prompt) + len(example.target) > max_tokens:
                self._too_long += 1
            else:
                self._chosen.append(self._prepare(row, example, thinking.get(row.row_id, 0)))
        if not self._chosen:
            raise EmptyResultError(
                f"nll: none of {len(rows)} held-out rows can be scored"
                + (f", {self._too_long} exceed {max_tokens} tokens" if self._too_long else ""),
                hint="hold more rows out (a lower train_split), or take a subset of shorter rows",
            )
        if self._too_long:
            text = f"nll: {self._too_long} held-out rows exceed {max_tokens} tokens: left out"
            self._listener(Notice(text, "warning"))
        return self._chosen

    def _prepare(self, row: HeldOutRow, example: RenderedExample, thinking: int) -> _Prepared:
        tokens = np.asarray([*example.prompt, *example.target], dtype=np.int64)
        weights = np.zeros(len(tokens) - 1, dtype=np.float32)
        first = len(example.prompt) - 1
        weights[first:] = 1.0
        return _Prepared(
            row=row,
            datum=Datum(tokens[:-1], tokens[1:], weights),
            first=first,
            thinking=thinking,
            num_bytes=len(self._renderer.target_text(row.answer).encode("utf-8", "surrogatepass")),
        )

    def _thinking_tokens(self, rows: Sequence[HeldOutRow]) -> dict[str, int]:
        """The target's tokens up to and with the first `</think>`, of the rows that have one."""
        cuts = {row.row_id: row.answer.find(_END_OF_THINKING) for row in rows}
        split = [row for row in rows if cuts[row.row_id] >= 0]
        measured = self._renderer.measure(
            [(row.question, row.answer, cuts[row.row_id] + len(_END_OF_THINKING)) for row in split]
        )
        return {row.row_id: entry.head for row, entry in zip(split, measured, strict=True)}

    def begin(self, lineage: Mapping[str, Any]) -> None:
        """Write or check config.json, and read what is recorded."""
        ids = [entry.row.row_id for entry in self._chosen]
        identity = {
            "benchmark": NLL,
            "lineage": dict(lineage),
            "renderer": {"model": self._renderer.model, "digest": self._renderer.digest},
            "data": {
                "source": "held-out rows",
                "digest": digest_value(sorted(ids)),
                "rows": len(ids),
                "questions": len({entry.row.question_id for entry in self._chosen}),
                "too_long": self._too_long,
            },
            "sampling": {"limit": self._settings.limit, "seed": self._settings.seed},
        }
        self._directory.begin(identity, {"step": self._step})
        wanted = set(ids)
        for row_id, line in held_out_lines(self._directory.rows_path).items():
            if row_id in wanted:
                self._recorded[row_id] = line
        self._listener(EvalStarted(NLL, self._step, len(self._chosen)))

    def owed(self, chosen: Sequence[_Prepared]) -> list[list[_Prepared]]:
        """Batches of unrecorded rows, shortest first, each of at most about 65,000 tokens."""
        rows = [entry for entry in chosen if entry.row.row_id not in self._recorded]
        rows.sort(key=lambda entry: (len(entry.datum.input_tokens), entry.row.row_id))
        batches: list[list[_Prepared]] = []
        tokens = 0
        for entry in rows:
            size = len(entry.datum.input_tokens) + 1
            if not batches or tokens + size > _BATCH_TOKENS:
                batches.append([])
                tokens = 0
            batches[-1].append(entry)
            tokens += size
        return batches

    async def finish(
        self,
        queued: Sequence[tuple[list[_Prepared], asyncio.Future[ForwardResult]]],
        refused: BudgetError | None,
    ) -> Scores:
        """Record each batch as it comes, then score, or raise what kept the others from being sent."""
        try:
            for batch, request in queued:
                result = await asyncio.shield(request)
                for entry, logprobs in zip(batch, result.logprobs, strict=True):
                    self._record(entry, logprobs)
                self._progress()
        finally:
            for _, request in queued:  # shielded requests end by themselves; nobody else looks
                request.add_done_callback(lambda done: done.cancelled() or done.exception())
        if refused is not None:
            raise refused
        return self._score()

    def _record(self, entry: _Prepared, logprobs: np.typing.NDArray[np.float32]) -> None:
        losses = -np.asarray(logprobs, dtype=np.float64)[entry.first :]
        nats = float(losses.sum())
        if not math.isfinite(nats):
            raise EngineError(
                "nll: the engine gave a log-probability that is not a number for row "
                f"{entry.row.row_id}",
                hint="the weights may have diverged: evaluate an earlier checkpoint",
            )
        thinking = entry.thinking
        line = {
            "row_id": entry.row.row_id,
            "question_id": entry.row.question_id,
            "source": entry.row.source,
            "domain": entry.row.domain,
            "nats": nats,
            "tokens": len(losses),
            "bytes": entry.num_bytes,
            "thinking_nats": float(losses[:thinking].sum()) if thinking else None,
            "thinking_tokens": thinking,
        }
        append_line(self._directory.rows_path, line)
        self._recorded[entry.row.row_id] = line

    def _progress(self) -> None:
        lines = self._recorded.values()
        tokens = sum(line["tokens"] for line in lines)
        mean = sum(line["nats"] for line in lines) / tokens
        done, total = len(self._recorded), len(self._chosen)
        self._listener(EvalProgress(NLL, self._step, done, total, {"mean": mean}))

    def _score(self) -> Scores:
        lines = [self._recorded[entry.row.row_id] for entry in self._chosen]
        metrics, intervals = summarise_nll(lines)
        domains = sorted({str(line["domain"]) for line in lines})
        groups = {
            name: {"rows": len(members), "metrics": summarise_nll(members)[0]}
            for name in domains
            if (members := [line for line in lines if line["domain"] == name])
        }
        record = {
            "benchmark": NLL,
            "step": self._step,
            "metrics": metrics,
            "intervals": intervals,
            "groups": groups if len(groups) > 1 else {},
            "counts": {
                "rows": len(lines),
                "questions": len({line["question_id"] for line in lines}),
                "tokens": sum(line["tokens"] for line in lines),
                "bytes": sum(line["bytes"] for line in lines),
                "rows_with_thinking": sum(line["thinking_tokens"] > 0 for line in lines),
                "too_long": self._too_long,
            },
            "config": self._directory.config()["identity"],
        }
        self._directory.write_scores(record)
        self._listener(EvalDone(NLL, self._step, metrics, record))
        return Scores(NLL, self._step, metrics, record)
