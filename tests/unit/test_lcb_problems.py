"""LiveCodeBench rows: by date, from files of several kinds, chosen before their tests are read."""

from __future__ import annotations

import base64
import datetime
import json
import pickle
import zlib
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from openthoughts_cli.config.benchmark import BenchmarkConfig, check_benchmarks
from openthoughts_cli.errors import EmptyResultError, NotFoundError, SchemaError
from openthoughts_cli.evals.livecodebench import LiveCodeBench
from openthoughts_cli.problems.livecodebench import (
    Window,
    _shards,  # pyright: ignore[reportPrivateUsage]
    load_livecodebench,
    read_lcb_row,
)


def _row(number: int, date: Any = "2024-07-01T00:00:00", **changes: Any) -> dict[str, Any]:
    tests = [{"input": f"{number}\n", "output": f"{number}\n", "testtype": "stdin"}]
    hidden = base64.b64encode(zlib.compress(pickle.dumps(json.dumps(tests * 2)))).decode()
    return {
        "question_title": "Echo",
        "question_content": f"Print the number {number}.",
        "platform": "atcoder",
        "question_id": f"abc{number}",
        "contest_id": "abc",
        "contest_date": date,
        "starter_code": "",
        "difficulty": "easy",
        "public_test_cases": json.dumps(tests),
        "private_test_cases": hidden,
        "metadata": "{}",
    } | changes


def _write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_a_row_is_read_with_public_tests_first() -> None:
    problem = read_lcb_row(_row(5), "row")

    assert [test.input for test in problem.answer] == ["5\n"] * 3
    assert problem.data["num_public"] == 1
    assert problem.data["function"] is None
    assert (problem.id, problem.group, problem.data["date"]) == ("abc5", "easy", "2024-07-01")


@pytest.mark.parametrize(
    "date",
    [
        "2024-07-01T00:00:00",
        "2024-07-01",
        "2024-07-01T14:30:00+00:00",
        datetime.datetime(2024, 7, 1, 5),  # noqa: DTZ001 - as parquet holds it
        datetime.date(2024, 7, 1),
    ],
)
def test_dates_may_be_text_or_dates(date: Any) -> None:
    assert read_lcb_row(_row(1, date), "row").data["date"] == "2024-07-01"


@pytest.mark.parametrize("date", ["soon", 20240701, "2024-13-01", True])
def test_other_dates_are_refused(date: Any) -> None:
    with pytest.raises(SchemaError, match="contest_date"):
        read_lcb_row(_row(1, date), "row")


def test_the_window_is_the_papers_unless_another_is_given(tmp_path: Path) -> None:
    dates = ["2024-05-31", "2024-06-01", "2025-01-31T23:59:59", "2025-02-01"]
    path = _write(tmp_path / "a.jsonl", [_row(i, date) for i, date in enumerate(dates)])

    usual = load_livecodebench(BenchmarkConfig(data=str(path)))
    other = load_livecodebench(BenchmarkConfig(data=str(path), window="2024-05-01..2024-05-31"))

    assert [problem.id for problem in usual.problems] == ["abc1", "abc2"]
    assert usual.window == "2024-06-01..2025-01-31"
    assert [problem.id for problem in other.problems] == ["abc0"]
    assert other.digest != usual.digest


