"""The plan and the result of a training run, as tables."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from openthoughts_cli.training.plan import Plan
from openthoughts_cli.training.verb import TrainResult

__all__ = ["render_plan", "render_result"]


def render_plan(plan: Plan) -> RenderableType:
    """What the run will do and at most cost."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    table.add_row("model", f"{plan.model} on {plan.engine}")
    rows = f"{plan.train_rows:,} train, {plan.held_out_rows:,} held out"
    dropped = ", ".join(f"{n} {reason}" for reason, n in plan.dropped.items() if n)
    table.add_row(f"rows of {plan.subset}", rows + (f"; dropped: {dropped}" if dropped else ""))
    table.add_row(
        "training",
        f"{plan.steps:,} steps of {plan.batch_size} rows, {plan.epochs} epochs, "
        f"{plan.train_tokens:,} tokens ({plan.loss_tokens:,} with loss)",
    )
    for item in plan.evals:
        if item.benchmark == "nll":
            text = f"{item.times} x {item.items} held-out rows"
        else:
            text = (
                f"{item.times} x {item.items} problems, {item.answers:,} answers each time, "
                f"at most {item.most_sampled_tokens:,} sampled tokens in all"
            )
        table.add_row(item.benchmark, text)
    table.add_row("checkpoints", f"{plan.checkpoints}")
    table.add_row("cost", _cost(plan))
    parts: list[RenderableType] = [table]
    parts += [Text(f"note: {line}", style="yellow") for line in plan.advice]
    return Group(*parts)


def _cost(plan: Plan) -> str:
    if not plan.costs_money:
        return "none: it runs on this machine"
    if plan.train_usd is None or plan.most_usd is None:
        return f"unknown: no price is known for {plan.model}"
    text = (
        f"${plan.train_usd:.2f} training + at most ${plan.most_eval_usd or 0:.2f} evaluations = "
        f"at most ${plan.most_usd:.2f} (prices of {plan.prices_as_of})"
    )
    return text + (f"; limit ${plan.max_usd:.2f}" if plan.max_usd is not None else "")


def render_result(result: TrainResult) -> RenderableType:
    """Where the run is and how its scores moved."""
    from openthoughts_cli.cli.render.train_view import headline_metric
    from openthoughts_cli.runs.log import eval_metrics, step_metrics

    if result.run is None:
        return Text("a dry run: nothing was started")
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("measure", "first", "last", "steps"):
        table.add_column(name, justify="left" if name == "measure" else "right")
    steps = step_metrics(result.run)
    if steps:
        table.add_row(
            "train loss",
            f"{steps[0]['train_mean_nll']:.4f}",
            f"{steps[-1]['train_mean_nll']:.4f}",
            f"{steps[0]['step']}..{steps[-1]['step']}",
        )
    for name, scores in eval_metrics(result.run).items():
        metric, first = headline_metric(scores[0][1])
        table.add_row(
            name if metric == name else f"{name} {metric}",
            first,
            headline_metric(scores[-1][1])[1],
            f"{scores[0][0]}..{scores[-1][0]}",
        )
    return Group(table, Text(f"{result.status}: {result.run.path}"))
