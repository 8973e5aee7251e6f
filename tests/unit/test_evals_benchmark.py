"""The registry, prompts, availability, and the choice of benchmarks from file and options."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from openthoughts_cli.config.benchmark import BenchmarkConfig
from openthoughts_cli.config.eval import EvalConfig
from openthoughts_cli.errors import ConfigError, EmptyResultError, NotFoundError, UsageError
from openthoughts_cli.evals.benchmark import (
    Benchmark,
    benchmark,
    benchmark_names,
    prepare_grader,
    summaries,
)
from openthoughts_cli.evals.plan import check_available, require_available, show_prompt
from openthoughts_cli.evals.prompts import fill_template
from openthoughts_cli.evals.select import Changes, select_benchmarks

OWN = """
from openthoughts_cli.evals.benchmark import Benchmark, Grade
from openthoughts_cli.problems.load import load_built_in
from openthoughts_cli.problems.problem import Problem

class Shout(Benchmark):
    name = "shout"
    summary = "says it loudly"
    def own_template(self): return "{problem}!"
    def read(self, row, where): return Problem(row["id"], row["q"], row["q"].upper())
    def load(self, settings):
        return load_built_in(self.name, lambda: [{"id": "a", "q": "hello"}], self.read, settings)
    def grade(self, problem, text):
        right = text == problem.answer
        return Grade(text, right, "correct" if right else "wrong")

class NotOne: pass

class Unfinished(Benchmark):
    name = "unfinished"
    def grade(self, problem, text): ...

class Taken(Shout):
    name = "aime25"

class Elsewhere(Shout):
    name = "../elsewhere"
