"""Runs as tables."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from openthoughts_cli.cli.render.tables import facts, table
from openthoughts_cli.cli.render.train_view import duration, headline_metric
from openthoughts_cli.runs.summary import RunSummary

__all__ = ["render_run", "render_runs"]

_STATUS_STYLE = {
    "done": "green",
    "failed": "red",
    "unfinished": "yellow",
    "interrupted": "yellow",
    "budget": "yellow",
}


def _loss(summary: RunSummary) -> str:
    if summary.first_loss is None or summary.last_loss is None:
        return ""
    return f"{summary.first_loss:.3f} → {summary.last_loss:.3f}"


def _status(summary: RunSummary) -> Text:
    return Text(summary.status, style=_STATUS_STYLE.get(summary.status, ""))


def render_runs(summaries: Sequence[RunSummary]) -> RenderableType:
    """One line a run, newest last."""
    rows = [
        (
            summary.run_id,
            _status(summary),
            f"{summary.steps_done}/{summary.total_steps}",
            _loss(summary),
            "\n".join(f"{e.benchmark} {headline_metric(e.last)[1]}" for e in summary.evals),
        )
        for summary in summaries
    ]
    made = table(("run", "status", "steps", "loss", "scores"), rows, right=("steps",))
    made.show_edge = False  # the first line says something: `ot runs ls | head`
    return made


def render_run(summary: RunSummary) -> RenderableType:
    """One run in full."""
    pairs: list[tuple[str, object]] = [
        ("run", summary.run_id),
        ("status", _status(summary)),
        ("model", f"{summary.model} on {summary.engine}"),
        ("subset", summary.subset),
        ("begun", summary.created),
        (
            "steps",
            f"{summary.steps_done} of {summary.total_steps}, {summary.train_tokens:,} tokens in "
            f"{duration(summary.seconds)}",
        ),
        ("train loss", _loss(summary)),
        ("checkpoints", summary.checkpoints),
        ("directory", summary.path),
    ]
    if summary.reason:
        pairs.insert(2, ("because", summary.reason))
    if summary.problem:
        pairs.append(("damaged", Text(summary.problem, style="red")))
    return Group(facts(pairs), _scores(summary)) if summary.evals else facts(pairs)


def _scores(summary: RunSummary) -> RenderableType:
    rows = [
        (
            item.benchmark,
            metric,
            "" if (first := item.first.get(metric)) is None else f"{first:.4f}",
            f"{last:.4f}",
            f"{item.first_step} to {item.last_step}",
        )
        for item in summary.evals
        for metric, last in item.last.items()
    ]
    columns = ("benchmark", "metric", "first", "last", "steps")
    return table(columns, rows, right=("first", "last", "steps"))
