"""Two stored evaluations against each other, and which weights a run offers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from openthoughts_cli.config.benchmark import BenchmarkConfig
from openthoughts_cli.data.rows import Row
from openthoughts_cli.engine.base import SamplingParams
from openthoughts_cli.errors import DataError, NotFoundError, UsageError
from openthoughts_cli.evals.aime25 import Aime25
from openthoughts_cli.evals.compare import compare_evals
from openthoughts_cli.evals.nll import evaluate_nll, forward_of_sampler
from openthoughts_cli.evals.run import evaluate
from openthoughts_cli.evals.target import Target, targets_of
from openthoughts_cli.runs.layout import RunDirectory
from openthoughts_cli.store import append_line
from tests.doubles.scripted_sampler import CharRenderer, ScriptedSampler


def sampled(
    place: Path, right: Callable[[int, int], bool], *, numbers: range = range(30), **settings: Any
) -> Path:
    """An evaluation of problems with these numbers, whose answer `index` is right or not."""
    data = place.with_suffix(".jsonl")
    rows = [{"id": f"p{i}", "problem": f"What is <{i}>?", "answer": i} for i in numbers]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))

    def script(prompt: str, index: int, params: SamplingParams) -> str:
        number = int(prompt.split("<")[1].split(">")[0])
        return f"\\boxed{{{number if right(number, index) else 999}}}"

    config = BenchmarkConfig.model_validate({"n": 4, "data": str(data), **settings})
    asyncio.run(
        evaluate(
            Aime25(),
            ScriptedSampler(script),
            CharRenderer(),
            config,
            directory=place,
            step=0,
            lineage={"place": place.name},
        )
    )
    return place


def test_the_paired_difference_and_the_problems_that_changed(tmp_path: Path):
    a = sampled(tmp_path / "a", lambda number, index: number < 10)
    b = sampled(tmp_path / "b", lambda number, index: number < 20 and number != 3)
    found = compare_evals(a, b)
    assert found.differences["mean@1"].difference == pytest.approx(9 / 30)
    assert found.differences["mean@1"].p_value < 0.05
    interval = found.differences["mean@1"].interval
    assert interval is not None
    assert 0 < interval.low < 9 / 30 < interval.high
    assert found.newly_solved == tuple(f"p{i}" for i in range(10, 20))
    assert found.newly_failed == ("p3",)
    assert "pass@4" in found.differences
    assert json.dumps(found.as_record())


def test_the_same_weights_do_not_differ(tmp_path: Path):
    a = sampled(tmp_path / "a", lambda number, index: number % 2 == 0)
    found = compare_evals(a, a)
    assert found.differences["mean@1"].p_value == 1.0
    assert found.newly_solved == found.newly_failed == ()
    assert found.warnings == ()


def test_only_common_problems_are_compared_and_it_is_said(tmp_path: Path):
    a = sampled(tmp_path / "a", lambda number, index: True, numbers=range(20))
    b = sampled(tmp_path / "b", lambda number, index: False, numbers=range(10, 40), temperature=1.0)
    found = compare_evals(a, b)
    assert found.differences["mean@1"].problems == 10
    assert (found.only_in_a, found.only_in_b) == (10, 20)
    assert any("problems differ" in text for text in found.warnings)
    assert any("sampling settings differ" in text for text in found.warnings)
    c = sampled(tmp_path / "c", lambda number, index: True, numbers=range(50, 60))
    with pytest.raises(DataError, match="in common"):
        compare_evals(a, c)
    with pytest.raises(NotFoundError):
        compare_evals(a, tmp_path / "none")


def likely(place: Path, logprob: float) -> Path:
    rows = [Row(f"r{i}", f"q{i // 2}", "s", "math", None, "q", "1" * (i + 1)) for i in range(12)]

    async def work() -> None:
        await evaluate_nll(
            forward_of_sampler(ScriptedSampler(lambda *_: "", logprob=logprob)),
            CharRenderer(),
            rows,
            BenchmarkConfig(),
            directory=place,
            step=0,
            lineage={},
        )

    asyncio.run(work())
    return place


def test_nll_is_compared_by_question(tmp_path: Path):
    a, b = likely(tmp_path / "a", -0.75), likely(tmp_path / "b", -0.5)
    found = compare_evals(a, b)
    result = found.differences["mean"]
    assert result.difference == pytest.approx(-0.25)
    assert result.problems == 6
    assert result.p_value == pytest.approx(2 / 2**6)
    with pytest.raises(UsageError, match="cannot be compared"):
        compare_evals(a, sampled(tmp_path / "c", lambda number, index: True))


def run_with(tmp_path: Path, *checkpoints: dict[str, Any]) -> RunDirectory:
    run = RunDirectory(tmp_path / "run")
    for entry in checkpoints:
        line = {"batch": 0, "epoch": 1.0, "final": False, "state_path": None, "sampler_path": None}
        append_line(run.checkpoints_path, {**line, **entry})
    return run


def test_saved_weights_are_named_by_their_path_where_no_run_is(tmp_path: Path):
    assert targets_of(None, None) == (Target("base", 0, None),)
    for path in ("tinker://run-1/sampler_weights/final", str(tmp_path)):
        assert targets_of(None, path) == (Target(path, 0, path),)
    with pytest.raises(UsageError, match="'final' belongs to no run"):
        targets_of(None, "final")


def test_the_weights_that_a_run_offers(tmp_path: Path):
    run = run_with(
        tmp_path,
        {"name": "s10", "batch": 10, "sampler_path": "w10"},
        {"name": "state", "batch": 15, "state_path": "s"},
        {"name": "s20", "batch": 20, "sampler_path": "w20"},
        {"name": "end", "batch": 18, "sampler_path": "w18", "final": True},
    )
    assert targets_of(run, None) == (Target("end", 18, "w18"),)
    assert targets_of(run, "s10") == (Target("s10", 10, "w10"),)
    assert [target.step for target in targets_of(run, "all")] == [10, 18, 20]
    with pytest.raises(NotFoundError, match=r"did you mean s20\?"):
        targets_of(run, "s2O")
    assert targets_of(None, None) == (Target("base", 0, None),)
    with pytest.raises(UsageError):
        targets_of(None, "s10")
    with pytest.raises(NotFoundError, match="no checkpoint that can be sampled"):
        targets_of(run_with(tmp_path / "other"), None)
