"""`ot grade` as a function: one record a line, a summary, and errors by file and line."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path
from typing import Any

import pytest

from openthoughts_cli.errors import EmptyResultError, NotFoundError, SchemaError, StorageError
from openthoughts_cli.evals.aime25 import Aime25
from openthoughts_cli.evals.benchmark import Benchmark, Grade, benchmark
from openthoughts_cli.evals.stored import GradeSummary, grade_file, grade_stored
from openthoughts_cli.problems.problem import Problem
from tests.growth import NEARLY_LINEAR, growth

PROBLEM = {"problem": "What is 20 + 5?", "answer": "025"}


def write(tmp_path: Path, *lines: Any) -> Path:
    path = tmp_path / "answers.jsonl"
    path.write_text(
        "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    )
    return path


def answer(completion: str, problem: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"problem": problem or PROBLEM, "completion": completion}


def test_each_line_gives_one_record_in_order(tmp_path: Path):
    path = write(
        tmp_path, answer(r"\boxed{25}"), "", answer(r"\boxed{7}"), answer("25"), answer("<think>")
    )
    summary = GradeSummary("aime25")
    records = list(grade_stored(benchmark("aime25"), path, summary))
    assert [(r["index"], r["parsed"], r["correct"], r["verdict"]) for r in records] == [
        (0, "25", True, "correct"),
        (1, "7", False, "wrong"),
        (2, None, False, "no-answer"),
        (3, None, False, "no-answer"),
    ]
    assert list(records[0]) == ["index", "parsed", "correct", "verdict", "diagnosis"]
    assert summary.as_record() == {
        "benchmark": "aime25",
        "answers": 4,
        "correct": 1,
        "wrong": 3,
        "not_graded": 0,
        "accuracy": 0.25,
        "verdicts": {"correct": 1, "no-answer": 2, "wrong": 1},
    }


def test_gpqa_rows_have_the_hubs_columns(tmp_path: Path):
    row = {
        "Question": "q",
        "Correct Answer": "yes",
        "Incorrect Answer 1": "a",
        "Incorrect Answer 2": "b",
        "Incorrect Answer 3": "c",
        "Record ID": "rec1",
    }
    kind = benchmark("gpqa")
    letter = kind.read(row, "here").answer
    path = write(tmp_path, answer(f"\\boxed{{{letter}}}", row), answer(f"Is it {letter}?", row))
    assert [r["correct"] for r in grade_stored(kind, path)] == [True, False]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "not JSON"),
        ("[]", "expected a JSON object"),
        ({"completion": "x"}, "'problem' must be a row"),
        ({"problem": "p", "completion": "x"}, "'problem' must be a row"),
        ({"problem": PROBLEM}, "'completion' must be text"),
        ({"problem": PROBLEM, "completion": None}, "'completion' must be text"),
        ({"problem": {"problem": "p"}, "completion": "x"}, "'answer' is missing"),
    ],
)
def test_a_malformed_line_is_named(tmp_path: Path, line: Any, message: str):
    path = write(tmp_path, answer(r"\boxed{25}"), line)
    graded = grade_stored(benchmark("aime25"), path)
    assert next(graded)["correct"]
    with pytest.raises(SchemaError) as caught:
        next(graded)
    assert caught.value.message.startswith(f"{path}:2: ")
    assert message in caught.value.message


def test_nothing_to_grade_is_an_error(tmp_path: Path):
    with pytest.raises(EmptyResultError):
        list(grade_stored(benchmark("aime25"), write(tmp_path)))
    with pytest.raises(NotFoundError):
        list(grade_stored(benchmark("aime25"), tmp_path / "none.jsonl"))


class Threaded(Aime25):
    grading_threads = 3

    def grade(self, problem: Problem, text: str) -> Grade:
        time.sleep(0.01 if "7" in text else 0.0)
        if "broken" in text:
            raise StorageError("the disk is full")
        return super().grade(problem, text)


def test_slow_graders_keep_the_order_and_their_failures_are_null(tmp_path: Path):
    texts = ["\\boxed{7}", "\\boxed{25}", "broken", "\\boxed{25}"] * 5
    summary = GradeSummary("aime25")
    kind: Benchmark = Threaded()
    records = list(grade_stored(kind, write(tmp_path, *map(answer, texts)), summary))
    assert [r["correct"] for r in records] == [False, True, None, True] * 5
    assert records[2]["diagnosis"] == "the disk is full"
    assert summary.as_record()["accuracy"] == pytest.approx(2 / 3)
    assert summary.not_graded == 5


@pytest.mark.slow
def test_eight_times_the_answers_cost_about_eight_times_as_much(tmp_path: Path):
    completion = "<think>" + "so 1 + 2 = 3, hence " * 400 + "</think>\\boxed{25}"
    paths: dict[int, Path] = {}
    for count in (1_000, 8_000):
        (tmp_path / str(count)).mkdir()
        paths[count] = write(tmp_path / str(count), *[answer(completion)] * count)

    def grade(count: int) -> None:
        graded = grade_stored(benchmark("aime25"), paths[count])
        assert sum(record["correct"] for record in graded) == count

    assert growth(grade, 1_000) < NEARLY_LINEAR


def test_answers_come_from_stdin_too(monkeypatch: pytest.MonkeyPatch) -> None:
    row = {"problem": {"problem": "1 + 1?", "answer": 2}, "completion": "\\boxed{2}"}
    lines = f"{json.dumps(row)}\n\n{json.dumps(row)}\n{{".encode()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(lines)))
    graded = grade_stored(benchmark("arithmetic"), Path("-"))
    assert [next(graded)["correct"], next(graded)["correct"]] == [True, True]
    with pytest.raises(SchemaError, match="<stdin>:4: this line is not JSON"):
        next(graded)


def test_a_graded_file_shows_its_sums(tmp_path: Path) -> None:
    row = {"problem": {"problem": "1 + 1?", "answer": 2}, "completion": "\\boxed{3}"}
    (tmp_path / "a.jsonl").write_text(f"{json.dumps(row)}\n")
    graded = grade_file("arithmetic", str(tmp_path / "a.jsonl"))
    assert repr(graded) == "<GradedFile arithmetic: 0 of 1 answers right>"
    assert graded.records[0]["verdict"] == "wrong"
