"""What the page "Sweep" draws: the ranking, effects of the axes, every pair of recipes, every cell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st

from openthoughts_cli.config.benchmark import NLL
from openthoughts_cli.explorer import charts, figures, state
from openthoughts_cli.explorer.frame import empty, errors_shown
from openthoughts_cli.explorer.settings import Settings
from openthoughts_cli.explorer.sweep_cells import show_cells
from openthoughts_cli.explorer.text import one_line, to_markdown
from openthoughts_cli.sweeps.cell_stamp import cell_stamp
from openthoughts_cli.sweeps.layout import Sweep, list_sweeps, load_sweep
from openthoughts_cli.sweeps.leaderboard import Entry, Leaderboard
from openthoughts_cli.sweeps.max_test import ALPHA
from openthoughts_cli.sweeps.metric import parse_metric
from openthoughts_cli.sweeps.rank import rank_sweep
from openthoughts_cli.sweeps.results import measured
from openthoughts_cli.sweeps.words import (
    change_words,
    checkpoint_words,
    figure,
    headline,
    p_words,
    rank_words,
    signed,
    time_words,
)

__all__ = ["show"]

_VIEWS = ("Ranking", "Effects", "Pairs", "Cells")
_MOST_PAIRED = 24
_FRESH_S = 3.0
_BEST, _WORSE = "may be the best", "is not the best"
_APART, _NOT_APART = "told apart", "not told apart"
_AT = {"final": "the final weights", "best": "the best checkpoint by held-out NLL"}


def show() -> None:
    """Draw the page."""
    settings = Settings.from_environ()
    if settings.public:
        st.info("This app is public: sweeps are not shown.", icon=":material/lock:")
        return
    names = [sweep.name for sweep in list_sweeps(settings.sweeps_root)]
    if settings.target_kind == "sweep" and settings.target not in names:
        names = [settings.target, *names]
    if not names:
        st.title("Sweep", anchor=False)
        empty(
            "There is no sweep yet. Run a small one with the built-in rows:",
            "ot sweep configs/sweeps/8_learning_rate.local.yaml",
        )
        return
    state.recall("sweep")
    first = settings.target if settings.target_kind == "sweep" else names[-1]
    state.begin(
        "sweep",
        {
            "sweep_name": state.read("name", first, among=names),
            "sweep_view": state.read("view", _VIEWS[0], among=_VIEWS),
            "sweep_metric": state.read("metric"),
            "sweep_at": state.read("of", "final", among=tuple(_AT)),
        },
    )
    name = st.selectbox("Sweep", names, key="sweep_name", format_func=lambda n: Path(n).name)
    with errors_shown():
        place = settings.place_of("sweep", name)
        sweep = _loaded(str(place))
        _headline(sweep)
        if any(state == "running" for state in _states(sweep)):
            st.fragment(_watch, run_every=_FRESH_S)(str(place), _states(sweep))
        view = (
            st.segmented_control("View", _VIEWS, key="sweep_view", label_visibility="collapsed")
            or _VIEWS[0]
        )
        if view == "Cells":
            state.finish("sweep", name=name, view=view)
            show_cells(sweep)
            return
        metric, at = _asked(sweep)
        state.finish(
            "sweep",
            name=name,
            view=None if view == _VIEWS[0] else view,
            metric=metric,
            of=None if at == "final" else at,
        )
        if metric is None:
            st.info(
                "No cell is done yet, so there is nothing to rank.",
                icon=":material/hourglass_empty:",
            )
            return
        board = _ranked(str(place), _stamp(sweep, metric), metric, at)
        st.markdown(f"**{to_markdown(headline(board))}**")
        for warning in board.warnings:
            st.warning(to_markdown(warning), icon=":material/warning:")
        {"Ranking": _ranking, "Effects": _effects, "Pairs": _pairs}[view](board)
        for note in board.notes:
            st.caption(to_markdown(note))


@st.cache_resource(ttl=_FRESH_S, max_entries=4, show_spinner=False)
def _loaded(place: str) -> Sweep:
    """A sweep as it stood at most seconds ago: its cells are looked for among all runs."""
    return load_sweep(place)


def _states(sweep: Sweep) -> tuple[str, ...]:
    return tuple(cell.state for cell in sweep.cells)


def _watch(place: str, states: tuple[str, ...]) -> None:
    """Draws the page anew when a cell begins or ends; nothing else."""
    if _states(_loaded(place)) != states:
        st.rerun()
    st.caption(":material/bolt: Cells are running: this page follows them by itself.")


def _stamp(sweep: Sweep, metric: str) -> tuple[Any, ...]:
    """Changes when a cell gets on or is graded anew: what was ranked is ranked again then."""
    benchmark = parse_metric(metric).benchmark
    return tuple(cell_stamp(cell, benchmark) for cell in sweep.cells)


@st.cache_resource(max_entries=8, show_spinner="Ranking …")
def _ranked(place: str, stamp: tuple[Any, ...], metric: str, at: Any) -> Leaderboard:
    del stamp
    return rank_sweep(_loaded(place), metric=metric, at=at)


def _headline(sweep: Sweep) -> None:
    states = _states(sweep)
    shown = [("cells", f"{len(states):,}", f"{states.count('done'):,} done")]
    shown += [
        (kind, f"{states.count(kind):,}", "")
        for kind in ("running", "interrupted", "failed", "waiting")
        if kind in states
    ]
    figures.show(*shown)
    axes = dict.fromkeys(key for cell in sweep.cells for key in cell.axes)
    if axes:
        st.caption(f"Varied: {to_markdown(', '.join(axes))}")


def _asked(sweep: Sweep) -> tuple[str | None, str]:
    done = [cell.run for cell in sweep.cells if cell.state == "done" and cell.run is not None]
    if not done:
        return None, "final"
    names = [
        f"eval/{benchmark}/{name}"
        for benchmark, metrics in measured(done[0]).items()
        for name in metrics
        if name in ("mean", "per_byte") or name.startswith(("mean@1", "pass@", "maj@"))
    ]
    if not names:
        return None, "final"
    left, right = st.columns(2)
    usual = sweep.metric if sweep.metric in names else names[0]
    if st.session_state.get("sweep_metric") not in names:
        st.session_state["sweep_metric"] = usual
    metric = left.selectbox("By", names, key="sweep_metric")
    of_held_out = metric.startswith(f"eval/{NLL}/")
    at = "final"
    if not of_held_out:
        at = right.selectbox("Of", list(_AT), format_func=_AT.__getitem__, key="sweep_at")
    return metric, at


def _ranking(board: Leaderboard) -> None:
    ranked = [entry for entry in board.entries if entry.score is not None]
    scale = 100 if board.metric.bounded else 1
    unit = "percent" if board.metric.bounded else "nats"
    records = [
        {
            "recipe": f"{rank_words(entry.rank)}  {entry.recipe}",
            "score": scale * (entry.score or 0.0),
            "low": None if entry.interval is None else scale * entry.interval.low,
            "high": None if entry.interval is None else scale * entry.interval.high,
            "place": _BEST if entry is ranked[0] or entry.tied else _WORSE,
        }
        for entry in ranked
    ]
    if records:
        chart = charts.intervals(
            records,
            label="recipe",
            value="score",
            low="low",
            high="high",
            title=f"{board.metric.name}, {unit}",
            colour="place",
        )
        charts.show(chart, records, name="ranking")
    st.dataframe([_row(entry, board) for entry in board.entries], hide_index=True, width="stretch")


def _row(entry: Entry, board: Leaderboard) -> dict[str, Any]:
    versus = entry.versus
    best = next((result.best for result in entry.results if result.best is not None), None)
    interval = entry.interval
    return {
        "rank": rank_words(entry.rank),
        "recipe": one_line(entry.recipe),
        "score": figure(board.metric, entry.score),
        "95%": "-"
        if interval is None
        else f"{figure(board.metric, interval.low)} to {figure(board.metric, interval.high)}",
        "minus baseline": "baseline"
        if entry.recipe == board.baseline
        else "-"
        if versus is None
        else signed(board.metric, versus.difference),
        "p": "-" if versus is None else p_words(versus.p_value),
        "seeds": len(entry.ranked),
        "best checkpoint": "-" if best is None else checkpoint_words(best),
        "train tokens": f"{entry.train_tokens:,}",
        "time": time_words(entry.seconds),
        "cost": f"${entry.usd:.2f}",
    }


def _effects(board: Leaderboard) -> None:
    scale = 100 if board.metric.bounded else 1
    unit = "points" if board.metric.bounded else "nats"
    known = [effect for effect in board.effects if effect.difference is not None]
    if not known:
        st.info(
            "No two recipes differ in one axis alone, so no axis has an effect of its own.",
            icon=":material/inbox:",
        )
        return
    records = [
        {
            "change": change_words(effect),
            "effect": scale * (effect.difference or 0.0),
            "low": None if effect.interval is None else scale * effect.interval.low,
            "high": None if effect.interval is None else scale * effect.interval.high,
            "pairs": effect.matched,
        }
        for effect in known
    ]
    chart = charts.intervals(
        records, label="change", value="effect", low="low", high="high",
        title=f"change of {board.metric.name}, {unit}", zero_line=True,
    )  # fmt: skip
    charts.show(chart, records, name="effects")
    st.caption(
        "The mean change over pairs of recipes that differ in this axis alone. Each interval is of "
        "its effect alone: of twenty, one misses by chance."
    )


def _pairs(board: Leaderboard) -> None:
    pairs = board.pairs
    if pairs is None or len(pairs.recipes) < 2:
        st.info("Two recipes with scores are needed.", icon=":material/inbox:")
        return
    count = min(len(pairs.recipes), _MOST_PAIRED)
    scale, unit = (100, "points") if board.metric.bounded else (1, "nats")
    names = [_numbered(i, name) for i, name in enumerate(pairs.recipes[:count])]
    records = [
        {
            "recipe": names[i],
            "against": names[j],
            "p": pairs.p_value[i][j],
            "difference": scale * (0.0 - pairs.difference[i][j]),
            "pair": _APART if pairs.p_value[i][j] <= ALPHA else _NOT_APART,
        }
        for i in range(count)
        for j in range(count)
        if i != j
    ]
    chart = charts.matrix(
        records,
        names,
        row="recipe",
        column="against",
        value="difference",
        value_format="+.1f" if board.metric.bounded else "+.4f",
        kind="pair",
        kinds=(_APART, _NOT_APART),
    )
    charts.show(chart, records, name="pairs")
    st.caption(
        f"In each cell: the row's score minus the column's, in {unit}. Told apart: p is at most {ALPHA}, "
        "adjusted for all pairs; it is shown where the pointer rests. "
        f"{'Only the first ' + str(count) + ' are drawn.' if count < len(pairs.recipes) else ''}"
    )


def _numbered(index: int, name: str) -> str:
    return f"{index + 1}. {one_line(name, 40)}"
