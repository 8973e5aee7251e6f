"""The plan and the result of a training run, as tables."""

from __future__ import annotations

from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from openthoughts_cli.cli.render.tables import facts, table
from openthoughts_cli.cli.render.train_view import duration, headline_metric
from openthoughts_cli.runs.log import eval_metrics, step_metrics
from openthoughts_cli.training.plan import Plan, TimedEval
from openthoughts_cli.training.receipt import Receipt
from openthoughts_cli.training.verb import TrainResult

__all__ = ["dollars", "render_plan", "render_receipt", "render_result"]


def dollars(usd: float) -> str:
    """`$12.34`; below a dollar with the digits that matter: `$0.0123`."""
    return f"${usd:.2f}" if usd >= 1 or usd == 0 else f"${usd:.2g}"


def render_plan(plan: Plan) -> RenderableType:
    """What the run will do and at most cost."""
    rows = f"{plan.train_rows:,} train, {plan.held_out_rows:,} held out"
    dropped = ", ".join(f"{n} {reason}" for reason, n in plan.dropped.items() if n)
    epochs = "1 epoch" if plan.epochs == 1 else f"{plan.epochs} epochs"
    figures = facts(
        [
            ("model", f"{plan.model} on {plan.engine}"),
            ("subset", plan.subset),
            ("rows", rows + (f"; dropped: {dropped}" if dropped else "")),
            (
                "steps",
                f"{plan.steps:,} of {plan.batch_size} rows, at most {epochs}"
                + (f"; goes on at step {plan.first_step:,}" if plan.first_step > 1 else ""),
            ),
            ("tokens", f"{plan.train_tokens:,} trained on, {plan.loss_tokens:,} with loss"),
            *((item.each.name, _eval_text(item)) for item in plan.evals),
            *((("sampled", sampled),) if (sampled := _sampled(plan)) else ()),
            ("checkpoints", _checkpoints(plan)),
            ("cost", _cost(plan)),
            *((("time", _time(plan)),) if not plan.costs_money else ()),
        ]
    )
    notes = [Text(f"note: {line}", style="yellow") for line in plan.advice]
    return Group(figures, *notes)


def _eval_text(item: TimedEval) -> str:
    each = item.each
    if each.answers == 0:
        return f"{item.times} x {each.items} held-out rows"
    return (
        f"{item.times} x {each.items} problems, {each.answers:,} answers each time; at most "
        f"{item.times * each.most_sampled_tokens:,} sampled tokens"
    )


def _sampled(plan: Plan) -> str:
    if not plan.most_sampled_tokens:
        return ""
    text = f"{plan.least_sampled_tokens:,} to {plan.most_sampled_tokens:,} tokens in all"
    if plan.expected_sampled_tokens is not None:
        text += f"; {plan.expected_sampled_tokens:,} at the lengths of the last run"
    return text


def _checkpoints(plan: Plan) -> str:
    if not plan.costs_money:
        return f"{plan.checkpoints}, on this disk"
    others = plan.checkpoints - 1
    hours = plan.checkpoint_ttl_hours
    kept = "until you delete them" if hours is None else f"for {hours:g} hours"
    return (f"{others} stored {kept} and " if others else "") + "the final one until you delete it"


def _time(plan: Plan) -> str:
    if plan.expected_s is None:
        return "not known before the first run of this model here; shown after some steps"
    if plan.first_on_machine:
        text = f"about {duration(plan.expected_s)}"
        if plan.most_answers_s is not None:
            text += f", and at most {duration(plan.most_answers_s)} more for answers"
        return f"{text}: an estimate from a few seconds' measuring"
    return f"about {duration(plan.expected_s)}, by the last run of this model here"


def _cost(plan: Plan) -> str:
    if not plan.costs_money:
        return "none: it runs on this machine"
    if plan.train_usd is None or plan.most_eval_usd is None or plan.most_usd is None:
        return f"unknown: no price is known for {plan.model}"
    text = (
        f"{dollars(plan.train_usd)} training + at most {dollars(plan.most_eval_usd)} evaluations "
        f"= at most {dollars(plan.most_usd)} (prices of {plan.prices_as_of})"
    )
    return text + (f"; limit {dollars(plan.max_usd)}" if plan.max_usd is not None else "")


def render_result(result: TrainResult) -> RenderableType:
    """Where the run is and how its scores moved."""
    if result.run is None:
        return Text("a dry run: nothing was started")
    rows: list[tuple[str, str, str, str]] = []
    if steps := step_metrics(result.run):
        first, last = steps[0], steps[-1]
        rows.append(
            (
                "train loss",
                f"{first['train_mean_nll']:.4f}",
                f"{last['train_mean_nll']:.4f}",
                f"{first['step']} to {last['step']}",
            )
        )
    for name, scores in eval_metrics(result.run).items():
        metric, first_text = headline_metric(scores[0][1])
        rows.append(
            (
                name if metric == name else f"{name} {metric}",
                first_text,
                headline_metric(scores[-1][1])[1],
                f"{scores[0][0]} to {scores[-1][0]}",
            )
        )
    moved = table(("measure", "first", "last", "steps"), rows, right=("first", "last", "steps"))
    parts: list[RenderableType] = [moved]
    if result.receipt is not None:
        parts.append(render_receipt(result.receipt))
    return Group(*parts, Text(f"{result.status}: {result.run.path}"))


def render_receipt(receipt: Receipt) -> RenderableType:
    """What was expected and what was used, a line a figure."""
    rows = [
        (name, shown(receipt.estimate.get(key)), shown(receipt.actual.get(key)))
        for key, name, shown in (
            ("steps", "steps", _count),
            ("train_tokens", "tokens trained on", _count),
            ("sampled_tokens", "tokens sampled", _count),
            ("usd", "dollars", _dollar_range),
            ("seconds", "time", _seconds),
        )
    ]
    return table(("receipt", "estimate", "actual"), rows, right=("estimate", "actual"))


def _count(value: Any) -> str:
    if isinstance(value, list):
        least, most = value
        return f"{least:,}" if least == most else f"{least:,} to {most:,}"
    return "" if value is None else f"{value:,}"


def _dollar_range(value: Any) -> str:
    if isinstance(value, list):
        return " to ".join(dollars(item) for item in dict.fromkeys(value))
    return "" if value is None else dollars(value)


def _seconds(value: Any) -> str:
    return "" if value is None else duration(value)
