"""The moving table of `ot eval`: what is asked, graded, scored, missing and paid."""

from __future__ import annotations

import io
import sys

import pytest
from rich.console import Console as RichConsole

from openthoughts_cli.cli.console import Console
from openthoughts_cli.cli.render import eval as view
from openthoughts_cli.events import EvalDone, EvalProgress, EvalStarted

METRICS = {
    "mean@1": 0.25,
    "mean@1/low": 0.1,
    "mean@1/high": 0.5,
    "truncated": 0.125,
    "errors": 1.0,
    "sampled": 9.0,
}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_table_shows_each_benchmark_at_work(monkeypatch: pytest.MonkeyPatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "120")
    console = Console()
    assert console.live
    with view.open_eval_view(console) as listener:
        listener(EvalStarted("aime25", 4, 210))
        listener(EvalStarted("gpqa", 4, 350))
        listener(EvalProgress("aime25", 4, 8, 210, {**METRICS, "spent_usd": 1.5}))
        listener(EvalDone("gpqa", 4, {"mean@1": 0.5}))
    seen = terminal.getvalue()
    for words in ("25.0% (10% to 50%)", "8/210", "12%", "$1.50 spent so far", "gpqa"):
        assert words in seen, words


def test_what_is_left_is_guessed_from_the_pace(monkeypatch: pytest.MonkeyPatch):
    out = io.StringIO()
    monkeypatch.setenv("COLUMNS", "120")
    line = view._live_row("nll", 0, EvalProgress("nll", 0, 1, 4, {"mean": 1.25}), 4, -1e9)  # pyright: ignore[reportPrivateUsage]
    RichConsole(file=out, width=120).print(str(line))
    assert "1.2500 nats" in out.getvalue()
    assert line[-1] not in ("", "0 s")
