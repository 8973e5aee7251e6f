"""Problems out of files: schemas, places of errors, seeded choice, characters, and never nothing."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openthoughts_cli.config.benchmark import BenchmarkConfig
from openthoughts_cli.errors import ConfigError, EmptyResultError, NotFoundError, SchemaError
from openthoughts_cli.evals.benchmark import benchmark
from openthoughts_cli.problems.aime25 import load_aime25, read_aime_row
from openthoughts_cli.problems.gpqa import load_gpqa, read_gpqa_row
from openthoughts_cli.problems.problem import Problem, ProblemSet, choose, stable_hash

AIME_2024 = Path(__file__).parents[3] / "shared/data/aime2024.jsonl"


def write(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def aime(path: Path, **settings: Any) -> ProblemSet:
    return load_aime25(BenchmarkConfig(data=str(path), **settings))


def gpqa_row(index: int) -> dict[str, str]:
    return {
        "Record ID": f"rec{index}",
        "Question": f"Question {index}, with a comma\nand a line?",
        "Correct Answer": "right",
        "Incorrect Answer 1": "wrong 1",
        "Incorrect Answer 2": "wrong 2",
        "Incorrect Answer 3": "wrong 3",
        "Subdomain": "Optics" if index % 2 else "Genetics",
        "Canary String": "",
    }


ROWS = [{"id": i, "problem": f"Problem {i}", "answer": f"{i:03d}"} for i in range(10)]


@pytest.mark.parametrize("kind", ["jsonl", "json", "parquet", "csv"])
def test_every_kind_of_file_gives_the_same_problems(tmp_path: Path, kind: str):
    path = tmp_path / f"p.{kind}"
    frame = pl.DataFrame(ROWS)
    if kind == "jsonl":
        write(path, ROWS)
    elif kind == "json":
        path.write_text(json.dumps(ROWS))
    elif kind == "parquet":
        frame.write_parquet(path)
    else:
        frame.write_csv(path)
    found = aime(path)
    assert [p.answer for p in found.problems] == list(range(10))
    assert found.digest == aime(write(tmp_path / "again.jsonl", ROWS)).digest
    assert (found.source, found.revision, found.total) == (str(path), "", 10)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"problem": "p"}', "'answer' is missing"),
        ('{"answer": "1"}', "'problem' is missing"),
        ('{"problem": "", "answer": "1"}', "'problem' must be text, and it is empty"),
        ('{"problem": 7, "answer": "1"}', "it is int"),
        ('{"problem": "p", "answer": "x"}', "must be an integer"),
        ('{"problem": "p", "answer": true}', "must be an integer"),
        ('{"problem": "p", "answer": null}', "must be an integer"),
        ('{"problem": "p", "answer": "1000"}', "must lie in 0..999"),
        ('{"problem": "p", "answer": "1", "id": ["x"]}', "'id' must be"),
        ('{"problem": "p\\u0000", "answer": "1"}', "U+0000"),
        ('{"problem": "p\\u001b[2J", "answer": "1"}', "U+001B"),
        ('{"problem": "p\\ud800", "answer": "1"}', "U+D800"),
        ("[1]", "expected a JSON object"),
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_a_malformed_row_is_named_by_file_line_and_key(tmp_path: Path, line: str, message: str):
    path = tmp_path / "p.jsonl"
    path.write_text('{"problem": "good", "answer": "1"}\n\n' + line + "\n")
    with pytest.raises(SchemaError) as caught:
        aime(path)
    assert f"{path}:3" in caught.value.message
    assert message in caught.value.message
    assert len(caught.value.message) < 500


def test_a_huge_question_is_refused(tmp_path: Path):
    path = write(tmp_path / "p.jsonl", [{"problem": "x" * 10_000_000, "answer": "1"}])
    with pytest.raises(SchemaError, match="10,000,000 characters"):
        aime(path)


def test_nothing_to_ask_is_an_error(tmp_path: Path):
    with pytest.raises(EmptyResultError, match="holds no problem"):
        aime(write(tmp_path / "p.jsonl", []))
    with pytest.raises(NotFoundError, match="there is no file"):
        aime(tmp_path / "none.jsonl")
    with pytest.raises(SchemaError, match="unknown kind"):
        aime(write(tmp_path / "p.txt", []))
    (tmp_path / "p.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(SchemaError, match="not a parquet file"):
        aime(tmp_path / "p.parquet")


def test_doubled_ids_are_refused(tmp_path: Path):
    rows = [{"id": "a", "problem": "p", "answer": 1}, {"id": "a", "problem": "q", "answer": 2}]
    with pytest.raises(SchemaError, match="already used"):
        aime(write(tmp_path / "p.jsonl", rows))


def test_without_an_id_the_question_names_the_problem():
    first = read_aime_row({"problem": "p", "answer": "025"}, "x:1")
    assert first.id == read_aime_row({"problem": "p", "answer": "25"}, "y:9").id
    assert first.id != read_aime_row({"problem": "q", "answer": "25"}, "x:2").id
    assert first.answer == 25


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("\frac{1}{2}", r"\frac{1}{2}"),
        ("\begin{x} \alpha \vec", r"\begin{x} \alpha \vec"),
        ("3 \times 4, \theta, \text{cm}", r"3 \times 4, \theta, \text{cm}"),
        ("a\ttab and\r\nlines\rhere", "a\ttab and\nlines\nhere"),
        ("$|x\rangle$ and $\\lfloor x\rfloor$", r"$|x\rangle$ and $\lfloor x\rfloor$"),
        ("$x \to 0$ and \\(\tan x\\)", r"$x \to 0$ and \(\tan x\)"),
        ("$$\\left(x\right)$$ \tfrac12", r"$$\left(x\right)$$ \tfrac12"),
    ],
)
def test_lost_backslashes_are_restored_and_line_ends_unified(raw: str, clean: str):
    assert read_aime_row({"problem": raw, "answer": 1}, "x:1").question == clean


@pytest.mark.parametrize(
    "text",
    [
        "def f(x):\n\to = x\n\tan = 2\n\tfrac = o / an\n\treturn frac",
        "for x in y:\n\t\ttext = x\n\t\ttimes = text * 2",
        "two columns:\tan apple\to go\ttan",
        "costs $5\tand more",
    ],
)
def test_tabs_before_words_and_in_code_stay(text: str):
    assert read_aime_row({"problem": text, "answer": 1}, "x:1").question == text


def problems(count: int) -> list[Problem]:
    return [Problem(str(i), "q", i) for i in range(count)]


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 5))
def test_a_larger_limit_contains_a_smaller_one(a: int, b: int, seed: int):
    small, large = sorted((a, b))
    everything = problems(20)
    first = {p.id for p in choose(everything, small, seed)}
    second = choose(list(reversed(everything)), large, seed)
    assert first <= {p.id for p in second}
    assert len(second) == min(large, 20)


def test_the_choice_depends_on_the_seed_and_is_fair():
    counts = Counter(p.id for seed in range(400) for p in choose(problems(10), 3, seed))
    assert len(counts) == 10
    assert 85 < min(counts.values()) <= max(counts.values()) < 160


def test_the_hash_is_stable_and_its_parts_do_not_run_together():
    assert stable_hash(0, "a") == 6020876518573572193
    assert stable_hash("a", "bc") != stable_hash("ab", "c")


def test_gpqa_choices_are_shuffled_by_the_record_alone():
    letters = Counter(read_gpqa_row(gpqa_row(i), "x:1").answer for i in range(400))
    assert set(letters) == set("ABCD")
    assert min(letters.values()) > 60
    once, again = (read_gpqa_row(gpqa_row(3), "x:1") for _ in range(2))
    assert once == again
    assert once.data["choices"]["ABCD".index(once.answer)] == "right"
    assert sorted(once.data["choices"]) == ["right", "wrong 1", "wrong 2", "wrong 3"]
    assert once.group == "Optics"


def test_gpqa_reads_the_hubs_csv_and_names_what_is_missing(tmp_path: Path):
    path = tmp_path / "gpqa_diamond.csv"
    pl.DataFrame([gpqa_row(i) for i in range(60)]).write_csv(path)
    found = load_gpqa(BenchmarkConfig(data=str(path), limit=50))
    assert (len(found.problems), found.total) == (50, 60)
    bad = {**gpqa_row(0), "Incorrect Answer 2": None}
    with pytest.raises(SchemaError, match=r"p.jsonl:1: 'Incorrect Answer 2'"):
        load_gpqa(BenchmarkConfig(data=str(write(tmp_path / "p.jsonl", [bad]))))
    same = {**gpqa_row(0), "Incorrect Answer 2": "right"}
    with pytest.raises(SchemaError, match="equals 'Correct Answer'"):
        read_gpqa_row(same, "x:1")


def test_a_malformed_place_on_the_hub_is_refused():
    with pytest.raises(ConfigError, match="not a place on the hub"):
        load_aime25(BenchmarkConfig(data="hub:no good"))
    with pytest.raises(ConfigError, match="built in"):
        benchmark("arithmetic").load(BenchmarkConfig(data="hub:a/b"))


def test_arithmetic_is_built_in():
    found = benchmark("arithmetic").load(BenchmarkConfig())
    assert found.source == "built in"
    assert len(found.problems) >= 100
    assert {p.group for p in found.problems} == {"easy", "medium", "hard"}
    assert len(benchmark("arithmetic").load(BenchmarkConfig(limit=7)).problems) == 7


@pytest.mark.skipif(not AIME_2024.exists(), reason="the shared data are not here")
def test_the_real_aime_2024_file_loads_and_its_answers_grade():
    kind = benchmark("aime25")
    found = kind.load(BenchmarkConfig(data=str(AIME_2024)))
    assert len(found.problems) == 30
    for problem in found.problems:
        assert kind.grade(problem, f"so \\boxed{{{problem.answer:03d}}}").correct
        assert not kind.grade(problem, f"so \\boxed{{{(problem.answer + 1) % 1000}}}").correct
        assert problem.question in kind.prompt(problem)
