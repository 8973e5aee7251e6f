"""Which steps of a run have answers, asked again while the run goes on."""

from __future__ import annotations

import os
from pathlib import Path

from openthoughts_cli.evals.evaluated import EvaluatedSteps
from openthoughts_cli.runs.layout import RunDirectory


def _store(run: RunDirectory, benchmark: str, step: int, *, answers: bool = True) -> Path:
    place = run.eval_dir(benchmark, step)
    place.mkdir(parents=True, exist_ok=True)
    if answers:
        (place / "samples.jsonl").write_text("{}\n")
    return place


def _settle(run: RunDirectory) -> None:
    """All directories last changed a minute ago."""
    for folder in [run.path / "evals", *(run.path / "evals").iterdir()]:
        os.utime(folder, ns=(0, folder.stat().st_mtime_ns - 60 * 10**9))


def test_steps_come_by_benchmark_in_order_without_held_out_rows(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "run")
    for step in (10, 2):
        _store(run, "aime24", step)
    _store(run, "nll", 0)
    _store(run, "aime24", 3).rename(run.path / "evals" / "aime24" / "step-3.old")
    assert EvaluatedSteps().of(run) == {"aime24": [2, 10]}
    assert EvaluatedSteps().of(RunDirectory(tmp_path / "none")) == {}


def test_what_comes_later_is_found(tmp_path: Path) -> None:
    run, table = RunDirectory(tmp_path / "run"), EvaluatedSteps()
    assert table.of(run) == {}
    begun = _store(run, "aime24", 0, answers=False)
    _settle(run)
    assert table.of(run) == {}
    (begun / "samples.jsonl").write_text("{}\n")  # changes no directory that is looked at
    assert table.of(run) == {"aime24": [0]}
    _settle(run)
    assert table.of(run) == {"aime24": [0]}
    _store(run, "aime24", 8)
    _store(run, "gpqa", 8)
    assert table.of(run) == {"aime24": [0, 8], "gpqa": [8]}


def test_a_run_that_did_not_change_is_not_looked_through_again(tmp_path: Path) -> None:
    run, table = RunDirectory(tmp_path / "run"), EvaluatedSteps()
    place = _store(run, "aime24", 0)
    _settle(run)
    first = table.of(run)
    assert first == {"aime24": [0]}
    (place / "samples.jsonl").unlink()  # no directory that is looked at says so
    assert table.of(run) is first
