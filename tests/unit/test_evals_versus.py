"""Two runs, checkpoints or evaluations against each other: what is named, and what is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from openthoughts_cli.config.benchmark import BenchmarkConfig
from openthoughts_cli.engine.base import SamplingParams
from openthoughts_cli.errors import DataError, NotFoundError
from openthoughts_cli.evals.aime25 import Aime25
from openthoughts_cli.evals.run import evaluate
from openthoughts_cli.evals.settings_table import SettingLine, settings_table
from openthoughts_cli.evals.sides import read_side, stored_steps
from openthoughts_cli.evals.versus import compare_sides, differences_of
from openthoughts_cli.places import runs_dir
from openthoughts_cli.runs.layout import RunDirectory
from openthoughts_cli.store import append_line
from tests.conftest import CommandResult
from tests.doubles.scripted_sampler import CharRenderer, ScriptedSampler

Ot = Callable[..., CommandResult]


def make_run(
    name: str, *, learning_rate: float = 1e-4, losses: tuple[float, ...] = ()
) -> RunDirectory:
    run = RunDirectory(runs_dir() / name)
    run.path.mkdir(parents=True)
    config = {"run_name": name, "learning_rate": learning_rate, "engine": {"kind": "local"}}
    run.write_config(config, {"kind": "train", "model": {"name": "m"}})
    for step, loss in enumerate(losses, start=1):
        line = {"step": step, "train_mean_nll": loss, "num_tokens": 10, "time/step": 0.5}
        append_line(run.metrics_path, line)
    return run


def add_checkpoint(run: RunDirectory, name: str, batch: int) -> None:
    line = {"name": name, "batch": batch, "epoch": 1.0, "sampler_path": f"/w/{name}"}
    append_line(run.checkpoints_path, line)


def measured(run: RunDirectory, step: int, right: Callable[[int, int], bool]) -> Path:
    data = run.path / "problems.jsonl"
    rows = [{"id": f"p{i}", "problem": f"What is <{i}>?", "answer": i} for i in range(20)]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))

    def script(prompt: str, index: int, params: SamplingParams) -> str:
        number = int(prompt.split("<")[1].split(">")[0])
        return f"\\boxed{{{number if right(number, index) else 999}}}"

    place = run.eval_dir("aime25", step)
    asyncio.run(
        evaluate(
            Aime25(),
            ScriptedSampler(script),
            CharRenderer(),
            BenchmarkConfig(n=2, data=str(data)),
            directory=place,
            step=step,
            lineage={"run": run.run_id, "step": step},
        )
    )
    return place


@pytest.fixture
def runs() -> tuple[RunDirectory, RunDirectory]:
    a = make_run("a", losses=(2.0, 1.5))
    b = make_run("b", learning_rate=3e-4, losses=(2.0, 1.25, 1.0))
    add_checkpoint(a, "half", 1)
    add_checkpoint(a, "final", 2)
    measured(a, 0, lambda number, index: False)
    measured(a, 2, lambda number, index: number < 5)
    measured(b, 3, lambda number, index: 1 <= number < 10)
    return a, b


def test_a_run_stands_for_its_newest_evaluations(runs: tuple[RunDirectory, RunDirectory]):
    assert stored_steps(runs[0]) == {"aime25": [0, 2]}
    assert read_side("a").evals == {"aime25": runs[0].eval_dir("aime25", 2)}
    assert read_side(str(runs[0].path)).evals == read_side("a").evals


@pytest.mark.parametrize(("name", "step"), [("a@base", 0), ("a@final", 2), ("a@2", 2), ("a@0", 0)])
def test_a_checkpoint_is_named_behind_an_at(
    runs: tuple[RunDirectory, RunDirectory], name: str, step: int
):
    side = read_side(name)
    assert (side.step, side.evals) == (step, {"aime25": runs[0].eval_dir("aime25", step)})


def test_a_checkpoint_without_an_evaluation_has_none(runs: tuple[RunDirectory, RunDirectory]):
    assert read_side("a@half").evals == {}
    with pytest.raises(NotFoundError, match="no checkpoint or evaluated step 'full'") as caught:
        read_side("a@full")
    assert "half" in (caught.value.hint or "")
    with pytest.raises(NotFoundError, match="no run 'c'"):
        read_side("c")


def test_two_runs_differ_in_config_training_and_scores(runs: tuple[RunDirectory, RunDirectory]):
    found = compare_sides("a", "b")
    assert [entry.key for entry in found.config] == ["learning_rate"]
    figures = {entry.key: (entry.a, entry.b) for entry in found.training}
    assert figures["last_loss"] == (1.5, 1.0)
    assert figures["train_tokens"] == (20, 30)
    (pair,) = found.evals
    assert pair.steps == (2, 3)
    assert pair.comparison.newly_solved == tuple(f"p{i}" for i in range(5, 10))
    assert pair.comparison.newly_failed == ("p0",)
    assert {entry.key for entry in pair.settings} >= {"lineage.run", "lineage.step"}
    record = json.loads(json.dumps(found.as_record()))
    assert record["training"]["last_loss"]["difference"] == -0.5
    assert record["evals"][0]["differences"]["mean@1"]["difference"] == pytest.approx(4 / 20)


def test_two_checkpoints_of_one_run_have_no_training_to_compare(
    runs: tuple[RunDirectory, RunDirectory],
):
    found = compare_sides("a@base", "a@final")
    assert (found.config, found.training) == ((), ())
    assert found.evals[0].comparison.differences["mean@1"].difference == pytest.approx(0.25)


def test_directories_of_evaluations_are_sides_too(runs: tuple[RunDirectory, RunDirectory]):
    a, b = runs[0].eval_dir("aime25", 2), runs[1].eval_dir("aime25", 3)
    found = compare_sides(str(a), str(b))
    assert found.config == found.training == ()
    assert found.evals[0].a == a


def test_runs_without_scores_are_compared_by_their_training():
    make_run("x", losses=(2.0,))
    make_run("y", losses=(1.0,))
    found = compare_sides("x", "y")
    assert found.evals == ()
    assert found.training
    with pytest.raises(NotFoundError, match="x has no finished evaluation of aime25"):
        compare_sides("x", "y", benchmarks=["aime25"])


def test_nothing_in_common_is_an_error(runs: tuple[RunDirectory, RunDirectory]):
    make_run("empty")
    with pytest.raises(DataError, match="no finished evaluation in common") as caught:
        compare_sides("a", "empty")
    assert "a has aime25" in (caught.value.hint or "")


def test_differences_are_by_dotted_key():
    a: dict[str, Any] = {"x": {"y": 1, "same": [1]}, "only": 2, "none": None}
    b: dict[str, Any] = {"x": {"y": 2, "same": [1]}, "z": {"p": 1, "q": 2}}
    found = differences_of(a, b)
    assert [tuple(entry) for entry in found] == [
        ("only", 2, None),
        ("x.y", 1, 2),
        ("z", None, {"p": 1, "q": 2}),
    ]


def test_the_command_shows_both_and_writes_one_record(
    ot: Ot, runs: tuple[RunDirectory, RunDirectory]
):
    shown = ot("compare", "a", "b")
    assert shown.code == 0, shown.err
    for words in ("learning_rate", "last loss", "-0.5000", "+20.0 points", "newly solved: 5 (p5"):
        assert words in shown.out
    written = ot("compare", "a", "b", "-b", "aime25", "--json")
    record = json.loads(written.out)
    assert (record["kind"], record["a"]["run"], record["b"]["run"]) == ("comparison", "a", "b")
    refused = ot("compare", "a", "none")
    assert refused.code == 2
    assert "no run 'none'" in refused.err


def test_settings_of_three_runs_stand_line_by_line() -> None:
    runs = [
        {"rate": 1, "evals": {"x.py:a": {"n": 1}}, "name": "a"},
        {"rate": 1, "evals": {"x.py:a": {"n": 2}}, "name": "b"},
        {"rate": 1, "evals": {}, "name": "c"},
    ]
    assert settings_table(runs[:2]) == [
        SettingLine("evals.x.py:a.n", (1, 2), True),
        SettingLine("rate", (1, 1), False),
    ]
    assert settings_table(runs)[0] == SettingLine(
        "evals", ({"x.py:a": {"n": 1}}, {"x.py:a": {"n": 2}}, {}), True
    )
    assert settings_table([runs[0], {"rate": 1}])[0].values == (1, None)
