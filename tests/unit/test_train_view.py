"""What a person sees of a run, on a terminal and in a log."""

from __future__ import annotations

import io
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console as RichConsole
from rich.console import ConsoleDimensions

from openthoughts_cli.cli.console import Console
from openthoughts_cli.cli.render.spark import sparkline
from openthoughts_cli.cli.render.train_view import (
    TrainState,
    duration,
    headline_metric,
    open_train_view,
    plain_line,
    view,
)
from openthoughts_cli.events import (
    CheckpointSaved,
    EvalDone,
    EvalProgress,
    EvalStarted,
    Event,
    Notice,
    RunFinished,
    RunStarted,
    StageProgress,
    StepDone,
)

EVENTS: list[Event] = [
    RunStarted("2026-run-[red]", "runs/x", 10, 5, "smollm2-135m", "local"),
    StepDone(1, 10, 0.2, 1e-3, 100, 60, 2.0, 0.5),
    StepDone(2, 10, 0.4, 9e-4, 100, 60, 1.5, 0.5),
    EvalStarted("arithmetic", 2, 40),
    EvalProgress("arithmetic", 2, 12, 40, {"mean@1": 0.1}),
    EvalDone("nll", 0, {"mean": 2.1}),
    EvalDone("nll", 2, {"mean": 1.4}),
    CheckpointSaved("step-000002", 3, 0.4, "/state", None),
    Notice("3 rows dropped [bold]", "warning"),
]


@given(values=st.lists(st.floats(-1e3, 1e3), max_size=80), width=st.integers(0, 40))
def test_a_sparkline_fits_and_marks_its_extremes(values: list[float], width: int) -> None:
    text = sparkline(values, width)
    assert len(text) <= width
    if len(values) <= width and len(set(values)) > 1:
        assert text[values.index(max(values))] == "█"
        assert text[values.index(min(values))] == "▁"


def test_a_long_series_is_seen_from_its_beginning() -> None:
    assert sparkline([float(9 - i // 10) for i in range(100)], 10) == "██▇▆▅▄▃▂▁▁"


def screen(width: int) -> str:
    state = TrainState()
    for event in EVENTS:
        state.hear(event)
    out = io.StringIO()
    RichConsole(file=out, width=width, height=24, force_terminal=False).print(view(state))
    return out.getvalue()


@pytest.mark.parametrize("width", [40, 80, 120])
def test_the_panel_fits_the_terminal(width: int) -> None:
    lines = screen(width).splitlines()
    assert max(map(len, lines)) <= width
    assert len(lines) <= 22


def test_the_panel_says_where_the_run_is() -> None:
    text = screen(80)
    for part in (
        "2/10", "epoch 0.40", "0:04 left", "1.5000", "200 tok/s", "2.1000 → 1.4000",
        "measuring step 2: 12/40", "step-000002", "3 rows dropped [bold]", "2026-run-[red]",
    ):  # fmt: skip
        assert part in text


def test_plain_lines_are_one_a_step_and_none_for_progress() -> None:
    assert plain_line(EVENTS[1]) == (
        "step 1/10  epoch 0.20  loss 2.0000  lr 1.00e-03  200 tok/s  0.5s"
    )
    assert plain_line(StageProgress("x", 1)) is None
    assert plain_line(EVENTS[4]) is None
    assert plain_line(RunFinished("r", "done", 2, 3675)) == "run r: done after 1:01:15"


def test_without_a_terminal_the_lines_go_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    with open_train_view(Console()) as listener:
        for event in EVENTS:
            listener(event)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "step 2/10" in captured.err
    assert "warning: 3 rows dropped [bold]" in captured.err


def test_quiet_keeps_warnings_alone(capsys: pytest.CaptureFixture[str]) -> None:
    with open_train_view(Console(quiet=True)) as listener:
        for event in EVENTS:
            listener(event)
    assert capsys.readouterr().err == "warning: 3 rows dropped [bold]\n"


def test_durations_and_headlines() -> None:
    assert [duration(s) for s in (0.4, 59.6, 75, 3675)] == ["0:00", "1:00", "1:15", "1:01:15"]
    assert headline_metric({"mean": 1.25, "per_byte": 0.5}) == ("nll", "1.2500")
    assert headline_metric({"pass@7": 0.5, "mean@1": 0.25}) == ("mean@1", "25.0%")
    assert headline_metric({}) == ("", "")


def test_another_size_of_the_terminal_begins_the_panel_anew_at_the_top() -> None:
    out = io.StringIO()
    people = RichConsole(file=out, width=80, height=24, force_terminal=True, _environ={})
    console = Console()
    console.__dict__["people"] = people  # what the property would make of stderr
    clear = "\x1b[H\x1b[2J"
    with open_train_view(console) as listener:
        for event in EVENTS:
            listener(event)
        time.sleep(1.2)
        assert clear not in out.getvalue()
        people.size = ConsoleDimensions(60, 20)
        deadline = time.monotonic() + 60
        while clear not in out.getvalue():
            assert time.monotonic() < deadline
            time.sleep(0.05)
    behind = out.getvalue().split(clear)
    assert len(behind) == 2
    assert "2/10" in behind[1]


def test_a_view_takes_no_more_memory_for_more_steps() -> None:
    state = TrainState()
    state.hear(RunStarted("r", "runs/r", 5000, 100, "m", "local"))
    for number in range(1, 5001):
        state.hear(StepDone(number, 5000, 0.2, 1e-3, 100, 60, 5000.0 - number, 0.5))
        state.hear(Notice(f"warning {number}", "warning"))
    assert len(state.losses) * state.losses.itemsize == 40_000
    assert len(state.warnings) == 3
    assert state.tokens_per_s == 200
    state.hear(RunStarted("r", "runs/r", 5000, 100, "m", "local", first_step=11))
    assert list(state.losses) == [5000.0 - number for number in range(1, 11)]


def test_a_run_whose_evaluations_alone_are_owed_counts_no_steps_backwards() -> None:
    begun = RunStarted("r", "runs/r", 360, 12, "m", "local", first_step=361)
    assert plain_line(begun) == "run r: m on local, all 360 steps done, in runs/r"
    half = RunStarted("r", "runs/r", 360, 12, "m", "local", first_step=7)
    assert plain_line(half) == "run r: m on local, steps 7-360, in runs/r"
