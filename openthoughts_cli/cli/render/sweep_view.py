"""What a person sees while a sweep runs: one line a cell, or plain lines with the cell's name."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Generator, Iterable, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from openthoughts_cli.cli.console import Console, survive_closed_stderr
from openthoughts_cli.cli.render.plan import dollars
from openthoughts_cli.cli.render.spark import sparkline
from openthoughts_cli.cli.render.train_view import (
    TrainState,
    duration,
    headline_metric,
    plain_line,
)
from openthoughts_cli.events import (
    CheckpointSaved,
    Event,
    Listener,
    Notice,
    RunFinished,
    RunStarted,
    StageDone,
    StageStarted,
    StepDone,
)
from openthoughts_cli.sweeps.launch import CellEnded, CellStarted, CellTold

__all__ = ["Board", "board", "open_sweep_view"]

_PLAIN_STEP_S = 10.0
_OTHER_COLUMNS = 54  # what state, step, loss, nll and one score take of a line
_FOOT = "Ctrl-C stops all at checkpoints"
_STYLES = {
    "done": "green",
    "running": "",
    "starting": "",
    "waiting": "dim",
    "failed": "red",
    "reused": "green",
}
_ORDER = ("running", "starting", "failed", "budget", "interrupted", "died", "done", "waiting")


class Board:
    """What has become of each cell, gathered from the events."""

    def __init__(self, cells: Iterable[tuple[str, str]] = ()) -> None:
        """`cells`: names with the state they begin in, `done` or `waiting`."""
        self.status: dict[str, str] = dict(cells)
        self.runs: dict[str, TrainState] = {}
        self.began = time.monotonic()
        self._first_done = 0.0
        self._done_before = sum(state == "done" for state in self.status.values())
        self._went_on_at: dict[str, float] = {}

    def begin(self, cells: Iterable[tuple[str, str]]) -> None:
        """The cells are known now: names with the state they begin in."""
        self.status = dict(cells)
        self._done_before = sum(state == "done" for state in self.status.values())
        self.began = time.monotonic()

    def hear(self, event: Event) -> None:
        """Take one event in."""
        match event:
            case CellStarted():
                self.status[event.cell] = "starting"  # or in the queue of a cluster
                self.runs.setdefault(event.cell, TrainState())
            case CellTold():
                if self.status.get(event.cell) == "starting":
                    self.status[event.cell] = "running"
                self.runs.setdefault(event.cell, TrainState()).hear(event.event)
                if isinstance(event.event, RunStarted):
                    self._went_on_at.setdefault(event.cell, self._share(event.cell))
            case CellEnded():
                self.status[event.cell] = "starting" if event.again else event.outcome.status
            case _:
                pass

    def count(self, status: str) -> int:
        """How many cells have that status."""
        return sum(state == status for state in self.status.values())

    @property
    def share_done(self) -> float:
        """Of the work of all cells, 0 to 1; a cell of unknown length counts as not begun."""
        if not self.status:
            return 0.0
        return sum(self._share(name) for name in self.status) / len(self.status)

    def steps(self, name: str) -> tuple[int, int] | None:
        """How many steps a cell has done, those before a resume included, and of how many."""
        run = self.runs.get(name)
        if run is None or (run.last is None and run.started is None):
            return None
        if run.last is not None:
            return run.last.step, run.last.total_steps
        assert run.started is not None
        return run.started.first_step - 1, run.started.total_steps

    def _share(self, name: str) -> float:
        if self.status[name] in ("done", "failed"):
            return 1.0
        steps = self.steps(name)
        return 0.0 if steps is None else steps[0] / max(steps[1], 1)

    @property
    def eta_s(self) -> float | None:
        """Seconds until all are done, as fast as it went so far; None at the very beginning."""
        before = self._done_before + sum(self._went_on_at.values())
        before /= max(len(self.status), 1)
        gained = self.share_done - before
        spent_s = time.monotonic() - self.began
        if gained <= 0.03 or spent_s < 1:
            return None
        return spent_s * (1 - self.share_done) / gained

    @property
    def spent_usd(self) -> float:
        """By the newest step of each cell that tells it."""
        steps = [state.last for state in self.runs.values() if state.last is not None]
        return sum(step.extra.get("spent_usd", 0.0) for step in steps)


def board(state: Board, *, foot: str, height: int, width: int = 80) -> RenderableType:
    """The table: cells at work first, as many as fit in `height` lines, and the totals."""
    header, called = _fitting(list(state.status), width - _OTHER_COLUMNS)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", expand=True)
    table.add_column(header, no_wrap=True, overflow="ellipsis", ratio=3, min_width=12)
    table.add_column("state", no_wrap=True)
    table.add_column("step", no_wrap=True, justify="right")
    table.add_column("loss", no_wrap=True, justify="right")
    table.add_column("nll", no_wrap=True)
    table.add_column("scores", no_wrap=True, overflow="ellipsis", ratio=2)
    paid = state.spent_usd > 0
    if paid:
        table.add_column("$", no_wrap=True, justify="right")
    names = sorted(state.status, key=lambda name: _ORDER.index(_known(state.status[name])))
    shown = names[: max(height - 4, 3)]
    for name in [name for name in state.status if name in set(shown)]:
        table.add_row(*_row(state, name, called[name], paid=paid))
    hidden = len(names) - len(shown)
    lines: list[RenderableType] = [table]
    if hidden:
        lines.append(Text(f"and {hidden} more", style="dim"))
    return Group(*lines, _totals(state, foot))


def _known(status: str) -> str:
    return status if status in _ORDER else "waiting"


def _fitting(names: Sequence[str], room: int) -> tuple[str, dict[str, str]]:
    """A header, and what each cell is called under it: where a name would be cut, its values alone,
    since cells differ in these."""
    keys = {re.sub(r"=[^,]*", "", name): None for name in names}
    values = {name: re.sub(r"(^|,)[^,=]*=", r"\1", name) for name in names}
    fits = max(map(len, names), default=0) <= room
    if fits or len(keys) > 1 or len(set(values.values())) < len(names):
        return "cell", {name: name for name in names}
    return next(iter(keys)), values


def _row(state: Board, name: str, called: str, *, paid: bool) -> list[Text]:
    status = state.status[name]
    run = state.runs.get(name, TrainState())
    last, steps = run.last, state.steps(name)
    nll = [metrics["mean"] for _, metrics in run.scores.get("nll", []) if "mean" in metrics]
    row = [
        Text(called),
        Text(status, style=_STYLES.get(status, "yellow")),
        Text("" if steps is None else f"{steps[0]}/{steps[1]}"),
        Text("" if last is None else f"{last.train_mean_nll:.3f}"),
        Text(f"{sparkline(nll, 8)} {nll[-1]:.3f}" if nll else ""),
        Text(_scores(run)),
    ]
    if paid:
        spent = 0.0 if last is None else last.extra.get("spent_usd", 0.0)
        row.append(Text(f"{spent:.2f}"))
    return row


def _scores(run: TrainState) -> str:
    shown = [
        f"{name} {headline_metric(scores[-1][1])[1]}"
        for name, scores in run.scores.items()
        if name != "nll" and scores
    ]
    return ", ".join(shown)


def _totals(state: Board, foot: str) -> Text:
    counts = [(state.count(status), status) for status in _ORDER]
    text = ", ".join(f"{number} {status}" for number, status in counts if number)
    parts = [text, f"{state.share_done:.0%}"]
    if state.spent_usd:
        parts.append(f"{dollars(state.spent_usd)} spent")
    if state.eta_s is not None:
        parts.append(f"{duration(state.eta_s)} left")
    return Text(" · ".join([*parts, duration(time.monotonic() - state.began), foot]), style="bold")


@contextlib.contextmanager
def open_sweep_view(console: Console, state: Board, *, foot: str = _FOOT) -> Generator[Listener]:
    """A listener that shows a sweep on stderr, live on a terminal and as plain lines elsewhere."""
    if console.live:
        with _live(console, state, foot) as listener:
            yield listener
        return
    lines = _PlainLines(console)

    def tell(event: Event) -> None:
        state.hear(event)
        lines.hear(event)

    yield tell


@contextlib.contextmanager
def _live(console: Console, state: Board, foot: str) -> Generator[Listener]:
    """Plain lines until the first cell starts (the plan is asked about there), then the table."""
    from rich.live import Live

    people = console.people
    live = Live(
        get_renderable=lambda: board(
            state, foot=foot, height=people.size.height, width=people.size.width
        ),
        console=people,
        refresh_per_second=4,
    )
    lines = _PlainLines(console)

    def tell(event: Event) -> None:
        state.hear(event)
        if isinstance(event, CellStarted) and not live.is_started:
            live.start(refresh=True)
        if not live.is_started or isinstance(event, CellEnded):
            lines.hear(event)

    try:
        yield tell
    finally:
        live.stop()


class _PlainLines:
    """Lines for a log: a cell's scores and end, its steps now and then, errors at once."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._said_s: dict[str, float] = {}

    def hear(self, event: Event) -> None:
        match event:
            case CellStarted():
                self._note(f"{event.cell}: started, run {event.run}")
            case CellTold():
                self._told(event)
            case CellEnded():
                self._ended(event)
            case Notice(level="warning"):
                self._console.warn(event.text)
            case Notice() | StageDone():
                if (line := plain_line(event)) is not None:
                    self._note(line)
            case _:
                pass

    def _told(self, event: CellTold) -> None:
        inner = event.event
        if isinstance(inner, (CheckpointSaved, StageStarted, StageDone, RunFinished)):
            return
        if isinstance(inner, StepDone):
            now_s = time.monotonic()
            last = inner.step == inner.total_steps
            if not last and now_s - self._said_s.get(event.cell, 0.0) < _PLAIN_STEP_S:
                return
            self._said_s[event.cell] = now_s
        line = plain_line(inner)
        if line is None:
            return
        if isinstance(inner, Notice) and inner.level == "warning":
            self._console.warn(f"{event.cell}: {inner.text}")
        else:
            self._note(f"{event.cell}: {line}")

    def _ended(self, event: CellEnded) -> None:
        outcome = event.outcome
        if outcome.status not in ("failed", "died") and not outcome.error:
            self._note(f"{event.cell}: {outcome.status}")
            return
        again = "; it goes on from its last checkpoint" if event.again else ""
        self._console.warn(f"{event.cell} {outcome.status}: {outcome.error}{again}")
        for line in outcome.last_lines:
            self._note(f"    {line}")

    def _note(self, text: str) -> None:
        with survive_closed_stderr():
            self._console.note(text)
