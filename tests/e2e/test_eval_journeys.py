"""`ot eval`, `ot grade` and `ot compare` as processes: every benchmark, every checkpoint, every cut."""

from __future__ import annotations

import asyncio
import base64
import json
import pickle
import signal
import time
import zlib
from collections import Counter
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from openthoughts_cli.engine.base import ModelInfo
from tests.doubles.loopback_http import HttpRequest, HttpResponse
from tests.doubles.memory_engine import MemoryEngine
from tests.doubles.tinker_server import KEY, TinkerServer
from tests.e2e.conftest import RunOt, own_environment
from tests.e2e.test_recipe import cut_subset, lines
from tests.tools.warm_ot import Started, WarmOt

pytestmark = [pytest.mark.slow]

QWEN = "Qwen/Qwen3-4B-Instruct-2507"
AIME_2024 = Path(__file__).parents[2].parent / "shared/data/aime2024.jsonl"


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def aime_rows(count: int) -> list[dict[str, Any]]:
    return [
        {"id": f"p{i}", "problem": f"Find {i} + 1.", "answer": f"{i + 1}"} for i in range(count)
    ]


def gpqa_rows(count: int) -> list[dict[str, Any]]:
    wrong = {f"Incorrect Answer {i}": f"wrong {i}" for i in (1, 2, 3)}
    about = {"Subdomain": "Physics", "Correct Answer": "right", **wrong}
    return [{"Question": f"Which {i}?", "Record ID": f"rec{i}", **about} for i in range(count)]


def lcb_rows(count: int) -> list[dict[str, Any]]:
    tests = json.dumps([{"input": "2\n", "output": "4\n", "testtype": "stdin"}])
    hidden = base64.b64encode(zlib.compress(pickle.dumps(tests))).decode()
    about = {
        "question_content": "Print twice the number.",
        "starter_code": "",
        "public_test_cases": tests,
        "private_test_cases": hidden,
        "metadata": "{}",
        "difficulty": "easy",
        "platform": "atcoder",
        "contest_date": "2024-07-01T00:00:00",
    }
    return [{"question_id": f"abc_{i}", **about} for i in range(count)]


