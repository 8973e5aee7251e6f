"""Held-out NLL: sums over tokens and bytes, parts, intervals over questions, queued at the call."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import Awaitable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from openthoughts_cli.config.benchmark import BenchmarkConfig
from openthoughts_cli.data.rows import Row
from openthoughts_cli.engine.base import Datum, ForwardResult
from openthoughts_cli.errors import BudgetError, ConflictError, EmptyResultError, EngineError
from openthoughts_cli.evals.nll import evaluate_nll, forward_of_sampler
from openthoughts_cli.evals.records import Scores
from openthoughts_cli.events import EvalDone, EvalProgress, EvalStarted, Event, Notice
from tests.doubles.scripted_sampler import STOP, CharRenderer, ScriptedSampler


def row(index: int, answer: str, question: str = "q", domain: str = "math") -> Row:
    return Row(f"r{index}", question, "src", domain, None, f"{question}?", answer)


class TableForward:
    """One probability for each token: 1 nat a digit, 2 nats a letter, 4 nats the stop token."""

    def __init__(self) -> None:
        self.batches: list[list[Datum]] = []

    @staticmethod
    def nats(token: int) -> float:
        if token == STOP:
            return 4.0
        return 1.0 if chr(token).isdigit() else 2.0

    def __call__(self, batch: Sequence[Datum]) -> Awaitable[ForwardResult]:
        self.batches.append(list(batch))
        logprobs = tuple(
            np.asarray([-self.nats(int(token)) for token in datum.target_tokens], dtype=np.float32)
            for datum in batch
        )

        async def result() -> ForwardResult:
            return ForwardResult(logprobs, 0.0)

        return asyncio.ensure_future(result())


def score(tmp_path: Path, rows: Sequence[Row], forward: Any = None, **options: Any) -> Scores:
    events: list[Event] = options.pop("events", [])
    max_tokens = options.pop("max_tokens", None)

    async def work() -> Scores:
        return await evaluate_nll(
            forward or TableForward(),
            CharRenderer(),
            rows,
            BenchmarkConfig(**options),
            directory=tmp_path / "nll",
            step=3,
            lineage={"run": "r"},
            max_tokens=max_tokens,
            listener=events.append,
        )

    return asyncio.run(work())


def test_the_mean_is_over_target_tokens_with_the_end_of_turn(tmp_path: Path):
    scores = score(tmp_path, [row(0, "12a"), row(1, "3")])
    # 1 + 1 + 2 + 4 nats over 4 tokens, and 1 + 4 over 2
    assert scores.metrics["mean"] == pytest.approx(13 / 6)
    assert scores.metrics["per_byte"] == pytest.approx(13 / 4)
    assert scores.step == 3
    assert "thinking" not in scores.metrics


def test_bytes_are_utf8(tmp_path: Path):
    assert score(tmp_path, [row(0, "é")]).metrics["per_byte"] == pytest.approx(6 / 2)


def test_thinking_and_answer_are_scored_apart(tmp_path: Path):
    scores = score(tmp_path, [row(0, "<think>11</think>222"), row(1, "9")])
    # "<think>" 7 and "</think>" 8 characters at 2 nats, two digits; then 3 digits and the stop
    assert scores.metrics["thinking"] == pytest.approx((15 * 2 + 2) / 17)
    assert scores.metrics["answer"] == pytest.approx((3 + 4) / 4)
    assert scores.record["counts"]["rows_with_thinking"] == 1


def test_only_the_target_carries_loss(tmp_path: Path):
    forward = TableForward()
    score(tmp_path, [row(0, "12")], forward)
    (datum,) = forward.batches[0]
    assert "".join(map(chr, datum.target_tokens[datum.weights == 1])) == "12\0"


def test_the_interval_is_over_questions(tmp_path: Path):
    rows = [row(i, "1" if i < 4 else "abcdef", question=f"q{i // 2}") for i in range(8)]
    record = score(tmp_path, rows).record
    (interval,) = record["intervals"]["mean"]
    assert interval["estimand"] == "questions like these"
    assert interval["low"] < record["metrics"]["mean"] < interval["high"]
    assert record["counts"]["questions"] == 4
    copies = [row(i, "1" if i < 8 else "abcdef", question=f"q{i // 4}") for i in range(16)]
    (more,) = score(tmp_path / "more", copies).record["intervals"]["mean"]
    assert (more["low"], more["high"]) == pytest.approx((interval["low"], interval["high"]))


def test_all_passes_are_queued_at_the_call(tmp_path: Path):
    forward = TableForward()

    async def work() -> None:
        waiting = evaluate_nll(
            forward,
            CharRenderer(),
            [row(i, "1" * 40_000) for i in range(3)],
            BenchmarkConfig(),
            directory=tmp_path / "nll",
            step=0,
            lineage={},
        )
        assert len(forward.batches) == 3
        await waiting

    asyncio.run(work())


def test_a_sampler_serves_as_forward(tmp_path: Path):
    sampler = ScriptedSampler(lambda *_: "", logprob=-0.25)
    scores = score(tmp_path, [row(0, "12a")], forward_of_sampler(sampler))
    assert scores.metrics["mean"] == pytest.approx(0.25)


def test_a_sampler_that_answers_short_is_an_error(tmp_path: Path):
    class Short(ScriptedSampler):
        def logprobs(self, tokens: Sequence[int]) -> Awaitable[tuple[float | None, ...]]:
            return super().logprobs(tokens[:-1])

    with pytest.raises(EngineError, match="log-probabilities"):
        score(tmp_path, [row(0, "12a")], forward_of_sampler(Short(lambda *_: "")))


def test_rows_that_fail_together_are_one_error(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    class Lost(ScriptedSampler):
        def logprobs(self, tokens: Sequence[int]) -> Awaitable[tuple[float | None, ...]]:
            async def lose() -> tuple[float | None, ...]:
                await asyncio.sleep(0)
                raise EngineError("the connection is lost")

            return lose()

    with pytest.raises(EngineError, match="is lost"):
        score(tmp_path, [row(i, "12a") for i in range(3)], forward_of_sampler(Lost(lambda *_: "")))
    gc.collect()
    assert [record.getMessage() for record in caplog.records if record.name == "asyncio"] == []


def test_recorded_rows_are_not_asked_again(tmp_path: Path):
    rows = [row(i, "1" * (i + 1)) for i in range(4)]
    whole = score(tmp_path, rows)
    path = tmp_path / "nll/rows.jsonl"
    path.write_text("".join(line + "\n" for line in path.read_text().splitlines()[:3]))
    forward = TableForward()
    assert score(tmp_path, rows, forward).metrics == pytest.approx(whole.metrics)
    assert sum(map(len, forward.batches)) == 1


def test_what_was_paid_before_the_limit_is_recorded(tmp_path: Path):
    class Limited(TableForward):
        def __call__(self, batch: Sequence[Datum]) -> Awaitable[ForwardResult]:
            if self.batches:
                raise BudgetError("the limit is reached")
            return super().__call__(batch)

    rows = [row(i, "1" * 40_000) for i in range(2)]
    with pytest.raises(BudgetError, match="limit"):
        score(tmp_path, rows, Limited())
    rest = TableForward()
    score(tmp_path, rows, rest)
    assert [len(batch) for batch in rest.batches] == [1]


def test_other_rows_in_the_same_place_are_refused(tmp_path: Path):
    score(tmp_path, [row(0, "1")])
    with pytest.raises(ConflictError, match="data"):
        score(tmp_path, [row(0, "1"), row(1, "2")])


def test_a_limit_chooses_by_seed_and_nests(tmp_path: Path):
    rows = [row(i, "1") for i in range(20)]

    def chosen(limit: int, seed: int, place: str) -> set[str]:
        score(tmp_path / place, rows, limit=limit, seed=seed)
        lines = (tmp_path / place / "nll/rows.jsonl").read_text().splitlines()
        return {json.loads(line)["row_id"] for line in lines}

    small, large = chosen(5, 1, "a"), chosen(10, 1, "b")
    assert len(small) == 5
    assert small < large
    assert chosen(5, 2, "c") != small


def test_rows_over_the_limit_are_counted_and_none_left_is_an_error(tmp_path: Path):
    events: list[Event] = []
    rows = [row(0, "1"), row(1, "1" * 500)]
    scores = score(tmp_path, rows, max_tokens=100, events=events)
    assert scores.record["counts"]["too_long"] == 1
    assert any(isinstance(e, Notice) and e.level == "warning" for e in events)
    with pytest.raises(EmptyResultError, match="1 exceed 100"):
        score(tmp_path / "b", rows[1:], max_tokens=100)
    with pytest.raises(EmptyResultError):
        score(tmp_path / "c", [])


def test_events_tell_the_progress(tmp_path: Path):
    events: list[Event] = []
    score(tmp_path, [row(0, "1"), row(1, "2")], events=events)
    assert [type(event) for event in events] == [EvalStarted, EvalProgress, EvalDone]


def test_domains_are_scored_apart_when_there_are_several(tmp_path: Path):
    record = score(tmp_path, [row(0, "11"), row(1, "ab", domain="code")]).record
    assert record["groups"]["math"]["metrics"]["mean"] == pytest.approx(2.0)
    assert record["groups"]["code"]["metrics"]["mean"] == pytest.approx(8 / 3)
