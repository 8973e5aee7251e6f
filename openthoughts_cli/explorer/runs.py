"""What the page "Runs" draws: all runs in a table, those chosen as curves over one another."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas
import streamlit as st

from openthoughts_cli.errors import OtError
from openthoughts_cli.evals.run_curves import AXES, TRAIN_LOSS, Axis, curve, curve_names
from openthoughts_cli.evals.settings_table import settings_table
from openthoughts_cli.explorer import charts, state
from openthoughts_cli.explorer.frame import empty, errors_shown, page_path, show_error
from openthoughts_cli.explorer.run_table import MOST_CURVES, show_table
from openthoughts_cli.explorer.settings import Settings
from openthoughts_cli.explorer.text import one_line, to_markdown
from openthoughts_cli.runs.browse import RunRow, RunTable
from openthoughts_cli.runs.layout import RunDirectory

__all__ = ["show"]

_FRESH_S = 3.0
_MARKED = "background-color: rgba(217, 119, 43, 0.25)"  # seen in light and in dark


def show() -> None:
    """Draw the page."""
    settings = Settings.from_environ()
    if settings.public:
        st.info("This app is public: runs are not shown.", icon=":material/lock:")
        return
    with errors_shown():
        _page(settings, _rows_with_target(settings))


def _page(settings: Settings, rows: list[RunRow]) -> None:
    if not rows:
        st.title("Runs", anchor=False)
        empty(
            "There is no run yet. Train one, or a whole recipe in a few minutes:", "ot quickstart"
        )
        return
    state.recall("runs")
    ids = [row.summary.run_id for row in rows]
    first = [settings.target] if settings.target_kind == "run" else ids[:1]
    wanted = state.read_many("run", among=ids) or [Path(name).name for name in first]
    known = [name for name in wanted if name in ids]
    state.begin("runs", {"runs_chosen": known[:MOST_CURVES]})
    show_table(partial(_rows_with_target, settings), rows)
    chosen: list[str] = st.multiselect(
        "Runs to look at",
        ids,
        key="runs_chosen",
        max_selections=MOST_CURVES,
        help="Curves are drawn over one another; of two or more the settings are compared.",
    )
    state.finish("runs", run=chosen)
    by_id = {row.summary.run_id: row for row in rows}
    shown = [by_id[name] for name in chosen if name in by_id]
    if shown:
        _chosen(shown)


@st.cache_resource(max_entries=4)
def _run_table(root: str) -> RunTable:
    return RunTable(Path(root))


def _rows_with_target(settings: Settings) -> list[RunRow]:
    """The runs under the root, and the one given on the command line wherever it is.

    Of two with one id, that of the command line: the other could not be told from it.
    """
    rows = _run_table(str(settings.runs_root)).rows()
    if settings.target_kind != "run":
        return rows
    place = settings.place_of("run", settings.target)
    if place.parent.resolve() == settings.runs_root.resolve():
        return rows
    others = [row for row in rows if row.summary.run_id != place.name]
    return [r for r in _run_table(str(place.parent)).rows() if r.directory.path == place] + others


def _chosen(rows: Sequence[RunRow]) -> None:
    for row in rows:
        _headline(row)
    directories = tuple(row.directory for row in rows)
    if any(row.status == "running" for row in rows):
        st.caption(":material/bolt: A run goes on; its curves are read anew by themselves.")
        st.fragment(_curves, run_every=_FRESH_S)(directories)
    else:
        _curves(directories)
    if len(rows) > 1:
        _differences(directories)
    else:
        _details(rows[0].directory)


def _headline(row: RunRow) -> None:
    summary = row.summary
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{to_markdown(summary.run_id)}**", width="content")
        reason = summary.problem or summary.reason
        said = f"{row.status}{f': {one_line(reason)}' if reason else ''}"
        st.markdown(f":gray[{to_markdown(said)}]", width="content")
        st.page_link(
            page_path("answers"),
            label="Its answers",
            icon=":material/fact_check:",
            query_params={"run": summary.run_id},
        )


def _curves(runs: Sequence[RunDirectory]) -> None:
    names = list(dict.fromkeys(name for run in runs for name in curve_names(run)))
    if not names:
        st.info("Nothing was measured yet.", icon=":material/hourglass_empty:")
        return
    usual = [n for n in names if n == TRAIN_LOSS or n.endswith(("/mean", "/mean@1"))]
    chosen = st.multiselect(
        "Curves", names, default=usual or names[:1], format_func=_title, key="runs_curves"
    )
    picked = st.segmented_control(
        "Against", list(AXES), default="step", format_func=AXES.__getitem__, key="runs_axis"
    )
    wanted: list[Axis] = [each for each in AXES if each == picked]
    axis = wanted[0] if wanted else "step"
    columns = st.columns(2) if len(chosen) > 1 else [st.container()]
    for number, name in enumerate(chosen):
        with columns[number % len(columns)]:
            _one_curve(runs, name, axis)


def _one_curve(runs: Sequence[RunDirectory], name: str, axis: Axis) -> None:
    points = [
        {
            "run": run.run_id,
            axis: point.at,
            "value": point.value,
            **({} if point.low is None else {"low": point.low, "high": point.high}),
        }
        for run in runs
        for point in curve(run, name, axis)
    ]
    st.markdown(f"**{to_markdown(_title(name))}**")
    if not points:
        st.caption("No run that is chosen has this.")
        return
    banded = any("low" in point for point in points)
    chart = charts.lines(
        points,
        x=axis,
        y="value",
        x_title=AXES[axis],
        y_title=_unit(name),
        colour="run",
        low="low" if banded else None,
        high="high" if banded else None,
        whole_x=axis == "step",
    )
    charts.show(chart, points, name=f"curve-{name.replace('/', '-')}")


def _title(name: str) -> str:
    if name == TRAIN_LOSS:
        return "training loss"
    benchmark, _, metric = name.partition("/")
    return "held-out NLL" if (benchmark, metric) == ("nll", "mean") else f"{benchmark}, {metric}"


def _unit(name: str) -> str:
    if name == TRAIN_LOSS or name.startswith("nll/"):
        return "nats per byte" if name.endswith("per_byte") else "nats per token"
    return "share of problems"


def _differences(runs: Sequence[RunDirectory]) -> None:
    st.subheader("Settings", anchor=False)
    whole = st.toggle("All of them, those that differ marked", key="runs_all_settings")
    try:
        lines = settings_table([run.read_config() for run in runs])
    except OtError as error:
        show_error(error)
        return
    shown = [line for line in lines if whole or line.differs]
    if not shown:
        st.caption("None differs: these are runs of one recipe.")
        return
    table = pandas.DataFrame(
        [
            {
                "setting": line.key,
                **{r.run_id: _shown(v) for r, v in zip(runs, line.values, strict=True)},
            }
            for line in shown
        ]
    )
    colours = [_MARKED if whole and line.differs else "" for line in shown]
    marked = table.style.apply(lambda column: colours[: len(column)], axis=0)
    st.dataframe(marked, hide_index=True, width="stretch")
    if not whole:
        st.caption("The others are the same in all of these runs.")


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _details(run: RunDirectory) -> None:
    with st.expander("Settings", icon=":material/settings:"):
        st.code(json.dumps(run.read_config(), indent=2, ensure_ascii=False), language="json")
    with st.expander("Where the rows went, versions, identity", icon=":material/receipt_long:"):
        st.code(json.dumps(run.read_record(), indent=2, ensure_ascii=False), language="json")
    checkpoints = run.checkpoints()
    if checkpoints:
        with st.expander(f"Checkpoints, {len(checkpoints)}", icon=":material/save:"):
            st.dataframe(
                [
                    {
                        "name": each.name,
                        "steps": each.batch,
                        "final": each.final,
                        "expires": each.expires_at or "",
                        "weights": each.sampler_path or each.state_path or "",
                    }
                    for each in checkpoints
                ],
                hide_index=True,
                width="stretch",
            )
