"""Stored answers as a reader wants them, and the curves of a run."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from openthoughts_cli.errors import DataError, NotFoundError
from openthoughts_cli.evals.answers import ProblemAnswers, Sheet, kinds_of, read_sheet
from openthoughts_cli.evals.run_curves import TRAIN_LOSS, curve, curve_names
from openthoughts_cli.runs.browse import RunTable
from openthoughts_cli.runs.layout import RunDirectory
from openthoughts_cli.store import append_line
from tests.doubles.answered_run import answered_run


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return answered_run(tmp_path, gpqa=True, usd=0.8)


def sheets(run: RunDirectory) -> tuple[Sheet, Sheet]:
    before, after = (read_sheet(run.eval_dir("arithmetic", step)) for step in (0, 8))
    return before, after


def kinds(here: Sheet, there: Sheet) -> list[set[str]]:
    other = {each.problem: each for each in there.problems}
    return [set(kinds_of(each, other[each.problem])) for each in here.problems]


def test_a_sheet_has_every_answer_with_question_prompt_and_expected(run: RunDirectory) -> None:
    before, after = sheets(run)
    assert (before.step, after.step, len(after.problems)) == (0, 8, 6)
    first = after.problems[0]
    assert first.question and first.prompt and first.question in first.prompt
    assert first.expected is not None and first.expected.lstrip("-").isdigit()
    assert [sample.index for sample in first.samples] == [0, 1]
    assert after.metrics["mean@1"] == pytest.approx(7 / 12)
    low, high = after.intervals["mean@1"]
    assert low < after.metrics["mean@1"] < high


def test_what_a_problem_counts_as(run: RunDirectory) -> None:
    before, after = sheets(run)
    assert kinds(after, before) == [
        {"right", "newly solved"},
        {"right", "newly solved"},
        {"wrong", "newly failed"},
        {"right"},
        {"wrong", "truncated"},
        {"flipping"},
    ]
    assert "newly failed" in kinds(before, after)[0]


def test_answers_without_a_verdict_are_no_wrong_answers() -> None:
    from openthoughts_cli.evals.records import Sample

    pending = ProblemAnswers("p", (Sample("p", 0, "text", 3, "stop", None),))
    assert kinds_of(pending) == {"not graded"}
    assert kinds_of(pending, pending) == {"not graded"}


def test_an_evaluation_that_goes_on_has_answers_and_no_scores_yet(run: RunDirectory) -> None:
    place = run.eval_dir("arithmetic", 8)
    (place / "scores.json").unlink()
    with (place / "samples.jsonl").open("a") as file:
        file.write('{"problem": "torn')
    sheet = read_sheet(place)
    assert len(sheet.problems) == 6 and sheet.metrics == {}


def test_private_data_says_so(run: RunDirectory) -> None:
    assert read_sheet(run.eval_dir("gpqa", 8)).private
    assert not sheets(run)[0].private


def test_problems_that_cannot_be_had_leave_the_answers(run: RunDirectory) -> None:
    (run.path.parent / "made-up.jsonl").unlink()
    sheet = read_sheet(run.eval_dir("gpqa", 8))
    assert "made-up.jsonl" in sheet.why_no_text
    assert len(sheet.problems) == 1 and sheet.problems[0].question is None


def test_a_benchmark_in_a_file_is_never_imported(run: RunDirectory, tmp_path: Path) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    config = run.eval_dir("arithmetic", 8) / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"grader": f"{mine}:Mine"}))
    sheet = read_sheet(run.eval_dir("arithmetic", 8))
    assert len(sheet.problems) == 6 and "come with ot" in sheet.why_no_text
    assert not (tmp_path / "ran").exists()


def test_what_is_not_there_or_damaged_is_told(run: RunDirectory) -> None:
    with pytest.raises(NotFoundError):
        read_sheet(run.eval_dir("arithmetic", 3))
    (run.eval_dir("arithmetic", 8) / "config.json").write_text("[")
    with pytest.raises(DataError):
        read_sheet(run.eval_dir("arithmetic", 8))


def test_curves_stand_at_steps_tokens_or_dollars(run: RunDirectory) -> None:
    assert curve_names(run)[:3] == [TRAIN_LOSS, "arithmetic/mean@1", "arithmetic/pass@1"]
    losses = curve(run, TRAIN_LOSS)
    assert [point.step for point in losses] == list(range(1, 9))
    assert losses[-1].value == pytest.approx(1.2) and losses[-1].low is None
    assert [point.at for point in curve(run, "nll/mean", "tokens")] == [400.0, 800.0]
    assert [point.at for point in curve(run, "nll/mean", "usd")] == pytest.approx([0.4, 0.8])
    first, last = curve(run, "arithmetic/mean@1", "tokens")
    assert (first.at, last.at) == (0.0, 800.0)
    assert last.low is not None and last.high is not None and last.low < last.value < last.high
    assert curve(run, "no/such") == []


def test_a_long_curve_is_thinned_to_its_ends(tmp_path: Path) -> None:
    points = curve(answered_run(tmp_path, steps=2_500), TRAIN_LOSS)
    assert len(points) == 1_000
    assert (points[0].step, points[-1].step) == (1, 2_500)


def test_the_table_reads_a_run_again_when_it_changes(tmp_path: Path) -> None:
    old = answered_run(tmp_path, "a", created="2026-11-01T00:00:00+00:00")
    new = answered_run(tmp_path, "b", created="2026-11-02T00:00:00+00:00", usd=2.5)
    table = RunTable(tmp_path)
    rows = table.rows()
    assert [row.summary.run_id for row in rows] == ["b", "a"]
    assert rows[0].spent_usd == pytest.approx(2.5)
    again = table.rows()
    assert all(one is other for one, other in zip(rows, again, strict=True))
    with new.events_path.open("a") as file:
        file.write('{"event": "run_started", "attempt": 2}\n{"torn')
    changed = table.rows()
    assert changed[0].summary.status == "unfinished" and changed[1] is rows[1]
    (new.path / ".owner").write_text(f"pid {os.getpid()} on {socket.gethostname()}")
    assert [row.status for row in table.rows()] == ["running", "done"]
    (new.path / ".owner").unlink()
    assert [row.status for row in table.rows()] == ["unfinished", "done"]
    old.config_path.write_text("{")
    assert sorted(row.status for row in table.rows()) == ["damaged", "unfinished"]


def test_a_curve_grows_with_its_log(run: RunDirectory) -> None:
    before = curve(run, TRAIN_LOSS, "tokens")
    assert curve(run, TRAIN_LOSS, "tokens") == before
    append_line(run.metrics_path, {"step": 9, "num_tokens": 100, "train_mean_nll": 0.25})
    grown = curve(run, TRAIN_LOSS, "tokens")
    assert grown[:-1] == before
    assert (grown[-1].step, grown[-1].at, grown[-1].value) == (9, before[-1].at + 100, 0.25)


@pytest.mark.parametrize("tokens", ["many", [3], {}, None, True])
def test_a_length_that_is_no_number_is_none(run: RunDirectory, tokens: object) -> None:
    place = run.eval_dir("arithmetic", 8)
    line = {"problem": "made-up", "sample": 0, "completion": "4", "tokens": tokens}
    append_line(place / "samples.jsonl", line)
    found = next(each for each in read_sheet(place).problems if each.problem == "made-up")
    assert found.samples[0].tokens == 0
