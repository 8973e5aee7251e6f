"""What a person sees while a model is trained: a live panel, or one plain line a step."""

from __future__ import annotations

import contextlib
import sys
import time
from array import array
from collections import deque
from collections.abc import Generator
from typing import Any

from rich.console import Console as RichConsole
from rich.console import ConsoleDimensions, Group, RenderableType
from rich.control import Control
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from openthoughts_cli.cli.console import Console, survive_closed_stderr
from openthoughts_cli.cli.render.spark import sparkline
from openthoughts_cli.events import (
    CheckpointSaved,
    EvalDone,
    EvalProgress,
    EvalStarted,
    Event,
    Listener,
    Notice,
    RunFinished,
    RunStarted,
    StageDone,
    StageStarted,
    StepDone,
)

__all__ = ["TrainState", "duration", "headline_metric", "open_train_view", "plain_line"]

_LOSS_WIDTH = 28
_MOST_WARNINGS = 3
_RECENT_STEPS = 8
_REFRESH_HZ = 2


def duration(seconds: float) -> str:
    """`75` -> `1:15`, `3675` -> `1:01:15`."""
    whole = max(round(seconds), 0)
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"


def headline_metric(metrics: Any) -> tuple[str, str]:
    """The one score to show of a benchmark, as (name, text): the mean NLL, or pass@k, or mean@1."""
    if "mean" in metrics:
        return "nll", f"{metrics['mean']:.4f}"
    passes = [name for name in metrics if name.startswith("pass@")]
    for name in ("mean@1", *passes):
        if name in metrics:
            return name, f"{100 * metrics[name]:.1f}%"
    return ("", "")


class TrainState:
    """Everything the view shows, gathered from the events: eight bytes a step, however long."""

    def __init__(self, *, running_s: float = 0.0) -> None:
        self.started: RunStarted | None = None
        self.last: StepDone | None = None
        self.losses = array("d")
        self._losses_from = 1
        self._recent: deque[StepDone] = deque(maxlen=_RECENT_STEPS)
        self.scores: dict[str, list[tuple[int, dict[str, float]]]] = {}
        self.running: dict[tuple[str, int], tuple[int, int]] = {}
        self.checkpoint: CheckpointSaved | None = None
        self.warnings: list[str] = []
        self.stage = ""
        self.began = time.monotonic() - running_s

    def hear(self, event: Event) -> None:
        """Take one event in."""
        match event:
            case RunStarted():
                self.started = event
                self.stage = ""
                # A further attempt does the steps behind its checkpoint again.
                del self.losses[max(event.first_step - self._losses_from, 0) :]
                self.running.clear()
            case StepDone():
                if not self.losses:
                    self._losses_from = event.step
                self.last = event
                self.losses.append(event.train_mean_nll)
                self._recent.append(event)
            case EvalStarted():
                self.running[event.benchmark, event.step] = (0, event.total)
            case EvalProgress():
                self.running[event.benchmark, event.step] = (event.done, event.total)
            case EvalDone():
                self.running.pop((event.benchmark, event.step), None)
                self.scores.setdefault(event.benchmark, []).append(
                    (event.step, dict(event.metrics))
                )
            case CheckpointSaved():
                self.checkpoint = event
            case Notice(level="warning"):
                self.warnings = [*self.warnings, event.text][-_MOST_WARNINGS:]
            case StageStarted():
                self.stage = event.stage
            case StageDone():
                self.stage = ""
            case _:
                pass

    @property
    def tokens_per_s(self) -> float:
        """Over the last eight steps."""
        seconds = sum(step.seconds for step in self._recent)
        return sum(step.num_tokens for step in self._recent) / seconds if seconds else 0.0

    @property
    def eta_s(self) -> float | None:
        """Seconds of training left, by the last eight steps; None before the first."""
        if self.last is None:
            return None
        seconds = sum(step.seconds for step in self._recent) / len(self._recent)
        return (self.last.total_steps - self.last.step) * seconds


def _grid() -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(ratio=1)
    return table


def _progress_row(state: TrainState) -> RenderableType:
    last, started = state.last, state.started
    total = started.total_steps if started else 0
    done = last.step if last else (started.first_step - 1 if started else 0)
    row = Table.grid(padding=(0, 2))
    row.add_row(
        Text(f"{done}/{total}"),
        ProgressBar(total=max(total, 1), completed=done, width=24),
        Text(f"epoch {last.epoch:.2f}" if last else state.stage or "starting"),
        Text("" if state.eta_s is None else f"{duration(state.eta_s)} left"),
    )
    return row


_FOOT = "Ctrl-C saves and stops"


def view(state: TrainState, *, foot: str = _FOOT) -> RenderableType:
    """The panel."""
    table = _grid()
    table.add_row("step", _progress_row(state))
    if state.last is not None:
        last = state.last
        loss = Text.assemble(
            (f"{last.train_mean_nll:.4f}", "bold"), "  ", sparkline(state.losses, _LOSS_WIDTH)
        )
        loss.append(f"  lr {last.learning_rate:.1e}  {state.tokens_per_s:,.0f} tok/s", style="dim")
        table.add_row("loss", loss)
        table.add_row("engine", Text(_engine_text(last), style="dim"))
    for name, scores in state.scores.items():
        table.add_row(name, _score_text(scores))
    for (name, step), (done, total) in list(state.running.items())[:4]:
        table.add_row(name, Text(f"measuring step {step}: {done}/{total}", style="cyan"))
    if state.checkpoint is not None:
        table.add_row("saved", Text(state.checkpoint.name, style="dim"))
    for warning in state.warnings:
        table.add_row(Text("warning", style="yellow"), _one_line(warning))
    started = state.started
    title = f"{started.run_id} · {started.model} · {started.engine}" if started else "preparing"
    spent = duration(time.monotonic() - state.began)
    return Panel(Group(table), title=Text(title), subtitle=f"{spent} · {foot}", expand=True)


