"""`ot eval` and `ot grade` as a person calls them; the weights are a tiny random model's."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import CommandResult
from tests.doubles.rows import many, write
from tests.doubles.tiny_llama import save_tiny_llama
from tests.doubles.tokenizer import byte_model

Ot = Callable[..., CommandResult]


@pytest.fixture
def problems(tmp_path: Path) -> Path:
    path = tmp_path / "aime.jsonl"
    rows = [{"id": i, "problem": f"What is 5 times {i}?", "answer": 5 * i} for i in range(6)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = byte_model(tmp_path / "model")
    return save_tiny_llama(folder, vocab_size=258, max_position_embeddings=4096)


def records(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


# -- without an engine


def test_the_benchmarks_are_listed(ot: Ot):
    shown = ot("eval", "--list")
    assert shown.code == 0, shown.err
    assert all(name in shown.out for name in ("aime25", "gpqa", "livecodebench", "nll"))
    names = [record["name"] for record in records(ot("eval", "--list", "--json").out)]
    assert names == ["aime25", "arithmetic", "gpqa", "livecodebench", "nll"]


def test_a_prompt_is_shown_as_it_is_asked(ot: Ot, problems: Path):
    shown = ot("eval", "--show-prompt", "aime25", "--index", 3, "--data", f"aime25={problems}")
    assert shown.code == 0, shown.err
    assert "What is 5 times 3?" in shown.out
    assert "\\boxed{}" in shown.out


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["-b", "gpga"], 2, "did you mean gpqa"),
        ([], 2, "no benchmark is named"),
        (["-b", "aime25", "--data", "aime25"], 2, "is not NAME=FILE"),
        (["-b", "arithmetic", "--data", "aime25=x.jsonl"], 2, "not run"),
        (["-b", "arithmetic", "--n", 2, "--k", 3], 2, "pass@3 needs at least 3"),
        (["-b", "aime25", "--data", "aime25=none.jsonl"], 2, "there is no file"),
        (["-b", "arithmetic", "--checkpoint", "x"], 2, "--run"),
        (["-b", "arithmetic", "--checkpoint", "/"], 2, "--model"),
        (["-b", "arithmetic", "--run", "none"], 2, "no run 'none'"),
        (["-b", "nll"], 2, "--subset"),
        (["--show-prompt", "arithmetic", "--index", 999], 2, "--index is 999"),
    ],
)
def test_bad_input_is_one_message(ot: Ot, options: list[Any], code: int, words: str):
    ended = ot("eval", "--engine", "local", *options)
    assert ended.code == code, ended.err
    assert words in ended.err
    assert ended.out == ""
    assert "Traceback" not in ended.err


def test_stored_answers_are_graded(ot: Ot, tmp_path: Path):
    path = tmp_path / "answers.jsonl"
    problem = {"problem": "What is 20 + 5?", "answer": "25"}
    texts = [r"\boxed{025}", r"\boxed{26}", "25"]
    lines = [json.dumps({"problem": problem, "completion": text}) + "\n" for text in texts]
    path.write_text("".join(lines))
    graded = ot("grade", "aime25", "--answers", path, "--json")
    assert graded.code == 0, graded.err
    *answers, summary = records(graded.out)
    assert [(a["index"], a["parsed"], a["correct"]) for a in answers] == [
        (0, "25", True),
        (1, "26", False),
        (2, None, False),
    ]
    assert (summary["kind"], summary["answers"], summary["correct"]) == ("grade_summary", 3, 1)
    people = ot("grade", "aime25", "--answers", path)
    assert "no-answer" in people.out
    assert "33.3%" in people.out


def test_what_commands_a_terminal_is_written_out(ot: Ot, tmp_path: Path):
    grader = tmp_path / "echo.py"
    grader.write_text(
        "from openthoughts_cli.evals.benchmark import Benchmark, Grade\n"
        "from openthoughts_cli.evals.arithmetic import Arithmetic\n"
        "class Echo(Arithmetic):\n"
        "    name = 'echo'\n"
        "    def grade(self, problem, text): return Grade(text, False, 'wrong', text)\n"
    )
    path = tmp_path / "answers.jsonl"
    line = {"problem": {"problem": "p", "answer": 1}, "completion": "\x1b]0;mine\x07\x9b2J\u202e"}
    path.write_text(json.dumps(line) + "\n" + json.dumps(line | {"completion": ""}) + "\n")
    shown = ot("grade", f"{grader}:Echo", "--answers", path)
    assert shown.code == 0, shown.err
    assert "\\x1b]0;mine\\x07\\x9b2J\\u202e" in shown.out
    assert not {"\x1b", "\x07", "\x9b", "\u202e"} & set(shown.out)


def test_a_bad_line_of_answers_is_named(ot: Ot, tmp_path: Path):
    path = tmp_path / "answers.jsonl"
    path.write_text('{"problem": {"problem": "p", "answer": "x"}, "completion": ""}\n')
    ended = ot("grade", "aime25", "--answers", path, "--json")
    assert ended.code == 1
    assert f"{path}:1: 'answer' must be an integer" in ended.err
    assert ot("grade", "nope", "--answers", path).code == 2


# -- with the local engine


@pytest.mark.torch
@pytest.mark.slow
def test_a_base_model_is_measured_and_the_same_command_continues(
    ot: Ot, problems: Path, model: Path, tmp_path: Path
):
    command = [
        *("eval", "-b", "aime25", "--engine", "local", "--model", model, "--limit", 4, "--n", 2),
        *("--k", 1, "--k", 2, "--max-tokens", 8, "--data", f"aime25={problems}", "--name", "it"),
    ]
    planned = ot(*command, "--dry-run", "--json")
    assert planned.code == 0, planned.err
    (plan,) = records(planned.out)
    assert plan["benchmarks"][0]["answers"] == 8
    assert plan["most_usd"] == 0.0
    done = ot(*command, "--json")
    assert done.code == 0, done.err
    (record,) = records(done.out)
    (result,) = record["results"]
    assert set(result["metrics"]) >= {"mean@1", "pass@1", "pass@2", "maj@2", "truncated", "errors"}
    assert result["counts"]["problems"] == 4
    place = Path(result["directory"])
    assert place.parts[-4:] == ("it", "evals", "aime25", "step-0")
    before = (place / "samples.jsonl").read_bytes()
    (place / "samples.jsonl").write_bytes(b"".join(before.splitlines(keepends=True)[:5]))
    again = ot(*command)
    assert again.code == 0, again.err
    assert "5 of 8 answers were recorded already" in again.err
    assert "mean@1" in again.out
    after = (place / "samples.jsonl").read_bytes()
    assert after.startswith(b"".join(before.splitlines(keepends=True)[:5]))
    assert len(after.splitlines()) == 8
    for more in ((), ("--dry-run",)):  # found before anything is asked
        other = ot(*command, "--temperature", 1, *more)
        assert other.code == 1
        assert "holds an evaluation with another sampling" in other.err
    assert (place / "samples.jsonl").read_bytes() == after
    listed = ot("runs", "ls", "--json")
    assert [entry["run_id"] for entry in records(listed.out)] == ["it"]


@pytest.mark.torch
@pytest.mark.slow
def test_nll_reads_the_held_out_rows_of_a_subset(ot: Ot, model: Path, tmp_path: Path):
    data = write(tmp_path / "rows.parquet", many(40))
    cut = ot("subset", "--dataset", data, "--tokenizer", model, "-n", 40, "--name", "s")
    assert cut.code == 0, cut.err
    done = ot(
        *("eval", "-b", "nll", "--engine", "local", "--model", model, "--subset", "s"),
        *("--set", "train_split=0.5", "--json"),
    )
    assert done.code == 0, done.err
    (record,) = records(done.out)
    (result,) = record["results"]
    assert result["benchmark"] == "nll"
    assert result["metrics"]["mean"] > 1
    assert result["metrics"]["per_byte"] > 1
    assert result["intervals"]["mean"][0]["low"] < result["metrics"]["mean"]
    assert result["counts"]["questions"] > 1


@pytest.mark.torch
@pytest.mark.slow
def test_one_benchmark_that_fails_leaves_the_scores_of_the_others(
    ot: Ot, problems: Path, model: Path, tmp_path: Path
):
    long = tmp_path / "long.jsonl"
    long.write_text(json.dumps({"problem": "x" * 5000, "answer": 1}) + "\n")
    ended = ot(
        *("eval", "-b", "aime25", "-b", "arithmetic", "--engine", "local", "--model", model),
        *("--n", 1, "--max-tokens", 4, "--json"),
        *("--data", f"aime25={problems}", "--data", f"arithmetic={long}"),
    )
    assert ended.code == 3, ended.err
    (record,) = records(ended.out)
    assert [result["benchmark"] for result in record["results"]] == ["aime25"]
    assert "leaves no room" in record["failures"][0]
    assert "1 evaluations failed: arithmetic" in ended.err
