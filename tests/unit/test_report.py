"""The page about a run: what it says, and that text in it stays text."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openthoughts_cli.config.benchmark import BenchmarkConfig
from openthoughts_cli.config.train import TrainConfig
from openthoughts_cli.evals.benchmark import Grade, benchmark
from openthoughts_cli.evals.records import EvalDirectory, Sample
from openthoughts_cli.events import EvalDone, RunFinished, RunStarted, StepDone
from openthoughts_cli.report.chart import Interval, Line, interval_chart, line_chart, nice_ticks
from openthoughts_cli.report.page import write_run_page
from openthoughts_cli.runs.layout import RunDirectory
from openthoughts_cli.runs.log import RunLog

HOSTILE = '<script>alert(1)</script><img src=x onerror="alert(2)">'


@given(low=st.floats(-1e6, 1e6), span=st.floats(1e-6, 1e6), about=st.integers(2, 9))
def test_ticks_are_ascending_and_span_the_values(low: float, span: float, about: int) -> None:
    ticks = nice_ticks(low, low + span, about)
    assert 2 <= len(ticks) <= 3 * about
    assert ticks == sorted(ticks)
    close = span * 1e-6 + 8 * math.ulp(abs(low) + span)  # far from 0 floats are coarse
    assert ticks[0] <= low + close
    assert ticks[-1] >= low + span - close


def test_equal_values_still_make_an_axis() -> None:
    assert len(nice_ticks(0.0, 0.0)) >= 2
    assert len(nice_ticks(3.0, 3.0)) >= 2


def test_charts_are_well_formed_and_escape_their_labels() -> None:
    lines = [Line("a", [(0, 2.0), (10, 0.5)], "a"), Line("b", [(0, 1.0)], "b", dots=True)]
    for svg in (
        line_chart(lines, x_label=HOSTILE, y_label="nats"),
        interval_chart([Interval(HOSTILE, 3.0, 1.0, 5.0, "a")], low=0, high=10, unit="%"),
    ):
        root = ET.fromstring(svg)
        assert root.tag.endswith("svg")
        assert "<script" not in svg
    assert line_chart([], x_label="x", y_label="y") == ""
    assert interval_chart([], low=0, high=1, unit="") == ""


def test_points_are_placed_by_their_values() -> None:
    svg = line_chart([Line("a", [(0, 0.0), (10, 4.0)], "a")], x_label="x", y_label="y")
    found = re.search(r'points="([\d.]+),([\d.]+) ([\d.]+),([\d.]+)"', svg)
    assert found is not None
    x0, y0, x1, y1 = map(float, found.groups())
    assert x0 < x1
    assert y0 > y1  # the SVG axis points down


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    """A finished run of two steps with one sampled benchmark before and after."""
    settings = BenchmarkConfig(limit=3, n=1, at_start=True)
    config = TrainConfig(subset="s", model=HOSTILE, evals={"arithmetic": settings})
    run = RunDirectory(tmp_path / "a-run")
    run.write_config(
        config.model_dump(mode="json"),
        {"identity": "i", "model": {"name": HOSTILE}, "subset": {"name": "s", "digest": "d"}},
    )
    log = RunLog(run, 1)
    log(RunStarted("a-run", str(run.path), 2, 2, "m", "local"))
    for step, loss in ((1, 2.0), (2, 1.0)):
        log(StepDone(step, 2, step / 2, 1e-3, 10, 5, loss, 0.1))
    problems = benchmark("arithmetic").load(settings).problems
    for step, right in ((0, False), (2, True)):
        directory = EvalDirectory(run.eval_dir("arithmetic", step))
        for problem in problems:
            grade = Grade(str(problem.answer), right, "correct" if right else "wrong")
            directory.append_sample(
                Sample(problem.id, 0, f"step {step} {HOSTILE}", 5, "stop", grade), seed=0
            )
        interval = {"low": 0.1, "high": 0.9, "estimand": "problems like these", "method": "m"}
        metrics = {"mean@1": float(right), "pass@1": float(right), "errors": 0.0}
        directory.write_scores({"metrics": metrics, "intervals": {"mean@1": [interval]}})
        log(EvalDone("arithmetic", step, metrics))
        log(EvalDone("nll", step, {"mean": 2.0 - step / 2}))
    log(RunFinished("a-run", "done", 2, 0.5))
    return run


def test_the_page_shows_what_moved(run: RunDirectory) -> None:
    page = write_run_page(run)
    html = page.read_text()
    assert page == run.path / "report.html"
    assert "0.0% → 100.0%" in html
    assert "2.000 → 1.000" in html
    assert "95% interval 10.0 to 90.0%" in html
    assert html.count("<svg") == 2
    assert "step 0" in html
    assert "step 2" in html


def test_nothing_in_the_page_runs_or_is_fetched(run: RunDirectory) -> None:
    html = write_run_page(run).read_text()
    assert "<script" not in html
    assert "<img" not in html
    assert "&lt;script&gt;" in html
    assert "default-src 'none'" in html
    assert "http://" not in html.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in html


def test_a_benchmark_whose_text_is_private_shows_no_answers(
    run: RunDirectory, tmp_path: Path
) -> None:
    log = RunLog(run, 1)
    for step in (0, 2):
        log(EvalDone("gpqa", step, {"mean@1": 0.5}))
        EvalDirectory(run.eval_dir("gpqa", step)).append_sample(
            Sample("q", 0, "SECRET TEXT", 5, "stop", None), seed=0
        )
    html = write_run_page(run, place=tmp_path / "out.html").read_text()
    assert "SECRET TEXT" not in html
    assert "gpqa" in html


def test_what_was_measured_once_does_not_look_as_if_it_had_moved(
    run: RunDirectory, tmp_path: Path
) -> None:
    kept = [
        line
        for line in run.metrics_path.read_text().splitlines()
        if "eval/" not in line or '"step": 2' in line
    ]
    run.metrics_path.write_text("\n".join(kept) + "\n")
    html = write_run_page(run, place=tmp_path / "out.html").read_text()
    numbers = re.findall(r'class="number">([^<]*)<', html)
    assert numbers[:2] == ["100.0%", "1.000"]
    assert html.count("mean@1, step 2<") == 1


def test_a_missing_first_value_is_not_shown_as_zero(run: RunDirectory, tmp_path: Path) -> None:
    text = run.metrics_path.read_text()
    run.metrics_path.write_text(text.replace('"eval/nll/mean": 2.0', '"eval/nll/other": 2.0'))
    html = write_run_page(run, place=tmp_path / "out.html").read_text()
    assert "no value → 1.000" in html


def test_a_curve_of_one_point_is_seen() -> None:
    one = line_chart([Line("a", [(1, 2.0)], "c0")], x_label="step", y_label="loss")
    two = line_chart([Line("a", [(1, 2.0), (2, 1.0)], "c0")], x_label="step", y_label="loss")
    assert (one.count("<circle"), two.count("<circle")) == (1, 0)
