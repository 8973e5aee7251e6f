"""Runs as tables."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from openthoughts_cli.cli.render.train_view import duration, headline_metric
from openthoughts_cli.runs.summary import RunSummary

__all__ = ["render_run", "render_runs"]

_STATUS_STYLE = {"done": "green", "failed": "red", "unfinished": "yellow", "interrupted": "yellow"}


def _loss(summary: RunSummary) -> str:
    if summary.first_loss is None or summary.last_loss is None:
        return ""
    return f"{summary.first_loss:.3f} → {summary.last_loss:.3f}"


def render_runs(summaries: Sequence[RunSummary]) -> RenderableType:
    """One line a run, newest last."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("run", overflow="fold", ratio=1)
    table.add_column("status", no_wrap=True)
    table.add_column("steps", justify="right", no_wrap=True)
    table.add_column("loss", no_wrap=True)
    table.add_column("scores", no_wrap=True)
    for summary in summaries:
        scores = (headline_metric(item.last)[1] for item in summary.evals)
        named = zip((item.benchmark for item in summary.evals), scores, strict=True)
        table.add_row(
            summary.run_id,
            Text(summary.status, style=_STATUS_STYLE.get(summary.status, "")),
            f"{summary.steps_done}/{summary.total_steps}",
            _loss(summary),
            "\n".join(f"{name} {score}" for name, score in named),
        )
    return table


def render_run(summary: RunSummary) -> RenderableType:
    """One run in full."""
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    facts.add_row("run", summary.run_id)
    facts.add_row("status", Text(summary.status, style=_STATUS_STYLE.get(summary.status, "")))
    facts.add_row("model", f"{summary.model} on {summary.engine}")
    facts.add_row("subset", summary.subset)
    facts.add_row("begun", summary.created)
    facts.add_row(
        "steps",
        f"{summary.steps_done} of {summary.total_steps}, {summary.train_tokens:,} tokens in "
        f"{duration(summary.seconds)}",
    )
    facts.add_row("train loss", _loss(summary))
    facts.add_row("checkpoints", str(summary.checkpoints))
    facts.add_row("directory", summary.path)
    if summary.problem:
        facts.add_row(Text("damaged", style="red"), summary.problem)
    return Group(facts, Text(""), _scores(summary)) if summary.evals else facts


def _scores(summary: RunSummary) -> RenderableType:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("benchmark")
    table.add_column("metric")
    table.add_column("first", justify="right")
    table.add_column("last", justify="right")
    for item in summary.evals:
        for metric, last in item.last.items():
            first = item.first.get(metric)
            table.add_row(
                item.benchmark,
                metric,
                "" if first is None else f"{first:.4f} (step {item.first_step})",
                f"{last:.4f} (step {item.last_step})",
            )
    return table
