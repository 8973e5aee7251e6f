"""Stored answers graded anew: changed verdicts and scores stand beside the old ones."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from openthoughts_cli.config.benchmark import BenchmarkConfig
from openthoughts_cli.engine.base import SamplingParams
from openthoughts_cli.errors import ConflictError, NotFoundError, UsageError
from openthoughts_cli.evals.benchmark import benchmark
from openthoughts_cli.evals.records import EvalDirectory
from openthoughts_cli.evals.regrade import regrade_run
from openthoughts_cli.evals.run import evaluate
from openthoughts_cli.places import runs_dir
from openthoughts_cli.runs.layout import RunDirectory
from openthoughts_cli.runs.log import eval_metrics
from tests.conftest import CommandResult
from tests.doubles.scripted_sampler import CharRenderer, ScriptedSampler

GRADER = """
from openthoughts_cli.evals.benchmark import Benchmark, Grade
from openthoughts_cli.problems.load import load_problems, HubPlace
from openthoughts_cli.problems.problem import Problem

class Own(Benchmark):
    name = "own"
    def read(self, row, where): return Problem(row["id"], row["q"], row["a"])
    def load(self, settings):
        return load_problems(self.name, self.read, settings, HubPlace("a/b", "c", "main"))
    def grade(self, problem, text):
        right = RULE
        return Grade(text, right, "correct" if right else "wrong")
"""
STRICT, LENIENT = "text == problem.answer", "text.lower() == problem.answer"


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    """A run with one evaluation, whose grader told "Yes" from "yes"."""
    grader = tmp_path / "own.py"
    grader.write_text(GRADER.replace("RULE", STRICT))
    data = tmp_path / "problems.jsonl"
    rows = [{"id": f"p{i}", "q": f"<{i}>", "a": "yes"} for i in range(4)]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = RunDirectory(runs_dir() / "r")
    found.path.mkdir(parents=True)
    found.write_config({"x": 1}, {"kind": "eval"})

    def script(prompt: str, index: int, params: SamplingParams) -> str:
        return "Yes" if "<0>" in prompt and index == 0 else "yes" if "<1>" in prompt else "no"

    asyncio.run(
        evaluate(
            benchmark(f"{grader}:Own"),
            ScriptedSampler(script),
            CharRenderer(),
            BenchmarkConfig(n=2, data=str(data)),
            directory=found.eval_dir("own", 3),
            step=3,
            lineage={},
        )
    )
    return found


def change_grader(tmp_path: Path, rule: str) -> None:
    (tmp_path / "own.py").write_text(GRADER.replace("RULE", rule))


def test_an_unchanged_grader_changes_nothing(run: RunDirectory):
    place = run.eval_dir("own", 3)
    before = {path: path.read_bytes() for path in place.iterdir()}
    (result,) = regrade_run(run, benchmarks=["own"])
    assert (result.answers, result.changed, result.kept) == (8, (), None)
    assert {path: path.read_bytes() for path in place.iterdir()} == before


def test_a_changed_grader_adds_verdicts_and_scores(run: RunDirectory, tmp_path: Path):
    place = EvalDirectory(run.eval_dir("own", 3))
    stored, old_scores = place.samples_path.read_bytes(), place.scores_path.read_bytes()
    change_grader(tmp_path, LENIENT)
    (result,) = regrade_run(run, benchmarks=["own"])
    assert [tuple(entry) for entry in result.changed] == [("p0", 0, "wrong", "correct")]
    assert (result.before["mean@1"], result.after["mean@1"]) == (0.25, 0.375)
    assert place.samples_path.read_bytes().startswith(stored)
    assert len(place.samples_path.read_bytes().splitlines()) == 9
    assert result.kept is not None
    assert result.kept.read_bytes() == old_scores
    scores = place.scores()
    assert scores["metrics"]["mean@1"] == 0.375
    assert scores["regraded"][0]["before"] == "scores-1.json"
    assert eval_metrics(run)["own"][-1][1]["mean@1"] == 0.375
    grade = place.samples()["p0"][0].grade
    assert grade is not None
    assert grade.correct

    change_grader(tmp_path, STRICT)
    (back,) = regrade_run(run, benchmarks=["own"])
    assert back.kept is not None
    assert back.kept.name == "scores-2.json"
    assert [entry["before"] for entry in place.scores()["regraded"]] == [
        "scores-1.json",
        "scores-2.json",
    ]


def test_other_problems_than_those_asked_are_refused(run: RunDirectory, tmp_path: Path):
    data = tmp_path / "problems.jsonl"
    data.write_text(data.read_text().replace('"yes"', '"no"'))
    before = (run.eval_dir("own", 3) / "samples.jsonl").read_bytes()
    with pytest.raises(ConflictError, match="no longer those that were asked"):
        regrade_run(run, benchmarks=["own"])
    assert (run.eval_dir("own", 3) / "samples.jsonl").read_bytes() == before


def test_a_run_without_answers_is_named(run: RunDirectory):
    with pytest.raises(NotFoundError, match="no finished evaluation of gpqa"):
        regrade_run(run, benchmarks=["gpqa"])
    empty = RunDirectory(runs_dir() / "empty")
    with pytest.raises(NotFoundError, match="no finished evaluation"):
        regrade_run(empty)


def test_the_command_tells_what_changed(
    run: RunDirectory, tmp_path: Path, ot: Callable[..., CommandResult]
):
    change_grader(tmp_path, LENIENT)
    shown = ot("runs", "regrade", "r", "-b", "own")
    assert shown.code == 0, shown.err
    assert "1 of 8" in shown.out
    assert "own/step-3/scores-1.json" in shown.out
    record = json.loads(ot("runs", "regrade", "r", "-b", "own", "--json").out)
    assert record["results"][0]["changed"] == []
    assert record["results"][0]["kept"] is None


def test_code_that_a_record_names_is_run_only_when_its_benchmark_is_named(
    run: RunDirectory, tmp_path: Path
) -> None:
    """A run may be another's: its config.json must not be able to run a file of its choice."""
    trap = tmp_path / "own.py"
    trap.write_text(f"import os\nos.mkdir({str(tmp_path / 'ran')!r})\n" + trap.read_text())
    with pytest.raises(UsageError, match=r"own\.py:Own, which would be run") as caught:
        regrade_run(run)
    assert "--benchmark own" in str(caught.value.hint)
    assert not (tmp_path / "ran").exists()
    regrade_run(run, benchmarks=["own"])
    assert (tmp_path / "ran").exists()