@pytest.mark.torch
def test_every_benchmark_at_once_on_the_local_engine(
    run_ot: RunOt, tiny_model: Path, tmp_path: Path
) -> None:
    files = {"aime25": aime_rows(4), "gpqa": gpqa_rows(4), "livecodebench": lcb_rows(2)}
    data = [
        word
        for name, rows in files.items()
        for word in ("--data", f"{name}={write_rows(tmp_path / f'{name}.jsonl', rows)}")
    ]
    cut_subset(run_ot, tiny_model)
    ended = run_ot(
        "eval", "-b", "aime25", "-b", "gpqa", "-b", "livecodebench", "-b", "arithmetic", "-b", "nll",
        "--subset", "small", "--engine", "local", "--model", tiny_model, *data, "--n", 2, "--k", 1,
        "--k", 2, "--limit", 3, "--max-tokens", 12, "--name", "all", "--json",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    results = {found["benchmark"]: found for found in json.loads(ended.out)["results"]}
    assert set(results) == {*files, "arithmetic", "nll"}
    for name in (*files, "arithmetic"):
        place = tmp_path / "runs/all/evals" / name / "step-0"
        assert {file.name for file in place.iterdir()} == {
            "config.json", "samples.jsonl", "scores.json",
        }  # fmt: skip
        scores = json.loads((place / "scores.json").read_text())
        assert scores["counts"]["answers"] == 2 * scores["counts"]["problems"]
        assert set(scores["metrics"]) >= {"mean@1", "pass@1", "pass@2", "truncated"}
    lcb = json.loads((tmp_path / "runs/all/evals/livecodebench/step-0/config.json").read_text())
    assert lcb["identity"]["data"]["window"] == "2024-06-01..2025-01-31"
    assert lcb["identity"]["sandbox"]["unsafe"] is False
    assert results["nll"]["metrics"]["per_byte"] > 0


@pytest.mark.torch
def test_all_checkpoints_of_a_run_and_their_comparison(
    run_ot: RunOt, tiny_model: Path, tmp_path: Path
) -> None:
    cut_subset(run_ot, tiny_model)
    trained = run_ot(
        "train", "--subset", "small", "--engine", "local", "--model", tiny_model, "--epochs", 1,
        "--batch-size", 6, "--run-name", "first", "--learning-rate", "1e-2", "--set",
        "evals={nll: {every: 2, at_start: true}}",
    )  # fmt: skip
    assert trained.code == 0, trained.err
    ended = run_ot(
        "eval", "--run", "first", "--checkpoint", "all", "-b", "arithmetic",
        "--limit", 3, "--n", 1, "--max-tokens", 8, "--json",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    results = json.loads(ended.out)["results"]
    checkpoints = lines(tmp_path / "runs/first/checkpoints.jsonl")
    steps = sorted({int(str(line["batch"])) for line in checkpoints if line["sampler_path"]})
    assert len(steps) > 1
    assert [(found["benchmark"], found["step"]) for found in results] == [
        ("arithmetic", step) for step in steps
    ]
    compared = run_ot("compare", f"first@{steps[0]}", "first", "--json")
    assert compared.code == 0, compared.err
    nll = next(e for e in json.loads(compared.out)["evals"] if e["benchmark"] == "nll")
    assert nll["differences"]["mean"]["difference"] < 0
    adapter = checkpoints[-1]["sampler_path"]
    alone = run_ot(
        "eval", "--checkpoint", adapter, "--model", tiny_model, "--engine", "local", "-b",
        "arithmetic", "--limit", 3, "--n", 1, "--max-tokens", 8, "--name", "alone", "--json",
    )  # fmt: skip
    assert alone.code == 0, alone.err
    same = run_ot("compare", "first", "alone", "-b", "arithmetic", "--json")
    assert same.code == 0, same.err
    regraded = run_ot("runs", "regrade", "first", "--json")
    assert regraded.code == 0, regraded.err
    assert {found["kept"] for found in json.loads(regraded.out)["results"]} == {None}


class HoldingServer(TinkerServer):
    """Answers the first `free` requests for samples; the others wait until it is let go."""

    def __init__(self, free: int) -> None:
        served = (ModelInfo(QWEN, 4096),)
        super().__init__(lambda: MemoryEngine(served, vocab_size=151_936))
        self.free = free
        self.let_go = False
        self.asked: list[dict[str, Any]] = []

    async def _respond(self, request: HttpRequest) -> HttpResponse:
        if request.path.endswith("/asample"):
            self.asked.append(request.json())
            number = len(self.asked)
            while number > self.free and not self.let_go:
                await asyncio.sleep(0.05)
        return await super()._respond(request)

    def prompts(self) -> list[tuple[tuple[int, ...], int]]:
        """Each request for samples so far: its prompt's tokens and how many it wants."""
        return [
            (tuple(t for chunk in a["prompt"]["chunks"] for t in chunk["tokens"]), a["num_samples"])
            for a in self.asked
        ]


@pytest.fixture
def holding() -> Generator[HoldingServer]:
    server = HoldingServer(free=3)
    with server:
        yield server
        server.let_go = True


@pytest.mark.parametrize("cut", [signal.SIGKILL, signal.SIGINT])
def test_an_interrupted_evaluation_asks_for_no_recorded_sample_again(
    holding: HoldingServer, warm: WarmOt, tmp_path: Path, cut: signal.Signals
) -> None:
    data = write_rows(tmp_path / "aime.jsonl", aime_rows(8))
    command = [
        "eval", "-b", "aime25", "--model", QWEN,
        "--data", f"aime25={data}", "--n", "2", "--max-tokens", "8", "--name", "it", "--yes",
    ]  # fmt: skip
    environment = {**own_environment(), "TINKER_BASE_URL": holding.url, "TINKER_API_KEY": KEY}

    def start() -> Started:
        return warm.start(command, cwd=tmp_path, env=environment)

    samples = tmp_path / "runs/it/evals/aime25/step-0/samples.jsonl"
    first = start()
    deadline = time.monotonic() + 120
    while not (samples.is_file() and len(lines(samples)) >= 2 * holding.free):
        assert first.poll() is None, first.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    first.send_signal(cut)
    _, said = first.communicate(timeout=60)
    assert first.returncode == (130 if cut == signal.SIGINT else -9), said
    recorded = {line["problem"] for line in lines(samples)}
    assert len(recorded) == holding.free
    before = holding.prompts()
    answered = {prompt for prompt, _ in before[: holding.free]}

    holding.let_go = True
    holding.asked.clear()
    second = start()
    out, said = second.communicate(timeout=120)
    assert second.returncode == 0, said
    assert "6 of 16 answers were recorded already" in said
    again = holding.prompts()
    assert len(again) == 8 - holding.free
    assert answered.isdisjoint(prompt for prompt, _ in again)
    assert {count for _, count in again} == {2}
    assert Counter(line["problem"] for line in lines(samples)) == Counter(
        {f"p{i}": 2 for i in range(8)}
    )
    assert "mean@1" in out
    assert holding.violations == []


@pytest.mark.skipif(not AIME_2024.exists(), reason="the shared data are not here")
def test_stored_answers_to_the_real_aime_2024_are_graded(run_ot: RunOt, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in AIME_2024.read_text().splitlines()]
    answers = [int(row["answer"]) for row in rows]
    ways = {
        "right": lambda n: (
            f"<think>maybe \\boxed{{{(n + 1) % 1000}}}</think>So $\\boxed{{{n:03d}}}$."
        ),
        "wrong": lambda n: f"\\boxed{{{n}}} or rather \\boxed{{{(n + 1) % 1000}}}",
        "unfinished": lambda n: f"<think>it is \\boxed{{{n}}}, but let me check",
        "no box": lambda n: f"Some numbers: 12, 3, {n}",
    }
    stored = [
        {"problem": row, "completion": way(answer)}
        for way in ways.values()
        for row, answer in zip(rows, answers, strict=True)
    ]
    path = write_rows(tmp_path / "answers.jsonl", stored)
    ended = run_ot("grade", "aime25", "--answers", path, "--json")
    assert ended.code == 0, ended.err
    *graded, summary = map(json.loads, ended.out.splitlines())
    verdicts = [found["verdict"] for found in graded]
    expected = ["correct", "wrong", "no-answer", "no-answer"]
    assert [set(verdicts[i * 30 : i * 30 + 30]) for i in range(4)] == [{v} for v in expected]
    assert (summary["correct"], summary["answers"]) == (30, 120)
