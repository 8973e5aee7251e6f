"""A sweep's ranking as tables for a terminal, as Markdown and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.text import Text

from openthoughts_cli.cli.render.tables import table
from openthoughts_cli.evals.estimators import Interval
from openthoughts_cli.sweeps.effects import Effect
from openthoughts_cli.sweeps.leaderboard import Entry, Leaderboard
from openthoughts_cli.sweeps.results import HELD_OUT_RULE
from openthoughts_cli.sweeps.words import (
    axis_level_words,
    checkpoint_words,
    figure,
    headline,
    level_words,
    p_words,
    rank_words,
    signed,
    spaced,
    time_words,
)

__all__ = ["board_csv", "board_markdown", "render_board"]

_RANKING = ("rank", "recipe", "score", "95% interval", "versus baseline", "p")
_COST = ("recipe", "seeds", "trained on", "sampled", "time", "cost", "best checkpoint NLL")
_EFFECTS = ("axis", "to", "from", "effect", "95% interval", "pairs")
_NOT_RANKED = ("cell", "why it has no score")
_WHOLE = ("recipe", "axis", "cell")
_RIGHT = ("rank", "score", "p", "seeds", "trained on", "sampled", "time", "cost", "effect", "pairs")

# What a person reads; a table of hundreds of rows is for a program.
_MOST_ROWS = 40

_ROOMY = 110  # columns of a terminal from which recipes are not broken
_ONE_LINE = 24


def render_board(board: Leaderboard) -> RenderableType:
    """The ranking, of long tables the beginning; sections with nothing to say are left out."""
    return _Board(board)


class _Board:
    """Recipes stand in one line where there is room for it, else a setting a line."""

    def __init__(self, board: Leaderboard) -> None:
        self._board = board

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        board, narrow = self._board, options.max_width < _ROOMY
        yield Text(headline(board), style="bold")
        for title, columns, rows in _sections(board):
            shown = [_stacked(columns, row) if narrow else row for row in rows[:_MOST_ROWS]]
            yield ""
            yield Text(title, style="dim")
            yield table(columns, shown, right=_RIGHT, whole=_WHOLE if narrow else ())
            if more := len(rows) - len(shown):
                yield Text(f"and {more:,} more: --csv, --md and --json have all", style="dim")
        yield from (Text(text, style="yellow") for text in board.warnings)
        yield from (Text(text, style="dim") for text in _notes(board))


def _stacked(columns: Sequence[str], row: Sequence[object]) -> list[object]:
    return [
        _in_lines(value) if name in _WHOLE and value is not None else value
        for name, value in zip(columns, row, strict=True)
    ]


def _in_lines(value: object) -> Text:
    text = value if isinstance(value, Text) else Text(str(value))
    if len(text.plain) > _ONE_LINE:
        text.plain = text.plain.replace(", ", ",\n")
    return text


def board_markdown(board: Leaderboard) -> str:
    """The same as Markdown."""
    parts = [f"## {_escaped(board.sweep)}", f"**{_escaped(headline(board))}**"]
    for title, columns, rows in _sections(board):
        parts += [f"### {title[:1].upper()}{title[1:]}", _markdown(columns, rows)]
    parts += [f"- {_escaped(text)}" for text in (*board.warnings, *_notes(board))]
    return "\n\n".join(parts)


def board_csv(board: Leaderboard) -> str:
    """A line a recipe, all figures in plain units (shares, nats, seconds, dollars)."""
    axes = list(dict.fromkeys(key for entry in board.entries for key in entry.axes))
    figures = [_figures(entry) for entry in board.entries]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["recipe", *axes, "metric", *(figures[0] if figures else ())])
    for entry, values in zip(board.entries, figures, strict=True):
        settings = [level_words(entry.axes.get(key)) for key in axes]
        writer.writerow([entry.recipe, *settings, board.metric.key, *values.values()])
    return text.getvalue().rstrip("\n")


def _notes(board: Leaderboard) -> list[str]:
    rule = f"{HELD_OUT_RULE[:1].upper()}{HELD_OUT_RULE[1:]}."
    return [
        *board.notes,
        *([rule] if any(r.best for e in board.entries for r in e.results) else []),
    ]


def _sections(board: Leaderboard) -> Iterable[tuple[str, Sequence[str], list[Sequence[object]]]]:
    ranked = [entry for entry in board.entries if entry.rank]
    if ranked:
        yield (
            f"ranking; baseline: {spaced(board.baseline or 'none')}",
            _RANKING,
            [_ranking(e, board) for e in ranked],
        )
    began = [entry for entry in board.entries if entry.train_tokens or entry.seconds]
    if began:
        yield "cost", _COST, [_cost(entry) for entry in began]
    if board.effects:
        yield (
            "main effects: what changing one axis does, all else the same",
            _EFFECTS,
            [_effect(effect, board) for effect in board.effects],
        )
    left = [r for entry in board.entries for r in entry.results if r.scores is None and r.reason]
    if left:
        yield (
            "not ranked",
            _NOT_RANKED,
            [(spaced(result.cell.name), result.reason) for result in left],
        )


def _ranking(entry: Entry, board: Leaderboard) -> Sequence[object]:
    metric = board.metric
    won = "bold green" if entry.recipe == board.winner else ""
    versus = entry.versus
    return (
        Text(rank_words(entry.rank), style=won),
        Text(spaced(entry.recipe), style=won),
        figure(metric, entry.score),
        _between(entry.interval, lambda value: figure(metric, value)),
        "baseline"
        if entry.recipe == board.baseline
        else None
        if versus is None
        else f"{signed(metric, versus.difference)} "
        f"({_between(versus.interval, lambda value: signed(metric, value, unit=False))})",
        None if versus is None else p_words(versus.p_value),
    )


def _between(interval: Interval | None, shown: Any) -> str:
    return "-" if interval is None else f"{shown(interval.low)} to {shown(interval.high)}"


def _cost(entry: Entry) -> Sequence[object]:
    return (
        spaced(entry.recipe),
        f"{len(entry.ranked)}/{len(entry.results)}",
        entry.train_tokens,
        entry.sampled_tokens,
        time_words(entry.seconds),
        f"${entry.usd:,.2f}",
        "\n".join(checkpoint_words(result.best) for result in entry.results if result.best) or None,
    )


def _effect(effect: Effect, board: Leaderboard) -> Sequence[object]:
    metric = board.metric
    return (
        effect.axis.replace(" & ", " &\n"),
        axis_level_words(effect.axis, effect.level),
        axis_level_words(effect.axis, effect.reference),
        None if effect.difference is None else signed(metric, effect.difference),
        _between(effect.interval, lambda value: signed(metric, value, unit=False)),
        effect.matched,
    )


def _figures(entry: Entry) -> Mapping[str, object]:
    versus, best = entry.versus, next((r.best for r in entry.results if r.best), None)
    low_high = (None, None) if entry.interval is None else (entry.interval.low, entry.interval.high)
    between = versus.interval if versus is not None else None
    return {
        "rank_low": None if entry.rank is None else entry.rank[0],
        "rank_high": None if entry.rank is None else entry.rank[1],
        "tied_with_best": entry.tied,
        "score": entry.score,
        "low": low_high[0],
        "high": low_high[1],
        "estimand": None if entry.interval is None else entry.interval.estimand,
        "versus_baseline": None if versus is None else versus.difference,
        "versus_low": None if between is None else between.low,
        "versus_high": None if between is None else between.high,
        "p_value": None if versus is None else versus.p_value,
        "seeds": len(entry.ranked),
        "cells": len(entry.results),
        "train_tokens": entry.train_tokens,
        "sampled_tokens": entry.sampled_tokens,
        "seconds": entry.seconds,
        "usd": entry.usd,
        "best_step": None if best is None else best.step,
        "best_nll": None if best is None else best.nll,
        "not_ranked": "; ".join(r.reason for r in entry.results if r.reason),
    }


def _markdown(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [
        f"| {' | '.join(columns)} |",
        f"|{'|'.join('---:' if name in _RIGHT else '---' for name in columns)}|",
    ]
    lines += [f"| {' | '.join(_cell(value) for value in row)} |" for row in rows]
    return "\n".join(lines)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    text = (
        value.plain
        if isinstance(value, Text)
        else f"{value:,}"
        if isinstance(value, int)
        else value
    )
    return _escaped(str(text).replace(" &\n", " & ")).replace("\n", "; ")


def _escaped(text: str) -> str:
    """Text that Markdown and the HTML in it take as text."""
    for character in "\\|`*<>[]":
        text = text.replace(character, f"\\{character}")
    return text