"""


@pytest.fixture
def problems(tmp_path: Path) -> Path:
    path = tmp_path / "aime.jsonl"
    rows = [{"id": i, "problem": f"Find $\\frac{{{i}}}{{2}}$", "answer": i} for i in range(4)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_every_benchmark_is_listed_with_a_line():
    assert benchmark_names() == ("aime25", "arithmetic", "gpqa", "livecodebench")
    lines = summaries()
    assert set(lines) == {*benchmark_names(), "nll"}
    assert all(line and "\n" not in line for line in lines.values())
    for name in benchmark_names():
        made = benchmark(name)
        assert made.name == name
        assert "{problem}" in made.template


def test_an_unknown_name_is_guessed_at():
    with pytest.raises(NotFoundError, match=r"did you mean gpqa\?"):
        benchmark("gpga")
    with pytest.raises(UsageError):
        benchmark("nll")


def test_a_benchmark_of_ones_own_is_one_file(tmp_path: Path):
    path = tmp_path / "shout.py"
    path.write_text(OWN)
    kind = benchmark(f"{path}:Shout")
    (problem,) = kind.load(BenchmarkConfig()).problems
    assert kind.prompt(problem) == "hello!"
    assert kind.grade(problem, "HELLO").correct
    with pytest.raises(ConfigError, match="no class NotOne that is a Benchmark"):
        benchmark(f"{path}:NotOne")
    with pytest.raises(NotFoundError):
        benchmark(f"{tmp_path}/none.py:Shout")


def test_a_prompt_is_the_template_with_its_fields(problems: Path):
    settings = BenchmarkConfig(data=str(problems))
    text = show_prompt("aime25", settings, 3)
    assert "Find $\\frac{3}{2}$" in text
    assert "\\boxed{}" in text
    with pytest.raises(UsageError, match="problems 0 to 3"):
        show_prompt("aime25", settings, 4)


def test_arithmetic_asks_the_plain_problem():
    settings = BenchmarkConfig()
    (first, *_) = benchmark("arithmetic").load(settings).problems
    assert show_prompt("arithmetic", settings, 0) == first.question


def test_a_prompt_can_be_replaced(tmp_path: Path, problems: Path):
    file = tmp_path / "mine.txt"
    file.write_text("Now: {problem}\n")
    settings = BenchmarkConfig(data=str(problems), prompt=str(file))
    assert show_prompt("aime25", settings, 1) == "Now: Find $\\frac{1}{2}$"
    file.write_text("no place for it")
    with pytest.raises(ConfigError, match=r"has no \{problem\}"):
        show_prompt("aime25", settings, 1)
    with pytest.raises(ConfigError, match="cannot be read"):
        benchmark("aime25").configured(BenchmarkConfig(prompt=str(tmp_path / "none")))


def test_filling_in_is_done_once_and_leaves_other_braces():
    filled = fill_template("{a} {b} \\boxed{} {x}", {"a": "{b}", "b": "2"})
    assert filled == "{b} 2 \\boxed{} {x}"


def test_what_cannot_run_is_found_beforehand(tmp_path: Path, problems: Path):
    empty = tmp_path / "empty.jsonl"
    empty.write_text("")
    settings = {
        "aime25": BenchmarkConfig(data=str(problems)),
        "gpqa": BenchmarkConfig(data=str(empty)),
        "nll": BenchmarkConfig(),
        "arithmetic": BenchmarkConfig(data=str(tmp_path / "none.jsonl")),
    }
    found = check_available(settings)
    assert [(entry.benchmark, type(entry.error)) for entry in found] == [
        ("gpqa", EmptyResultError),
        ("arithmetic", NotFoundError),
    ]
    with pytest.raises(EmptyResultError, match="2 benchmarks cannot run here"):
        require_available(settings)
    require_available({"aime25": settings["aime25"]})


def test_problems_are_loaded_once_for_the_same_settings(problems: Path):
    kind = benchmark("aime25")
    settings = BenchmarkConfig(data=str(problems))
    first = kind.load_once(settings)
    problems.unlink()
    assert kind.load_once(settings) is first
    with pytest.raises(NotFoundError):
        kind.load_once(BenchmarkConfig(data=str(problems), limit=2))


def test_unsafe_is_only_for_benchmarks_that_run_code():
    with pytest.raises(UsageError, match="runs no code"):
        prepare_grader("aime25", unsafe_no_sandbox=True)
    assert isinstance(prepare_grader("livecodebench", unsafe_no_sandbox=True), Benchmark)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("NotOne", "is a Benchmark"),
        ("Unfinished", "lacks the methods load, read"),
        ("Taken", "'aime25' cannot name"),
        ("Elsewhere", "cannot name a directory"),
    ],
)
def test_a_class_that_cannot_be_a_benchmark_is_refused(tmp_path: Path, name: str, words: str):
    path = tmp_path / "own.py"
    path.write_text(OWN)
    with pytest.raises(ConfigError, match=words):
        benchmark(f"{path}:{name}")


@pytest.mark.parametrize("source", ["import nothing_of_the_kind", "def f(:", "1 / 0"])
def test_a_file_that_cannot_be_imported_is_an_error_of_the_config(tmp_path: Path, source: str):
    path = tmp_path / "broken.py"
    path.write_text(source)
    with pytest.raises(ConfigError, match=r"broken\.py cannot be imported: \w+Error"):
        benchmark(f"{path}:Any")


def test_the_prompt_of_an_own_benchmark_may_stand_beside_its_file(tmp_path: Path):
    path = tmp_path / "own.py"
    path.write_text(OWN.replace("def own_template", "def not_own_template"))
    made = benchmark(f"{path}:Shout")
    assert made.template == "{problem}"
    (tmp_path / "shout.txt").write_text("Loudly: {problem}\n")
    made = benchmark(f"{path}:Shout")
    assert made.template == "Loudly: {problem}"
    assert made.place == f"{path}:Shout"


def test_gpqa_and_livecodebench_ask_a_seeded_part_unless_told_otherwise(tmp_path: Path):
    path = tmp_path / "gpqa.jsonl"
    wrong = {f"Incorrect Answer {i}": f"w{i}" for i in (1, 2, 3)}
    rows = [{"Question": f"q{i}", "Correct Answer": "r", **wrong} for i in range(60)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    gpqa = benchmark("gpqa")
    usual = gpqa.load(BenchmarkConfig(data=str(path)))
    assert (len(usual.problems), usual.total) == (50, 60)
    assert usual.problems != gpqa.load(BenchmarkConfig(data=str(path), seed=1)).problems
    assert len(gpqa.load(BenchmarkConfig(data=str(path), limit=198)).problems) == 60
    assert benchmark("livecodebench").usual_limit == 30
    assert benchmark("aime25").limited(BenchmarkConfig()).limit is None


def config_of(**benchmarks: dict[str, Any]) -> EvalConfig:
    return EvalConfig.model_validate({"benchmarks": benchmarks})


def changes(settings: dict[str, Any] | None = None, **rest: Any) -> Changes:
    return Changes(
        settings or {}, rest.get("data", {}), rest.get("prompt", {}), rest.get("unsafe", False)
    )


def test_named_benchmarks_keep_the_files_settings_and_take_the_options():
    config = config_of(aime25={"n": 3, "limit": 5}, gpqa={"n": 2})
    chosen = select_benchmarks(config, ["aime25", "arithmetic"], changes({"limit": 9}))
    assert set(chosen.benchmarks) == {"aime25", "arithmetic"}
    assert (chosen.benchmarks["aime25"].n, chosen.benchmarks["aime25"].limit) == (3, 9)
    assert (chosen.benchmarks["arithmetic"].n, chosen.benchmarks["arithmetic"].limit) == (7, 9)
    assert select_benchmarks(config, [], changes()).benchmarks == config.benchmarks


def test_nll_takes_only_what_it_has():
    chosen = select_benchmarks(config_of(), ["nll"], changes({"n": 3, "limit": 4, "seed": 1}))
    assert chosen.benchmarks["nll"].model_fields_set == {"limit", "seed"}


def test_k_above_n_is_refused_with_the_remedy():
    with pytest.raises(ConfigError, match=r"pass@9 needs at least 9 answers .* set n to 9"):
        select_benchmarks(config_of(), ["arithmetic"], changes({"n": 3, "k": [9]}))


def test_files_and_flags_go_to_the_benchmarks_they_are_for(problems: Path):
    chosen = select_benchmarks(
        config_of(),
        ["aime25", "livecodebench"],
        changes(data={"aime25": str(problems)}, unsafe=True),
    )
    assert chosen.benchmarks["aime25"].data == str(problems)
    assert chosen.benchmarks["livecodebench"].unsafe_no_sandbox
    assert not chosen.benchmarks["aime25"].unsafe_no_sandbox
    with pytest.raises(UsageError, match="not run"):
        select_benchmarks(config_of(), ["gpqa"], changes(data={"aime25": "x.jsonl"}))
