"""A sweep as one HTML file that stands alone: ranking, effects, curves, cells, configs, environment.

No script, no network; all text in it is escaped.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from openthoughts_cli.errors import DataError
from openthoughts_cli.evals.estimators import Interval
from openthoughts_cli.report.chart import Line, line_chart, span
from openthoughts_cli.report.render import render_page
from openthoughts_cli.store import write_whole
from openthoughts_cli.sweeps.layout import Sweep
from openthoughts_cli.sweeps.leaderboard import Entry, Leaderboard
from openthoughts_cli.sweeps.results import HELD_OUT_RULE, CellResult, held_out_key
from openthoughts_cli.sweeps.words import (
    axis_level_words,
    checkpoint_words,
    figure,
    headline,
    p_words,
    rank_words,
    signed,
    spaced,
    time_words,
)

__all__ = ["write_sweep_page"]

_COLOURS = 8
_MOST_POINTS = 200
_MOST_CURVES = 60


def write_sweep_page(sweep: Sweep, board: Leaderboard, *, place: Path | None = None) -> Path:
    """Write the page of a ranked sweep, by default `report.html` in its directory; returns its path.

    Raises:
        StorageError: it cannot be written.
    """
    place = sweep.path / "report.html" if place is None else place
    write_whole(place, render_page("sweep.html.j2", page=_page(sweep, board)))
    return place


def _page(sweep: Sweep, board: Leaderboard) -> dict[str, Any]:
    results = [result for entry in board.entries for result in entry.results]
    return {
        "title": f"Sweep {sweep.name}",
        "lead": f"{len(board.entries)} recipes, {len(sweep.cells)} cells; baseline: "
        f"{spaced(board.baseline or 'none')}.",
        "headline": headline(board),
        "warnings": board.warnings,
        "notes": board.notes,
        "cards": _cards(board, results),
        "metric": board.metric.key,
        "ranking": _ranking(board),
        "effects": _effects(board),
        "legend": _legend(board),
        "charts": _charts(sweep, board),
        "failures": [
            {"cell": r.cell.name, "state": r.cell.state, "reason": r.reason}
            for r in results
            if r.scores is None
        ],
        "cells": [_cell(result, board) for result in results],
        "rule": f"{HELD_OUT_RULE[:1].upper()}{HELD_OUT_RULE[1:]}.",
        "configs": _configs(sweep, board),
        "environment": _environment(results),
        "footer": "Made by ot. Intervals are 95% and say what they are intervals of; a difference "
        "inside them is no finding.",
    }


def _cards(board: Leaderboard, results: Sequence[CellResult]) -> list[dict[str, str]]:
    done = sum(result.cell.state == "done" for result in results)
    tokens = sum(result.train_tokens for result in results)
    cards = [
        ("cells done", f"{done} of {len(results)}", ""),
        ("compared on", f"{board.problems:,}", "problems or questions that all cells share"),
        ("trained on", f"{tokens:,}", "tokens, all cells"),
        ("time", time_words(sum(r.seconds for r in results)), "of training, all cells"),
        ("cost", f"${sum(result.usd for result in results):,.2f}", "at most, all attempts"),
    ]
    return [{"what": what, "number": number, "note": note} for what, number, note in cards]


def _ranking(board: Leaderboard) -> list[dict[str, Any]]:
    ranked = [entry for entry in board.entries if entry.rank and entry.score is not None]
    scale = _scale([e.interval for e in ranked], [e.score or 0.0 for e in ranked])
    versus = [entry.versus for entry in ranked if entry.versus]
    apart = _scale([v.interval for v in versus], [v.difference for v in versus], zero=True)
    rows: list[dict[str, Any]] = []
    for number, entry in enumerate(ranked):
        metric, against = board.metric, entry.versus
        colour = f"c{number}" if number < _COLOURS else "c7"
        is_base = entry.recipe == board.baseline
        rows.append(
            {
                "css": "winner"
                if entry.recipe == board.winner
                else "best"
                if number == 0 or entry.tied
                else "",
                "rank": rank_words(entry.rank),
                "recipe": spaced(entry.recipe),
                "score": figure(metric, entry.score),
                "span": _span(entry.score, entry.interval, scale, colour),
                "interval": _between(board, entry.interval),
                "versus": "baseline"
                if is_base
                else ""
                if against is None
                else signed(metric, against.difference),
                "versus_span": ""
                if against is None
                else _span(against.difference, against.interval, apart, colour),
                "versus_interval": ""
                if against is None
                else _between(board, against.interval, difference=True),
                "p": "" if against is None else p_words(against.p_value),
            }
        )
    return rows


def _effects(board: Leaderboard) -> list[dict[str, Any]]:
    known = [effect for effect in board.effects if effect.difference is not None]
    scale = _scale([e.interval for e in known], [e.difference or 0.0 for e in known], zero=True)
    return [
        {
            "axis": effect.axis,
            "level": axis_level_words(effect.axis, effect.level),
            "reference": axis_level_words(effect.axis, effect.reference),
            "effect": "no pair"
            if effect.difference is None
            else signed(board.metric, effect.difference),
            "span": _span(effect.difference, effect.interval, scale, "b"),
            "interval": _between(board, effect.interval, difference=True),
            "pairs": effect.matched,
        }
        for effect in board.effects
    ]


def _legend(board: Leaderboard) -> list[tuple[str, str]]:
    named = [(spaced(e.recipe), f"c{i}") for i, e in enumerate(board.entries[:_COLOURS])]
    more = len(board.entries) - len(named)
    return [*named, (f"{more} more", "rest")] if more > 0 else named


def _charts(sweep: Sweep, board: Leaderboard) -> list[dict[str, Any]]:
    from markupsafe import Markup

    cells = [
        (f"c{i}" if i < _COLOURS else "rest", entry.recipe, result)
        for i, entry in enumerate(board.entries)
        for result in entry.results
        if result.curves is not None
    ][:_MOST_CURVES]
    cells.reverse()  # the best are drawn last, on top
    wanted: list[tuple[str, str, str, bool]] = [("Training loss", "", "nats per token", False)]
    if sweep.uncommon_ground is None:
        wanted.append(("Held-out NLL", held_out_key(), "nats per token", True))
    if board.metric.key != held_out_key():
        label = "%" if board.metric.bounded else "nats"
        wanted.append((board.metric.key, board.metric.key, label, True))
    charts: list[dict[str, Any]] = []
    for title, key, label, dots in wanted:
        times = 100.0 if label == "%" else 1.0
        lines: list[Line] = []
        for css, recipe, result in cells:
            assert result.curves is not None
            curve = result.curves.metrics[key] if key else result.curves.loss
            points = [(x, times * y) for x, y in curve.points(_MOST_POINTS)]
            if points:
                lines.append(Line(recipe, points, css, dots=dots))
        svg = line_chart(lines, x_label="optimiser step", y_label=label, from_zero=label == "%")
        if svg:
            caption = "A line a cell; cells of one recipe share its colour."
            charts.append({"title": title, "svg": Markup(svg), "caption": caption})
    return charts


def _cell(result: CellResult, board: Leaderboard) -> dict[str, Any]:
    return {
        "cell": spaced(result.cell.name),
        "state": result.cell.state,
        "score": figure(board.metric, result.score),
        "step": "" if result.step is None else result.step,
        "best": "" if result.best is None else checkpoint_words(result.best),
        "tokens": f"{result.train_tokens:,}",
        "sampled": f"{result.sampled_tokens:,}",
        "time": time_words(result.seconds),
        "cost": f"${result.usd:,.2f}",
        "run": "" if result.cell.run is None else result.cell.run.run_id,
    }


def _configs(sweep: Sweep, board: Leaderboard) -> list[dict[str, str]]:
    configs = [{"title": "The grid", "text": _json(sweep.grid)}]
    table = {entry.recipe: dict(entry.axes) for entry in board.entries}
    configs.append({"title": "The recipes: what differs", "text": _json(table)})
    base = next((e for e in board.entries if e.recipe == board.baseline), None)
    if (run := _first_run(base)) is not None:
        try:
            text = _json(run.read_config())
        except DataError as error:
            text = error.message
        configs.append({"title": f"The baseline in full ({run.run_id})", "text": text})
    return configs


def _first_run(entry: Entry | None) -> Any:
    runs = [] if entry is None else [r.cell.run for r in entry.results if r.cell.run is not None]
    return runs[0] if runs else None


def _environment(results: Sequence[CellResult]) -> list[tuple[str, str]]:
    """What the runs were made with; several values where cells differ."""
    found: dict[str, dict[str, None]] = {}
    for result in results:
        if result.cell.run is None:
            continue
        try:
            record = result.cell.run.read_record()
        except DataError:
            continue
        about = record.get("environment")
        about = about if isinstance(about, dict) else {}
        packages = about.get("packages")
        values = {
            "model": (record.get("model") or {}).get("name") if _is_map(record, "model") else None,
            "python": about.get("python"),
            "platform": about.get("platform"),
            **(packages if isinstance(packages, dict) else {}),
        }
        for key, value in values.items():
            if value:
                found.setdefault(str(key), {})[str(value)] = None
    return [(key, "; ".join(values)) for key, values in found.items()]


def _is_map(record: dict[str, Any], key: str) -> bool:
    return isinstance(record.get(key), dict)


def _scale(
    intervals: Sequence[Interval | None], values: Sequence[float], *, zero: bool = False
) -> tuple[float, float]:
    ends = [*values, *(end for i in intervals if i is not None for end in (i.low, i.high))]
    if zero or not ends:
        ends.append(0.0)
    return min(ends), max(ends)


def _span(
    value: float | None, interval: Interval | None, scale: tuple[float, float], css: str
) -> Any:
    from markupsafe import Markup

    if value is None or interval is None:
        return ""
    return Markup(span(value, interval.low, interval.high, scale=scale, css=css))


def _between(board: Leaderboard, interval: Interval | None, *, difference: bool = False) -> str:
    if interval is None:
        return ""
    ends = (interval.low, interval.high)
    if difference:
        return " to ".join(signed(board.metric, end, unit=False) for end in ends)
    return " to ".join(figure(board.metric, end) for end in ends)


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)
