"""Scores, plans and prompts of `ot eval` and `ot grade`, and the view while answers come in."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Generator, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from openthoughts_cli.cli.console import Console
from openthoughts_cli.cli.render.tables import facts, table
from openthoughts_cli.evals.plan import EvalPlan
from openthoughts_cli.evals.regrade import Regraded
from openthoughts_cli.evals.verb import EvalOutcome
from openthoughts_cli.events import EvalDone, EvalProgress, EvalStarted, Event, Listener

__all__ = [
    "open_eval_view",
    "render_outcome",
    "render_plan",
    "render_regraded",
    "render_summary",
]

_SHARES = ("mean@", "pass@", "maj@")


def render_plan(plan: EvalPlan) -> RenderableType:
    """What will be asked and at most cost."""
    rows: list[tuple[str, object]] = [
        ("model", f"{plan.model} on {plan.engine}"),
        ("weights", ", ".join(plan.targets)),
    ]
    for item in plan.benchmarks:
        if item.answers:
            text = (
                f"{item.items:,} problems, {item.answers:,} answers, prompts of "
                f"{item.read_tokens:,} tokens, at most {item.most_sampled_tokens:,} sampled tokens"
            )
        else:
            text = f"{item.items:,} held-out rows, {item.read_tokens:,} tokens"
        rows.append((item.name, text))
    rows.append(("cost", _cost(plan)))
    return facts(rows)


def _cost(plan: EvalPlan) -> str:
    if not plan.costs_money:
        return "none: it runs on this machine"
    if plan.most_usd is None:
        return f"unknown: no price is known for {plan.model}"
    limit = f"; limit ${plan.max_usd:.2f}" if plan.max_usd is not None else ""
    return f"at most ${plan.most_usd:.2f} (prices of {plan.prices_as_of}){limit}"


def render_outcome(outcome: EvalOutcome) -> RenderableType:
    """One line a score, with its interval, and where the records are."""
    rows: list[Sequence[object]] = []
    for result in outcome.results:
        scores = result.scores
        for metric, value in scores.metrics.items():
            if metric in ("errors", "no_answer", "truncated"):
                continue
            intervals = scores.record.get("intervals", {}).get(metric) or []
            rows.append(
                (
                    result.target,
                    scores.benchmark,
                    metric,
                    _figure(metric, value),
                    _interval(metric, intervals),
                    _counts(scores.record.get("counts", {}), scores.benchmark),
                )
            )
    columns = ("weights", "benchmark", "metric", "score", "95% interval", "of")
    parts: list[RenderableType] = [table(columns, rows, right=("score",))]
    parts.append(Text("intervals are for problems (or questions) like these", style="dim"))
    for result in outcome.results:
        counts = result.scores.record.get("counts", {})
        remarks = [
            f"{counts[key]:,} {words}"
            for key, words in (
                ("truncated", "answers were cut at the token limit"),
                ("no_answer", "answers state no answer"),
                ("errors", "answers are missing because of errors"),
                ("too_long", "rows were too long and left out"),
            )
            if counts.get(key)
        ]
        if remarks:
            parts.append(Text(f"{result.scores.benchmark}: {', '.join(remarks)}", style="yellow"))
    parts += [Text(f"records: {outcome.directory}", style="dim")]
    return Group(*parts)


def _figure(metric: str, value: float) -> str:
    return f"{value:.1%}" if metric.startswith(_SHARES) else f"{value:.4f}"


def _interval(metric: str, intervals: Sequence[Mapping[str, Any]]) -> str:
    for entry in intervals:
        if str(entry.get("estimand", "")).endswith("like these"):
            return f"{_figure(metric, entry['low'])} to {_figure(metric, entry['high'])}"
    return "-"


def _counts(counts: Mapping[str, Any], benchmark: str) -> str:
    if benchmark == "nll":
        return f"{counts.get('rows', 0):,} rows, {counts.get('questions', 0):,} questions"
    return f"{counts.get('problems', 0):,} problems, {counts.get('answers', 0):,} answers"


def render_summary(summary: Mapping[str, Any]) -> RenderableType:
    """The closing lines of `ot grade`."""
    accuracy = summary["accuracy"]
    return facts(
        [
            ("benchmark", summary["benchmark"]),
            ("answers", summary["answers"]),
            (
                "correct",
                f"{summary['correct']:,}" + ("" if accuracy is None else f" ({accuracy:.1%})"),
            ),
            ("verdicts", ", ".join(f"{n:,} {name}" for name, n in summary["verdicts"].items())),
        ]
    )


def render_regraded(results: Sequence[Regraded]) -> RenderableType:
    """One line a score that changed, and where the ones of before are."""
    rows = [
        (
            result.benchmark,
            result.step,
            f"{len(result.changed):,} of {result.answers:,}",
            metric,
            _figure(metric, result.before[metric]) if metric in result.before else "-",
            _figure(metric, value),
        )
        for result in results
        for metric, value in result.after.items()
        if metric.startswith(_SHARES)
    ]
    columns = ("benchmark", "step", "verdicts changed", "metric", "before", "now")
    kept = ["/".join(r.kept.parts[-3:]) for r in results if r.kept is not None]
    note = f"scores of before: {', '.join(kept)}" if kept else "no score changed"
    right = ("step", "verdicts changed", "before", "now")
    return Group(table(columns, rows, right=right), Text(note, style="dim"))


@contextlib.contextmanager
def open_eval_view(console: Console) -> Generator[Listener]:
    """A listener for the length of a block: a moving table on a terminal, plain lines elsewhere."""
    with console.listening() if not console.live else contextlib.nullcontext() as plain:
        if plain is not None:
            yield plain
            return
        state = _State()
        with Live(
            console=console.people,
            get_renderable=state.render,
            refresh_per_second=4,
            transient=True,
        ):
            yield _Teller(console, state).hear


class _State:
    """The newest figures of each evaluation at work."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rows: dict[tuple[str, int], tuple[EvalProgress | None, int, float]] = {}

    def start(self, event: EvalStarted) -> None:
        with self._lock:
            self._rows[event.benchmark, event.step] = (None, event.total, time.monotonic())

    def progress(self, event: EvalProgress) -> None:
        with self._lock:
            _, total, began = self._rows.get(
                (event.benchmark, event.step), (None, event.total, time.monotonic())
            )
            self._rows[event.benchmark, event.step] = (event, total, began)

    def done(self, event: EvalDone) -> None:
        with self._lock:
            self._rows.pop((event.benchmark, event.step), None)

    def render(self) -> RenderableType:
        with self._lock:
            rows = list(self._rows.items())
        if not rows:
            return Text("")
        lines = [
            _live_row(name, step, progress, total, began)
            for (name, step), (progress, total, began) in rows
        ]
        columns = (
            "benchmark",
            "step",
            "sampled",
            "graded",
            "score so far",
            "cut",
            "errors",
            "left",
        )
        made = table(columns, lines, right=("step", "sampled", "graded", "cut", "errors", "left"))
        if spent := [
            p.metrics["spent_usd"] for _, (p, _, _) in rows if p and "spent_usd" in p.metrics
        ]:
            made.caption = f"${max(spent):.2f} spent so far"
        return made


