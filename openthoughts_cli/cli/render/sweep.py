"""The plan of a sweep, and how it ended, as tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from rich.console import Group, RenderableType
from rich.text import Text

from openthoughts_cli.cli.render.plan import dollars
from openthoughts_cli.cli.render.tables import facts, table
from openthoughts_cli.cli.render.train_view import duration
from openthoughts_cli.sweeps.launch import CellOutcome
from openthoughts_cli.sweeps.plan import PlannedCell, SweepPlan
from openthoughts_cli.sweeps.verb import SweepResult
from openthoughts_cli.sweeps.words import spaced
from openthoughts_cli.training.plan import Plan

__all__ = ["render_sweep_plan", "render_sweep_result"]

_MOST_ROWS = 60
_STATES = {
    "done": ("done", "green"),
    "running": ("runs elsewhere", "cyan"),
    "interrupted": ("resumes", "yellow"),
    "failed": ("failed", "red"),
    "waiting": ("to run", ""),
}


def render_sweep_plan(plan: SweepPlan) -> RenderableType:
    """The table of cells with their state and cost, and the totals."""
    columns = ["cell", "state", *(title for title, _ in _figures(plan))]
    cells = table(
        columns, [_row(cell, plan) for cell in plan.cells[:_MOST_ROWS]], right=columns[2:]
    )
    more = len(plan.cells) - _MOST_ROWS
    parts: list[RenderableType] = [cells]
    if more > 0:
        parts.append(Text(f"and {more:,} cells more; --json has all", style="dim"))
    if any(cell.cell.baseline for cell in plan.cells) and len(plan.cells) > 1:
        parts.append(Text("* the baseline", style="dim"))
    parts.append(Text(f"{plan.name}: {plan.sentence()}", style="bold"))
    parts.append(facts(_totals(plan)))
    if plan.uncommon is not None:
        parts.append(Text(f"note: {plan.uncommon}", style="yellow"))
    return Group(*parts)


def _figures(plan: SweepPlan) -> list[tuple[str, Callable[[Plan], str]]]:
    """The columns of numbers: their titles, and a run's figure."""
    found: list[tuple[str, Callable[[Plan], str]]] = [
        ("rows", lambda run: f"{run.train_rows:,}"),
        ("steps", lambda run: f"{run.steps:,}"),
        ("tokens", lambda run: f"{run.train_tokens:,}"),
    ]
    if plan.costs_money:
        found.append(
            ("at most", lambda run: "?" if run.most_usd is None else dollars(run.most_usd))
        )
    runs = [cell.planned.plan for cell in plan.cells if cell.planned is not None]
    if any(run.expected_s is not None for run in runs):
        found.append(
            ("time", lambda run: "" if run.expected_s is None else duration(run.expected_s))
        )
    return found


def _row(cell: PlannedCell, plan: SweepPlan) -> list[Text]:
    word, style = _STATES[cell.state]
    if cell.reused:
        word = "reused"
    elif cell.state == "failed" and plan.retry_failed:
        word = "tried again"
    name = spaced(cell.name) + (" *" if cell.cell.baseline else "")
    run = None if cell.planned is None else cell.planned.plan
    figures = [Text("" if run is None else figure(run)) for _, figure in _figures(plan)]
    return [Text(name), Text(word, style=style), *figures]


def _totals(plan: SweepPlan) -> Iterator[tuple[str, str]]:
    if plan.to_run:
        yield "training", f"{plan.train_tokens:,} tokens, {_at_once(plan)}"
        yield "cost", _cost(plan)
        seconds = plan.expected_s
        unknown = "not known before a first run of the model here"
        yield (
            "time",
            unknown if seconds is None else f"about {duration(seconds)}, as earlier runs went",
        )
    if plan.held_out is not None:
        rows = plan.held_out.metadata["figures"]["rows"]
        yield "held out", f"{rows:,} rows, the same for all cells: {plan.held_out.name}"


def _at_once(plan: SweepPlan) -> str:
    return "one cell at a time" if plan.at_once == 1 else f"{plan.at_once} cells at once"


def _cost(plan: SweepPlan) -> str:
    if not plan.costs_money:
        return "none: it runs on this machine"
    if plan.most_usd is None or plan.least_usd is None:
        return "unknown: no price is known for a model"
    limit = "" if plan.config.max_usd is None else f", limit {dollars(plan.config.max_usd)}"
    spent = f", {dollars(plan.spent_usd)} spent before" if plan.spent_usd else ""
    return f"{dollars(plan.least_usd)} to at most {dollars(plan.most_usd)}{spent}{limit}"


def render_sweep_result(result: SweepResult) -> RenderableType:
    """What became of the cells; those that failed or were stopped, and why."""
    total = len(result.plan.cells)
    parts: list[RenderableType] = []
    for title, outcomes in (("failed", result.failures), ("stopped", result.stopped)):
        rows = [(spaced(name), _why(outcome)) for name, outcome in outcomes.items()]
        if rows:
            parts.append(table([title, "why"], rows))
    money = f", {dollars(result.spent_usd)} spent" if result.plan.costs_money else ""
    head = f"{result.plan.name}: {result.done} of {total} cells done{money}"
    parts.append(Text(head, style="bold"))
    if result.done:
        parts.append(Text(f"ranking: ot runs show {result.plan.name}"))
    return Group(*parts)


def _why(outcome: CellOutcome) -> Text:
    why = Text(outcome.error or "its log does not say")
    if outcome.hint:
        why.append(f"\n{outcome.hint}", style="dim")
    return why
