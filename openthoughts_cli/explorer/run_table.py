"""The table of all runs, read anew by itself while a run goes on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import streamlit as st

from openthoughts_cli.runs.browse import RunRow

__all__ = ["MOST_CURVES", "show_table"]

MOST_CURVES = 12
"""So many runs can be looked at together."""
_MOST_LINES = 2_000
_BUSY_S = 3.0
_QUIET_S = 15.0
"""Where no run goes on, only a new one is waited for."""

_Outline: TypeAlias = tuple[tuple[str, str], ...]


def show_table(read: Callable[[], list[RunRow]], drawn: Sequence[RunRow]) -> None:
    """Draw the table as a part of the page that runs again by itself.

    Args:
        read: the runs as they stand when it is called; cheap for those that have not changed.
        drawn: the runs that the rest of the page was drawn with. When one begins, ends or is
            removed, the whole page is drawn anew.
    """
    running = any(row.status == "running" for row in drawn)
    live = st.fragment(_live, run_every=_BUSY_S if running else _QUIET_S)
    live(read, _outline(drawn))


def _outline(rows: Sequence[RunRow]) -> _Outline:
    return tuple((row.summary.run_id, row.status) for row in rows)


def _live(read: Callable[[], list[RunRow]], drawn: _Outline) -> None:
    rows = read()
    if _outline(rows) != drawn:
        st.rerun()
    _table(rows)


def _table(rows: Sequence[RunRow]) -> None:
    left, right = st.columns([3, 1])
    words = left.text_input("Find", key="runs_find", placeholder="run, model, subset or status")
    statuses = sorted({row.status for row in rows})
    status = right.selectbox("Status", ["any", *statuses], key="runs_status")
    found = [
        row
        for row in rows
        if status in ("any", row.status)
        and all(word in _searched(row) for word in words.lower().split())
    ]
    st.caption(_said(len(found), len(rows), sum(row.status == "running" for row in rows)))
    if not found:
        return
    event: Any = st.dataframe(
        [_cells(row) for row in found[:_MOST_LINES]],
        hide_index=True,
        width="stretch",
        height=min(35 * len(found) + 38, 330),
        on_select="rerun",
        selection_mode="multi-row",
        # Marks are numbers of lines: with other lines they would be marks of other runs.
        key=f"runs_table-{hash(tuple(row.summary.run_id for row in found))}",
        column_config={
            "cost at most": st.column_config.NumberColumn(format="dollar"),
            "tokens": st.column_config.NumberColumn(format="localized"),
            "progress": st.column_config.ProgressColumn(
                width="small", min_value=0.0, max_value=1.0, format="percent"
            ),
            "steps": st.column_config.NumberColumn(format="localized"),
            "train loss": st.column_config.NumberColumn(format="%.4f"),
            "scores": st.column_config.TextColumn(width="medium"),
        },
    )
    picked = [found[i].summary.run_id for i in event["selection"]["rows"] if i < len(found)]
    if picked and st.button(
        f"Look at the {len(picked)} marked",
        icon=":material/show_chart:",
        on_click=_look_at,
        args=(picked,),
    ):
        st.rerun()  # what is looked at stands outside of this part of the page


def _said(found: int, total: int, running: int) -> str:
    said = f"{found:,} of {total:,} runs, the newest first"
    if found > _MOST_LINES:
        said += f"; the first {_MOST_LINES:,} are shown"
    if running:
        said += f". :material/bolt: {running:,} running, read anew every {_BUSY_S:.0f} s"
    return said


def _look_at(picked: list[str]) -> None:
    st.session_state["runs_chosen"] = picked[:MOST_CURVES]


def _searched(row: RunRow) -> str:
    summary = row.summary
    return f"{summary.run_id} {summary.model} {summary.subset} {row.status}".lower()


def _cells(row: RunRow) -> dict[str, Any]:
    summary = row.summary
    scores = [
        f"{item.benchmark} {_score(metric, item.last[metric])}"
        for item in summary.evals
        for metric in ("mean@1", "mean")
        if metric in item.last
    ]
    return {
        "run": summary.run_id,
        "status": row.status,
        "progress": summary.steps_done / summary.total_steps if summary.total_steps else None,
        "steps": summary.steps_done,
        "model": Path(summary.model).name if summary.model.startswith("/") else summary.model,
        "subset": Path(summary.subset).name,
        "train loss": summary.last_loss,
        "scores": ", ".join(scores),
        "tokens": summary.train_tokens,
        "cost at most": row.spent_usd,
        "begun": summary.created[:16].replace("T", " "),
    }


def _score(metric: str, value: float) -> str:
    return f"{value:.1%}" if metric == "mean@1" else f"{value:.4g}"