def _live_row(
    name: str, step: int, progress: EvalProgress | None, total: int, began: float
) -> tuple[object, ...]:
    if progress is None:
        return (name, step, "", f"0/{total:,}", "", "", "", "")
    metrics = progress.metrics
    seconds = time.monotonic() - began
    left = seconds / progress.done * (total - progress.done) if progress.done else None
    return (
        name,
        step,
        f"{metrics['sampled']:,.0f}" if "sampled" in metrics else "",
        f"{progress.done:,}/{total:,}",
        _score_so_far(metrics),
        f"{metrics['truncated']:.0%}" if "truncated" in metrics else "",
        f"{metrics.get('errors', 0):.0f}",
        "" if left is None else f"{left:,.0f} s",
    )


def _score_so_far(metrics: Mapping[str, float]) -> str:
    if "mean@1" in metrics:
        low, high = metrics.get("mean@1/low"), metrics.get("mean@1/high")
        spread = "" if low is None or high is None else f" ({low:.0%} to {high:.0%})"
        return f"mean@1 {metrics['mean@1']:.1%}{spread}"
    return f"{metrics['mean']:.4f} nats" if "mean" in metrics else ""


class _Teller:
    """Feeds the table; what is not about an evaluation goes to lines above it."""

    def __init__(self, console: Console, state: _State) -> None:
        from openthoughts_cli.cli.render.progress import PlainProgress

        self._state = state
        self._lines = PlainProgress(console)

    def hear(self, event: Event) -> None:
        match event:
            case EvalStarted():
                self._state.start(event)
            case EvalProgress():
                self._state.progress(event)
            case EvalDone():
                self._state.done(event)
                self._lines.hear(event)
            case _:
                self._lines.hear(event)
