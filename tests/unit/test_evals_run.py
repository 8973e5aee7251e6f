"""An evaluation from prompts to scores.json: recorded, continued, and honest about errors."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from openthoughts_cli.config.benchmark import BenchmarkConfig
from openthoughts_cli.engine.base import SamplingParams
from openthoughts_cli.errors import (
    AuthError,
    BudgetError,
    ConflictError,
    EmptyResultError,
    EngineError,
    ModelError,
    StorageError,
)
from openthoughts_cli.evals.aime25 import Aime25
from openthoughts_cli.evals.benchmark import Benchmark, Grade
from openthoughts_cli.evals.records import Scores
from openthoughts_cli.evals.run import evaluate
from openthoughts_cli.events import EvalDone, EvalProgress, EvalStarted, Event, Notice
from openthoughts_cli.problems.problem import Problem
from tests.doubles.clocks import VirtualClock
from tests.doubles.scripted_sampler import Asked, CharRenderer, ScriptedSampler


def write_problems(path: Path, count: int) -> Path:
    rows = [{"id": str(i), "problem": f"What is <{i}>?", "answer": str(i)} for i in range(count)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def number_of(prompt: str) -> int:
    return int(prompt.split("<")[1].split(">")[0])


def always_right(prompt: str, index: int, params: SamplingParams) -> str:
    return f"\\boxed{{{number_of(prompt)}}}"


def right_once(prompt: str, index: int, params: SamplingParams) -> str:
    return f"\\boxed{{{number_of(prompt) if index == 0 else 999}}}"


def run(
    tmp_path: Path,
    sampler: ScriptedSampler,
    *,
    count: int = 4,
    benchmark: Benchmark | None = None,
    events: list[Event] | None = None,
    lineage: Mapping[str, Any] | None = None,
    concurrency: int = 64,
    **settings: Any,
) -> Scores:
    data = write_problems(tmp_path / "problems.jsonl", count)
    config = BenchmarkConfig.model_validate({"n": 3, "data": str(data), **settings})
    return asyncio.run(
        evaluate(
            benchmark or Aime25(),
            sampler,
            CharRenderer(),
            config,
            directory=tmp_path / "evals/aime25/step-0",
            step=0,
            lineage=lineage or {"model": "scripted/model"},
            listener=events.append if events is not None else lambda event: None,
            concurrency=concurrency,
        )
    )


def lines(tmp_path: Path, name: str = "samples.jsonl") -> list[dict[str, Any]]:
    text = (tmp_path / "evals/aime25/step-0" / name).read_text()
    return [json.loads(line) for line in text.splitlines()]


def read(tmp_path: Path, name: str) -> dict[str, Any]:
    return json.loads((tmp_path / "evals/aime25/step-0" / name).read_text())


def test_scores_follow_the_definitions(tmp_path: Path):
    scores = run(tmp_path, ScriptedSampler(right_once), k=(1, 3))
    assert scores.metrics["mean@1"] == pytest.approx(1 / 3)
    assert scores.metrics["pass@1"] == pytest.approx(1 / 3)
    assert scores.metrics["pass@3"] == 1.0
    assert scores.metrics["maj@3"] == 0.0
    assert scores.metrics["truncated"] == 0.0
    assert scores.metrics["errors"] == 0.0
    like, same = scores.record["intervals"]["mean@1"]
    assert like["estimand"] == "problems like these"
    assert like["low"] <= 1 / 3 <= like["high"]
    assert same["estimand"] == "these problems"


def test_each_problem_is_one_request_of_n_samples(tmp_path: Path):
    sampler = ScriptedSampler(always_right)
    run(tmp_path, sampler, temperature=0.9, top_p=0.8, max_tokens=100)
    assert len(sampler.requests) == 4
    assert {(r.params.n, r.params.temperature, r.params.top_p) for r in sampler.requests} == {
        (3, 0.9, 0.8)
    }
    assert all(r.params.stop == (0,) for r in sampler.requests)
    assert len({r.params.seed for r in sampler.requests}) == 4


def test_the_three_files_hold_everything(tmp_path: Path):
    run(tmp_path, ScriptedSampler(always_right), lineage={"run": "r1", "sampler_path": "p"})
    config = read(tmp_path, "config.json")["identity"]
    assert config["lineage"] == {"run": "r1", "sampler_path": "p"}
    assert config["renderer"]["digest"] == "d" * 32
    assert "{problem}" in config["prompt"]
    assert config["sampling"]["n"] == 3
    assert config["data"]["problems"] == 4
    assert len(config["data"]["digest"]) == 32
    records = lines(tmp_path)
    assert len(records) == 12
    assert set(records[0]) >= {
        "problem", "sample", "completion", "parsed", "correct", "verdict", "diagnosis", "tokens",
        "finish_reason",
    }  # fmt: skip
    scores = read(tmp_path, "scores.json")
    assert scores["metrics"]["mean@1"] == 1.0
    assert [problem["correct"] for problem in scores["problems"]] == [3, 3, 3, 3]


def test_a_finished_evaluation_asks_nothing_again(tmp_path: Path):
    first = run(tmp_path, ScriptedSampler(always_right))
    again = ScriptedSampler(always_right)
    assert run(tmp_path, again).metrics == first.metrics
    assert again.requests == []


def test_another_k_is_scored_from_the_same_answers(tmp_path: Path):
    run(tmp_path, ScriptedSampler(right_once))
    again = ScriptedSampler(right_once)
    assert run(tmp_path, again, k=2).metrics["pass@2"] == pytest.approx(2 / 3)
    assert again.requests == []


def test_recorded_samples_are_never_asked_again(tmp_path: Path):
    run(tmp_path, ScriptedSampler(always_right))
    path = tmp_path / "evals/aime25/step-0/samples.jsonl"
    kept = [r for r in lines(tmp_path) if (r["problem"], r["sample"]) not in {("1", 0), ("1", 2)}]
    kept = [r for r in kept if r["problem"] != "3"]
    seeds = {r["seed"] for r in kept if r["problem"] == "1"}
    torn = json.dumps({"problem": "3", "sample": 0, "completion": "x"})[:-9]
    path.write_text("".join(json.dumps(r) + "\n" for r in kept) + torn)
    again = ScriptedSampler(always_right)
    scores = run(tmp_path, again)
    asked = {number_of(r.prompt): r.params for r in again.requests}
    assert {number: params.n for number, params in asked.items()} == {1: 2, 3: 3}
    assert asked[1].seed is not None
    assert Counter((r["problem"], r["sample"]) for r in lines_whole(path)) == Counter(
        (str(p), s) for p in range(4) for s in range(3)
    )
    assert scores.metrics["mean@1"] == 1.0
    assert seeds


def lines_whole(path: Path) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = []
    for line in path.read_text().splitlines():
        try:
            records.append(json.loads(line))
        except ValueError:
            continue
    return records


def test_a_partly_recorded_problem_is_asked_with_another_seed(tmp_path: Path):
    first = ScriptedSampler(always_right)
    run(tmp_path, first, count=1)
    path = tmp_path / "evals/aime25/step-0/samples.jsonl"
    path.write_text(path.read_text().splitlines()[0] + "\n")
    again = ScriptedSampler(always_right)
    run(tmp_path, again, count=1)
    assert again.requests[0].params.n == 2
    assert again.requests[0].params.seed != first.requests[0].params.seed


def test_an_interrupted_evaluation_keeps_what_came(tmp_path: Path):
    async def interrupted() -> None:
        data = write_problems(tmp_path / "problems.jsonl", 4)
        sampler = ScriptedSampler(always_right, latency_s=0.01)
        settings = BenchmarkConfig(n=3, data=str(data))
        task = asyncio.create_task(
            evaluate(
                Aime25(),
                sampler,
                CharRenderer(),
                settings,
                directory=tmp_path / "evals/aime25/step-0",
                step=0,
                lineage={"model": "scripted/model"},
                concurrency=1,
            )
        )
        while len(sampler.requests) < 3:
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0.03)
        assert sampler.in_flight == 0

    asyncio.run(interrupted())
    recorded = {record["problem"] for record in lines(tmp_path)}
    assert 1 <= len(recorded) <= 3
    again = ScriptedSampler(always_right)
    assert run(tmp_path, again).metrics["mean@1"] == 1.0
    assert recorded.isdisjoint(str(number_of(r.prompt)) for r in again.requests)


@pytest.mark.parametrize(
    ("change", "key"),
    [({"n": 4}, "sampling"), ({"temperature": 0.1}, "sampling"), ({"limit": 2}, "data")],
)
def test_another_evaluation_in_the_same_place_is_refused(
    tmp_path: Path, change: dict[str, Any], key: str
):
    run(tmp_path, ScriptedSampler(always_right))
    before = lines(tmp_path)
    with pytest.raises(ConflictError, match=key):
        run(tmp_path, ScriptedSampler(always_right), **change)
    with pytest.raises(ConflictError, match="lineage"):
        run(tmp_path, ScriptedSampler(always_right), lineage={"run": "another"})
    assert lines(tmp_path) == before


class Elsewhere(Aime25):
    """Says that it grades in a sandbox of this version."""

    version = "bubblewrap 0.8.0 (system)"
    unsafe = False

    def describe(self, settings: BenchmarkConfig) -> dict[str, Any]:
        sandbox = {"isolation": self.version, "python": "3.11.7", "unsafe": self.unsafe}
        return {"sandbox": sandbox}


def test_on_another_machine_it_goes_on_and_both_are_recorded(tmp_path: Path):
    first, second = Elsewhere(), Elsewhere()
    second.version = "bubblewrap 0.11.0 (PyPI)"
    run(tmp_path, ScriptedSampler(always_right), benchmark=first)
    for _ in range(2):
        again = ScriptedSampler(always_right)
        run(tmp_path, again, benchmark=second)
        assert again.requests == []
    config = read(tmp_path, "config.json")
    assert config["identity"]["sandbox"]["isolation"] == first.version
    assert [entry["sandbox"]["isolation"] for entry in config["continued"]] == [second.version]
    second.unsafe = True
    with pytest.raises(ConflictError, match="sandbox"):
        run(tmp_path, ScriptedSampler(always_right), benchmark=second)


def test_the_same_problems_from_another_place_go_on(tmp_path: Path):
    run(tmp_path, ScriptedSampler(always_right))
    copy = write_problems(tmp_path / "copy.jsonl", 4)
    again = ScriptedSampler(always_right)
    run(tmp_path, again, data=str(copy))
    assert again.requests == []


def test_a_failed_request_is_an_error_and_not_a_wrong_answer(tmp_path: Path):
    def script(prompt: str, index: int, params: SamplingParams) -> str | Exception:
        return (
            EngineError("a worker died")
            if number_of(prompt) == 2
            else always_right(prompt, 0, params)
        )

    events: list[Event] = []
    scores = run(tmp_path, ScriptedSampler(script), events=events)
    assert scores.metrics["mean@1"] == 1.0
    assert scores.metrics["errors"] == 3.0
    assert scores.record["counts"]["unanswered_problems"] == 1
    assert lines(tmp_path, "errors.jsonl")[0]["message"] == "a worker died"
    assert all(record["problem"] != "2" for record in lines(tmp_path))
    assert any(isinstance(e, Notice) and "3 answers are missing" in e.text for e in events)
    again = ScriptedSampler(always_right)
    assert run(tmp_path, again).metrics["errors"] == 0.0
    assert [number_of(r.prompt) for r in again.requests] == [2]


def test_no_answer_at_all_is_an_error_and_never_a_score(tmp_path: Path):
    sampler = ScriptedSampler(lambda *_: EngineError("the service is down", hint="try later"))
    with pytest.raises(EngineError, match="the service is down") as caught:
        run(tmp_path, sampler)
    assert caught.value.hint == "try later"
    assert not (tmp_path / "evals/aime25/step-0/scores.json").exists()


def test_refused_credentials_stop_the_evaluation(tmp_path: Path):
    sampler = ScriptedSampler(lambda *_: AuthError("the key is refused"))
    with pytest.raises(AuthError):
        run(tmp_path, sampler, concurrency=1)
    assert len(sampler.requests) == 1


def test_at_the_budget_what_is_in_flight_is_kept(tmp_path: Path):
    def refuse(asked: Asked) -> None:
        if number_of(asked.prompt) >= 2:
            raise BudgetError("the limit is reached")

    sampler = ScriptedSampler(always_right, latency_s=0.01, refuse=refuse)
    with pytest.raises(BudgetError):
        run(tmp_path, sampler)
    assert {record["problem"] for record in lines(tmp_path)} == {"0", "1"}


def test_money_that_is_only_reserved_is_waited_for(tmp_path: Path):
    sampler = ScriptedSampler(always_right, latency_s=0.002)
    refused: list[str] = []

    def refuse(asked: Asked) -> None:
        if sampler.in_flight >= 2:
            refused.append(asked.prompt)
            raise BudgetError("reserved by requests in flight")

    sampler.refuse = refuse
    assert run(tmp_path, sampler, count=12).metrics["errors"] == 0.0
    assert len(refused) >= 10
    assert sampler.most_in_flight == 2


def test_no_more_requests_than_allowed_are_in_flight(tmp_path: Path):
    sampler = ScriptedSampler(always_right, latency_s=0.002)
    run(tmp_path, sampler, count=12, concurrency=3)
    assert sampler.most_in_flight == 3


def test_truncated_answers_are_counted(tmp_path: Path):
    def script(prompt: str, index: int, params: SamplingParams) -> str:
        return "on and on and on" if index == 0 else always_right(prompt, index, params)

    scores = run(tmp_path, ScriptedSampler(script), max_tokens=11)
    assert scores.metrics["truncated"] == pytest.approx(1 / 3)
    assert scores.record["counts"]["truncated"] == 4


def test_max_tokens_is_capped_by_the_context(tmp_path: Path):
    sampler = ScriptedSampler(always_right, context_tokens=200)
    run(tmp_path, sampler, max_tokens=5000)
    for request in sampler.requests:
        assert request.params.max_tokens == 200 - len(request.prompt)


def test_a_prompt_that_fills_the_context_is_refused_before_anything_is_asked(tmp_path: Path):
    sampler = ScriptedSampler(always_right, context_tokens=50)
    with pytest.raises(ModelError, match="leaves no room"):
        run(tmp_path, sampler)
    assert sampler.requests == []
    assert not (tmp_path / "evals").exists()


def test_temperature_0_with_several_samples_draws_a_warning(tmp_path: Path):
    events: list[Event] = []
    run(tmp_path, ScriptedSampler(always_right), events=events, temperature=0)
    assert [e.level for e in events if isinstance(e, Notice)] == ["warning"]


def test_events_tell_the_progress(tmp_path: Path):
    events: list[Event] = []
    run(tmp_path, ScriptedSampler(right_once), events=events)
    assert isinstance(events[0], EvalStarted)
    assert events[0].total == 12
    progress = [event for event in events if isinstance(event, EvalProgress)]
    assert progress[-1].done == 12
    assert progress[-1].metrics["mean@1"] == pytest.approx(1 / 3)
    assert isinstance(events[-1], EvalDone)
    assert events[-1].record["metrics"]["pass@3"] == 1.0


def test_no_problems_are_an_error(tmp_path: Path):
    with pytest.raises(EmptyResultError):
        run(tmp_path, ScriptedSampler(always_right), count=0)


class Slow(Aime25):
    """Grades in threads, and refuses where told to."""

    name = "slow"
    grading_threads = 4
    broken = False
    most = 0
    now = 0
    lock = threading.Lock()

    def grade(self, problem: Problem, text: str) -> Grade:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        time.sleep(0.01)
        with self.lock:
            self.now -= 1
        if self.broken:
            raise StorageError("no space for the sandbox")
        return super().grade(problem, text)

    def own_template(self) -> str:
        return "{problem}"


def test_slow_graders_run_beside_each_other_and_after_the_answer_is_recorded(tmp_path: Path):
    slow = Slow()
    events: list[Event] = []
    scores = run(tmp_path, ScriptedSampler(always_right), benchmark=slow, events=events)
    progress = [event for event in events if isinstance(event, EvalProgress)]
    assert any(event.metrics["sampled"] > event.done for event in progress)
    assert (progress[-1].metrics["sampled"], progress[-1].done) == (12, 12)
    assert scores.metrics["mean@1"] == 1.0
    assert 1 < slow.most <= 4
    records = lines(tmp_path)
    assert sum("completion" in r for r in records) == 12
    assert sum("verdict" in r for r in records) == 12


def test_an_answer_that_could_not_be_graded_is_graded_later_and_not_asked_again(tmp_path: Path):
    broken = Slow()
    broken.broken = True
    with pytest.raises(EngineError, match="no space for the sandbox"):
        run(tmp_path, ScriptedSampler(always_right), benchmark=broken)
    again = ScriptedSampler(always_right)
    assert run(tmp_path, again, benchmark=Slow()).metrics["mean@1"] == 1.0
    assert again.requests == []


def test_scores_by_group(tmp_path: Path):
    data = tmp_path / "grouped.jsonl"
    rows = [
        {
            "id": i,
            "problem": f"What is <{i}>?",
            "answer": i,
            "difficulty": "easy" if i < 2 else "hard",
        }
        for i in range(4)
    ]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))

    def script(prompt: str, index: int, params: SamplingParams) -> str:
        return always_right(prompt, index, params) if number_of(prompt) < 2 else "no idea"

    scores = run(tmp_path, ScriptedSampler(script), data=str(data))
    groups = scores.record["groups"]
    assert {name: group["metrics"]["mean@1"] for name, group in groups.items()} == {
        "easy": 1.0,
        "hard": 0.0,
    }
    assert groups["easy"]["problems"] == 2
    assert groups["hard"]["intervals"]["mean@1"][0]["high"] > 0.5
    assert scores.metrics["no_answer"] == 0.5


def test_thirty_problems_take_hardly_longer_than_the_slowest_chain(tmp_path: Path):
    clock = VirtualClock()
    sampler = ScriptedSampler(always_right, latency_s=60, clock=clock)
    run(tmp_path, sampler, count=30, n=7)
    assert clock.now() < 60 * 3
