"""Two results side by side: what was done differently, and what came of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from openthoughts_cli.cli.render.tables import table
from openthoughts_cli.evals.compare import Comparison
from openthoughts_cli.evals.paired import PairedResult
from openthoughts_cli.evals.versus import Difference, EvalPair, Versus
from openthoughts_cli.sweeps.words import p_words

__all__ = ["render_versus"]

_MOST_NAMES = 12
_MOST_CHARACTERS = 100
_HOW = "differences over the same problems, for problems (or questions) like these; p by sign flips"
_SHARES = ("mean@", "pass@", "maj@")


def render_versus(versus: Versus) -> RenderableType:
    """The whole comparison; sections with nothing to say are left out."""
    parts: list[RenderableType] = [Text(f"A  {versus.a.name}\nB  {versus.b.name}")]
    if versus.config:
        parts += ["", _differing("config", versus.config)]
    if versus.training:
        rows = [_training_row(entry) for entry in versus.training]
        columns = ("training", "A", "B", "B - A")
        parts += ["", table(columns, rows, right=("A", "B", "B - A"))]
    if versus.evals:
        parts += ["", _scores(versus.evals)]
        parts.append(Text(_HOW, style="dim"))
    for pair in versus.evals:
        parts += _about(pair)
    for name, only in (("A", versus.only_in_a), ("B", versus.only_in_b)):
        if only:
            parts.append(Text(f"only {name} has {', '.join(only)}", style="dim"))
    parts += [Text(f"not compared: {text}", style="yellow") for text in versus.failures]
    return Group(*parts)


def _scores(pairs: Sequence[EvalPair]) -> RenderableType:
    rows = [
        (
            pair.comparison.benchmark,
            metric,
            _figure(metric, pair.comparison.a.get(metric)),
            _figure(metric, pair.comparison.b.get(metric)),
            _signed(metric, result.difference),
            _interval(metric, result),
            p_words(result.p_value),
            f"{result.problems:,}",
        )
        for pair in pairs
        for metric, result in pair.comparison.differences.items()
    ]
    columns = ("benchmark", "metric", "A", "B", "B - A", "95% interval", "p", "of")
    return table(columns, rows, right=("A", "B", "B - A", "p", "of"))


def _about(pair: EvalPair) -> list[RenderableType]:
    comparison = pair.comparison
    lines: list[RenderableType] = []
    for words, names in (
        ("newly solved", comparison.newly_solved),
        ("newly failed", comparison.newly_failed),
    ):
        if names:
            lines.append(Text(f"{comparison.benchmark}: {words}: {_names(names)}"))
    if left_out := _left_out(comparison):
        lines.append(Text(f"{comparison.benchmark}: {left_out}", style="dim"))
    lines += [
        Text(f"{comparison.benchmark}: {text}", style="yellow") for text in comparison.warnings
    ]
    if pair.settings:
        lines += ["", _differing(f"settings of {comparison.benchmark}", pair.settings)]
    return lines


def _left_out(comparison: Comparison) -> str:
    counts = ((comparison.only_in_a, "A"), (comparison.only_in_b, "B"))
    parts = [f"{count:,} only in {name}" for count, name in counts if count]
    return ", ".join(parts) + ": left out of the differences" if parts else ""


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_MOST_NAMES])
    more = len(names) - _MOST_NAMES
    return f"{len(names):,} ({shown}{f', and {more:,} more' if more > 0 else ''})"


def _differing(title: str, entries: Sequence[Difference]) -> RenderableType:
    rows = [(entry.key, _value(entry.a), _value(entry.b)) for entry in entries]
    return table((title, "A", "B"), rows)


def _value(value: Any) -> Text:
    if value is None:
        return Text("-", style="dim")
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return Text(text if len(text) <= _MOST_CHARACTERS else text[: _MOST_CHARACTERS - 1] + "…")


def _training_row(entry: Difference) -> tuple[object, ...]:
    change = ""
    if entry.a is not None and entry.b is not None:
        difference = entry.b - entry.a
        change = f"{difference:+,.4f}" if isinstance(difference, float) else f"{difference:+,}"
    return (entry.key.replace("_", " "), _number(entry.a), _number(entry.b), change)


def _number(value: Any) -> object:
    return f"{value:,.4f}" if isinstance(value, float) else value


def _figure(metric: str, value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.1%}" if metric.startswith(_SHARES) else f"{value:.4f}"


def _signed(metric: str, value: float) -> str:
    return f"{100 * value:+.1f} points" if metric.startswith(_SHARES) else f"{value:+.4f}"


def _interval(metric: str, result: PairedResult) -> str:
    if result.interval is None:
        return "-"
    return f"{_signed(metric, result.interval.low)} to {_signed(metric, result.interval.high)}"
