"""What a person sees of a sweep that runs."""

from __future__ import annotations

import io

from rich.console import Console

from openthoughts_cli.cli.render.sweep_view import Board, board
from openthoughts_cli.events import EvalDone, RunStarted, StepDone
from openthoughts_cli.sweeps.launch import CellEnded, CellOutcome, CellStarted, CellTold

NAMES = [
    f"learning_rate={rate},lora_rank={rank},source={source}"
    for rate in ("0.0001", "0.001")
    for rank in (4, 16)
    for source in ("openmath", "physics")
]


def a_board() -> Board:
    state = Board((name, "waiting") for name in NAMES)
    for name in NAMES[:3]:
        state.hear(CellStarted(name, "run"))
        state.hear(CellTold(name, RunStarted("run", "runs/run", 12, 12, "m", "local")))
        state.hear(CellTold(name, EvalDone("nll", 0, {"mean": 1.5})))
        state.hear(CellTold(name, StepDone(6, 12, 0.5, 1e-4, 300, 200, 1.25, 2.0)))
    state.hear(CellTold(NAMES[0], EvalDone("arithmetic", 12, {"mean@1": 0.25})))
    state.hear(CellEnded(NAMES[0], CellOutcome("done")))
    return state


def lines_of(state: Board, *, width: int, height: int = 24) -> list[str]:
    text = io.StringIO()
    console = Console(file=text, width=width, height=height)
    console.print(board(state, foot="Ctrl-C stops all", height=height, width=width))
    return text.getvalue().splitlines()


def test_names_that_do_not_fit_are_told_apart_by_their_values() -> None:
    lines = lines_of(a_board(), width=80)
    assert lines[0].startswith("learning_rate,lora_rank,sou")
    called = [line.split()[0] for line in lines[1:9]]
    assert called == [",".join(p.partition("=")[2] for p in name.split(",")) for name in NAMES]
    assert "done     6/12  1.250" in lines[1]
    assert lines[1].rstrip().endswith("arithmetic 25.0%")
    assert lines[9].startswith("2 running, 1 done, 5 waiting")


def test_names_that_fit_stay_whole() -> None:
    lines = lines_of(a_board(), width=120)
    assert lines[0].startswith("cell ")
    assert [line.split()[0] for line in lines[1:9]] == NAMES


def test_of_too_many_cells_those_at_work_are_shown() -> None:
    lines = lines_of(a_board(), width=80, height=7)
    assert len(lines) == 6
    assert [line.split()[1] for line in lines[1:4]] == ["done", "running", "running"]
    assert lines[4] == "and 5 more"


def test_a_cell_that_goes_on_counts_what_was_done_before() -> None:
    state = Board([("a", "waiting"), ("b", "waiting")])
    state.hear(CellStarted("a", "run"))
    state.hear(CellStarted("b", "run"))  # in a process that loads, or in a cluster's queue
    state.hear(CellTold("a", RunStarted("run", "runs/run", 12, 12, "m", "local", first_step=10)))
    assert state.steps("a") == (9, 12)
    assert state.steps("b") is None
    assert state.share_done == 0.375
    assert state.eta_s is None  # nothing was gained yet
    lines = lines_of(state, width=80)
    assert [line.split() for line in lines[1:3]] == [["a", "running", "9/12"], ["b", "starting"]]
    assert lines[3].startswith("1 running, 1 starting")