def _one_line(text: str) -> Text:
    return Text(text, style="yellow", no_wrap=True, overflow="ellipsis")


def _engine_text(last: StepDone) -> str:
    """How many batches were queued, how long the last step took, and the money spent."""
    parts = [f"{last.seconds:.1f} s a step"]
    if "queue_depth" in last.extra:
        parts.insert(0, f"queue {last.extra['queue_depth']:.0f}")
    if "spent_usd" in last.extra:
        parts.append(f"${last.extra['spent_usd']:.2f} spent")
    return " · ".join(parts)


def _score_text(scores: list[tuple[int, dict[str, float]]]) -> Text:
    shown = [headline_metric(metrics) for _, metrics in scores]
    first, newest = shown[0], shown[-1]
    text = Text()
    if len(shown) > 1:
        text.append(f"{first[1]} → ", style="dim")
    text.append(newest[1], style="bold green")
    text.append(f"  {newest[0]} after step {scores[-1][0]}", style="dim")
    if len(scores) > 2 and all("mean" in metrics for _, metrics in scores):
        text.append("  " + sparkline([metrics["mean"] for _, metrics in scores], 16))
    return text


def plain_line(event: Event) -> str | None:
    """One line for a log or a pipe; None for events that need none."""
    match event:
        case RunStarted():
            steps = f"steps {event.first_step}-{event.total_steps}"
            if event.first_step > event.total_steps:
                steps = f"all {event.total_steps} steps done"  # evaluations are owed
            return f"run {event.run_id}: {event.model} on {event.engine}, {steps}, in {event.directory}"
        case StepDone():
            return (
                f"step {event.step}/{event.total_steps}  epoch {event.epoch:.2f}  "
                f"loss {event.train_mean_nll:.4f}  lr {event.learning_rate:.2e}  "
                f"{event.num_tokens / event.seconds if event.seconds else 0:,.0f} tok/s  "
                f"{event.seconds:.1f}s"
            )
        case EvalDone():
            shown = ", ".join(f"{name} {value:.4g}" for name, value in event.metrics.items())
            return f"eval {event.benchmark} after step {event.step}: {shown}"
        case CheckpointSaved():
            return f"saved {event.name}"
        case Notice():
            return f"warning: {event.text}" if event.level == "warning" else event.text
        case StageStarted():
            return f"{event.stage} ..."
        case StageDone():
            return f"{event.stage}: {event.summary}" if event.summary else None
        case RunFinished():
            return f"run {event.run_id}: {event.status} after {duration(event.seconds)}"
        case _:
            return None


@contextlib.contextmanager
def open_train_view(
    console: Console, *, foot: str = _FOOT, running_s: float = 0.0
) -> Generator[Listener]:
    """A listener that shows a run on stderr, live on a terminal and as plain lines elsewhere.

    Args:
        running_s: how long the run has gone on already.
    """
    if console.live:
        with _live(console.people, foot, running_s) as listener:
            yield listener
        return

    def tell(event: Event) -> None:
        if console.quiet and not (isinstance(event, Notice) and event.level == "warning"):
            return
        _print_line(console.people, event)

    yield tell


def _print_line(console: RichConsole, event: Event) -> None:
    line = plain_line(event)
    if line is not None:
        with survive_closed_stderr():
            console.print(line, markup=False, highlight=False, soft_wrap=True)


class _ResizingLive(Live):
    """A live panel that begins anew at the top when the terminal gets another size: by then the
    terminal has wrapped the old one, and nobody knows over how many lines."""

    _size: ConsoleDimensions | None = None

    def refresh(self) -> None:
        if self._size not in (None, self.console.size):
            self.console.control(Control.home(), Control.clear())
        self._size = self.console.size
        super().refresh()


@contextlib.contextmanager
def _live(console: RichConsole, foot: str, running_s: float) -> Generator[Listener]:
    """Plain lines until the run starts (the plan is shown and asked about there), then the panel."""
    state = TrainState(running_s=running_s)
    live = _ResizingLive(
        get_renderable=lambda: view(state, foot=foot),
        console=console,
        refresh_per_second=_REFRESH_HZ,
    )

    def tell(event: Event) -> None:
        state.hear(event)
        if isinstance(event, RunStarted):
            live.start(refresh=True)
        if not live.is_started or (isinstance(event, Notice) and event.level == "info"):
            _print_line(console, event)

    with _no_echo_of_ctrl_c():
        try:
            yield tell
        finally:
            live.stop()


@contextlib.contextmanager
def _no_echo_of_ctrl_c() -> Generator[None]:
    """Without it the terminal writes `^C` behind the panel, and the next one begins a line too low."""
    if sys.platform == "win32" or not sys.stdin.isatty():
        yield
        return
    import termios

    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    quiet = [*before]
    quiet[3] = before[3] & ~termios.ECHOCTL
    termios.tcsetattr(terminal, termios.TCSANOW, quiet)
    try:
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSANOW, before)
