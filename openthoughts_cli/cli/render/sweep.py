"""The plan of a sweep, and how it ended, as tables."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from openthoughts_cli.cli.render.plan import dollars
from openthoughts_cli.cli.render.tables import table
from openthoughts_cli.cli.render.train_view import duration
from openthoughts_cli.sweeps.launch import CellOutcome
from openthoughts_cli.sweeps.plan import PlannedCell, SweepPlan
from openthoughts_cli.sweeps.verb import SweepResult
from openthoughts_cli.sweeps.words import spaced

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
    columns = ["cell", "state", "steps", "tokens", *(["most"] if plan.costs_money else []), "time"]
    cells = table(
        columns, [_row(cell, plan) for cell in plan.cells[:_MOST_ROWS]], right=columns[2:]
    )
    more = len(plan.cells) - _MOST_ROWS
    parts: list[RenderableType] = [cells]
    if more > 0:
        parts.append(Text(f"and {more:,} cells more; --json has all", style="dim"))
    parts += [Text(line, style=style) for line, style in _totals(plan)]
    return Group(*parts)


def _row(cell: PlannedCell, plan: SweepPlan) -> list[Text]:
    word, style = _STATES[cell.state]
    if cell.reused:
        word = "reused"
    elif cell.state == "failed" and plan.retry_failed:
        word = "tried again"
    name = spaced(cell.name) + (" *" if cell.cell.baseline else "")
    row = [Text(name), Text(word, style=style)]
    it = None if cell.planned is None else cell.planned.plan
    row.append(Text("" if it is None else f"{it.steps:,}"))
    row.append(Text("" if it is None else f"{it.train_tokens:,}"))
    if plan.costs_money:
        most = None if it is None else it.most_usd
        row.append(Text("" if it is None else "?" if most is None else dollars(most)))
    known = it is not None and it.expected_s is not None
    row.append(Text(duration(it.expected_s) if known and it and it.expected_s else ""))
    return row


def _totals(plan: SweepPlan) -> list[tuple[str, str]]:
    lines = [(f"{plan.name}: {plan.sentence()}", "bold")]
    if plan.to_run:
        what = [f"{plan.train_tokens:,} tokens to train on, {plan.at_once} cells at once"]
        what.append(_cost(plan))
        if plan.expected_s is not None:
            what.append(f"about {duration(plan.expected_s)}, as earlier runs went")
        lines.append(("; ".join(what), ""))
    if plan.held_out is not None:
        lines.append((f"held-out NLL of all cells on {plan.held_out.name}", ""))
    if any(cell.cell.baseline for cell in plan.cells) and len(plan.cells) > 1:
        lines.append(("* the baseline", "dim"))
    if plan.uncommon is not None:
        lines.append((f"note: {plan.uncommon}", "yellow"))
    return lines


def _cost(plan: SweepPlan) -> str:
    if not plan.costs_money:
        return "no money"
    if plan.most_usd is None or plan.least_usd is None:
        return "cost unknown: no price is known for a model"
    limit = "" if plan.config.max_usd is None else f", limit {dollars(plan.config.max_usd)}"
    spent = f", {dollars(plan.spent_usd)} spent before" if plan.spent_usd else ""
    return f"{dollars(plan.least_usd)} to at most {dollars(plan.most_usd)}{spent}{limit}"


def render_sweep_result(result: SweepResult) -> RenderableType:
    """What became of the cells; the failures, each with its last lines."""
    total = len(result.plan.cells)
    parts: list[RenderableType] = []
    failures = result.failures
    if failures:
        rows = [(spaced(name), _why(outcome)) for name, outcome in failures.items()]
        parts.append(table(["failed", "why"], rows))
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
