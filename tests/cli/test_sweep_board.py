"""`ot runs show` and `ot report` of a sweep, as commands."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import CommandResult
from tests.doubles.finished_sweep import FinishedSweep

Ot = Callable[..., CommandResult]


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FinishedSweep:
    monkeypatch.setenv("OT_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("OT_SWEEPS", str(tmp_path / "sweeps"))
    axes = {"train.learning_rate": [1e-4, 1e-3], "subset.source": ["math|1", "<b>"]}
    return FinishedSweep(tmp_path, axes, name="rates", shift={1e-3: 0.35})


def test_the_ranking_is_one_record(ot: Ot, sweep: FinishedSweep) -> None:
    done = ot("runs", "show", "rates", "--json")
    assert done.code == 0, done.err
    record = json.loads(done.out)
    assert record["kind"] == "leaderboard"
    assert record["metric"] == "eval/arithmetic/mean@1"
    assert [entry["rank"] for entry in record["entries"]] == [[1, 2], [1, 2], [3, 4], [3, 4]]
    assert {effect["axis"] for effect in record["effects"]} == {
        "train.learning_rate",
        "subset.source",
    }


def test_the_ranking_for_a_person_fits_80_columns(ot: Ot, sweep: FinishedSweep) -> None:
    done = ot("runs", "show", "rates", "--plain")
    assert done.code == 0, done.err
    assert "no winner" in done.out
    assert "2 of 4 recipes may be the best" in done.out
    assert "main effects" in done.out
    assert max(map(len, done.out.splitlines())) <= 80


def test_csv_has_a_line_a_recipe(ot: Ot, sweep: FinishedSweep) -> None:
    done = ot("runs", "show", "rates", "--csv")
    rows = list(csv.DictReader(io.StringIO(done.out)))
    assert len(rows) == 4
    assert {row["subset.source"] for row in rows} == {"math|1", "<b>"}
    assert rows[0]["train.learning_rate"] == "0.001"
    assert float(rows[0]["low"]) < float(rows[0]["score"]) < float(rows[0]["high"])


def test_markdown_takes_text_as_text(ot: Ot, sweep: FinishedSweep) -> None:
    done = ot("runs", "show", "rates", "--md")
    assert done.out.startswith("## rates\n")
    assert "source=math\\|1" in done.out
    assert "<b>" not in done.out.replace("\\<b\\>", "")
    widths = {
        line.replace("\\|", "").count("|") for line in done.out.splitlines() if line.startswith("|")
    }
    assert widths == {7, 8}  # ranking and effects have 6 columns, cost has 7


def test_another_metric_and_another_baseline(ot: Ot, sweep: FinishedSweep) -> None:
    options = ("--metric", "nll", "--baseline", "learning_rate=0.001, source=<b>", "--json")
    record = json.loads(ot("runs", "show", "rates", *options).out)
    assert (record["metric"], record["baseline"]) == (
        "eval/nll/mean",
        "learning_rate=0.001,source=<b>",
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("rates", "--json", "--csv"), "cannot be given together"),
        (("rates", "--at", "first"), "neither final nor best"),
        (("rates", "--metric", "x"), "no cell of the sweep was measured by eval/x/mean@1"),
        (("rates", "--baseline", "x"), "no recipe 'x'"),
        (("ratse",), "no run 'ratse', and no sweep 'ratse'; did you mean rates?"),
    ],
)
def test_what_cannot_be_shown_is_told(
    ot: Ot, sweep: FinishedSweep, options: tuple[str, ...], words: str
) -> None:
    done = ot("runs", "show", *options)
    assert (done.code, done.out) == (2, "")
    assert words in done.err


def test_a_run_is_still_shown_and_has_no_ranking(ot: Ot, sweep: FinishedSweep) -> None:
    run = sweep.run(sweep.entries[0]).run_id
    assert json.loads(ot("runs", "show", run, "--json").out)["kind"] == "run"
    done = ot("runs", "show", run, "--metric", "nll")
    assert (done.code, done.out) == (2, "")
    assert "--metric ranks a sweep" in done.err


def test_a_page_about_a_sweep(ot: Ot, sweep: FinishedSweep, tmp_path: Path) -> None:
    done = ot("report", "rates", "--metric", "nll", "--json")
    assert done.code == 0, done.err
    page = Path(json.loads(done.out)["page"])
    assert page == tmp_path / "sweeps" / "rates" / "report.html"
    assert "Ranking by eval/nll/mean" in page.read_text()
    other = tmp_path / "elsewhere.html"
    assert ot("report", "rates", "-o", other).out == f"{other}\n"
    run = sweep.run(sweep.entries[0]).run_id
    refused = ot("report", run, "--metric", "nll")
    assert (refused.code, refused.out) == (2, "")