def test_the_choice_is_seeded_and_nested(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.jsonl", [_row(i) for i in range(30)])

    def ids(**settings: Any) -> list[str]:
        chosen = load_livecodebench(BenchmarkConfig(data=str(path), **settings))
        assert chosen.total == 30
        return [problem.id for problem in chosen.problems]

    assert len(ids(limit=10)) == 10
    assert ids(limit=10) == ids(limit=10)
    assert set(ids(limit=5)) < set(ids(limit=10))
    assert ids(limit=10, seed=1) != ids(limit=10)
    assert len(ids()) == 30


def test_tests_of_rows_that_are_not_chosen_are_never_decoded(tmp_path: Path) -> None:
    rows = [_row(0), _row(1, "2023-06-01", private_test_cases="garbage")]

    chosen = load_livecodebench(BenchmarkConfig(data=str(_write(tmp_path / "a.jsonl", rows))))

    assert len(chosen.problems) == 1


def test_a_folder_of_shards_and_parquet_with_datetimes_is_read(tmp_path: Path) -> None:
    _write(tmp_path / "test.jsonl", [_row(0)])
    moment = datetime.datetime(2024, 8, 1)  # noqa: DTZ001 - as parquet holds it
    pl.DataFrame([_row(1, moment)]).write_parquet(tmp_path / "test2.parquet")

    chosen = load_livecodebench(BenchmarkConfig(data=str(tmp_path)))

    assert [problem.id for problem in chosen.problems] == ["abc0", "abc1"]


def test_what_holds_no_problem_is_an_error(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.jsonl", [_row(0, "2020-01-01")])
    (tmp_path / "empty").mkdir()

    with pytest.raises(EmptyResultError, match=r"no problem of 2024-06-01\.\.2025-01-31"):
        load_livecodebench(BenchmarkConfig(data=str(path)))
    with pytest.raises(NotFoundError):
        load_livecodebench(BenchmarkConfig(data=str(tmp_path / "missing.jsonl")))
    with pytest.raises(NotFoundError, match="holds no"):
        load_livecodebench(BenchmarkConfig(data=str(tmp_path / "empty")))


def test_a_malformed_row_is_named_by_line(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.jsonl", [_row(0), _row(1, private_test_cases="x")])

    with pytest.raises(SchemaError, match=r"a\.jsonl:2: private_test_cases"):
        load_livecodebench(BenchmarkConfig(data=str(path)))


def test_a_doubled_id_is_refused(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.jsonl", [_row(0), _row(0)])

    with pytest.raises(SchemaError, match="already used"):
        load_livecodebench(BenchmarkConfig(data=str(path)))


@pytest.mark.parametrize(
    ("window", "release", "shards"),
    [
        ("2024-06-01..2025-01-31", None, ["test2", "test3", "test4", "test5", "test6"]),
        ("2024-06-01..2025-01-31", "v5", ["test2", "test3", "test4", "test5"]),
        ("2023-05-01..2023-12-31", None, ["test"]),
        ("2025-04-01..2025-04-30", "v6", ["test6"]),
        ("2023-01-01..2026-01-01", "v2", ["test", "test2"]),
    ],
)
def test_only_shards_that_may_hold_the_window_are_fetched(
    window: str, release: str | None, shards: list[str]
) -> None:
    assert _shards(Window.read(window), release) == [f"{name}.jsonl" for name in shards]


def test_a_release_before_the_window_is_an_error() -> None:
    with pytest.raises(EmptyResultError, match="v1"):
        _shards(Window.read("2025-01-01..2025-01-31"), "v1")


@pytest.mark.parametrize("window", ["2024", "2024-06-01", "2025-01-31..2024-06-01", "a..b", ".."])
def test_a_window_that_is_none_is_refused(window: str) -> None:
    with pytest.raises(ValueError):
        BenchmarkConfig(window=window)
    with pytest.raises(ValueError):
        Window.read(window)


def test_settings_of_code_are_refused_for_other_benchmarks() -> None:
    windowed = BenchmarkConfig(window="2024-06-01..2025-01-31")

    assert check_benchmarks({"livecodebench": windowed})
    with pytest.raises(ValueError, match="window: livecodebench alone"):
        check_benchmarks({"aime25": windowed})


def test_prompts_say_how_the_program_is_run() -> None:
    benchmark = LiveCodeBench()
    function = _row(
        0,
        starter_code="class Solution:\n    def echo(self, n: int) -> int:\n        ",
        public_test_cases=json.dumps([{"input": "1", "output": "1", "testtype": "functional"}]),
        private_test_cases="",
        metadata='{"func_name": "echo"}',
    )

    program = benchmark.prompt(benchmark.read(_row(7), "row"))
    method = benchmark.prompt(benchmark.read(function, "row"))

    assert "Print the number 7." in program
    assert "standard input" in program
    assert "class Solution:\n    def echo(self, n: int) -> int:\n```" in method
    assert "standard input" not in method
    for prompt in (program, method):
        assert "{" not in prompt
        assert "```python" in prompt
