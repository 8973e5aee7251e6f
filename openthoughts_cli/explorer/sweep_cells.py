"""The cells of a sweep: what became of each, and the way to its run."""

from __future__ import annotations

import streamlit as st

from openthoughts_cli.explorer import state
from openthoughts_cli.explorer.frame import page_path
from openthoughts_cli.explorer.run_table import MOST_CURVES
from openthoughts_cli.explorer.text import one_line
from openthoughts_cli.sweeps.layout import Sweep, SweepDirectory

__all__ = ["show_cells"]


def show_cells(sweep: Sweep) -> None:
    """Draw the table of cells, and the choice of runs whose curves are wanted."""
    st.dataframe(
        [
            {
                "cell": one_line(cell.name),
                "state": cell.state,
                "seed": cell.seed,
                "run": None if cell.run is None else state.link("runs", run=cell.run.run_id),
                "why": one_line(cell.reason),
            }
            for cell in sweep.cells
        ],
        hide_index=True,
        width="stretch",
        column_config={"run": st.column_config.LinkColumn(display_text=r"run=(.*)")},
    )
    runs = [cell.run.run_id for cell in sweep.cells if cell.run is not None]
    if runs:
        left, right = st.columns([3, 1], vertical_alignment="bottom")
        chosen = left.multiselect("Runs", runs, default=runs[:4], max_selections=MOST_CURVES)
        with right:
            st.page_link(
                page_path("runs"),
                label="Their curves",
                icon=":material/show_chart:",
                query_params={"run": chosen},
            )
    words = SweepDirectory(sweep.path).sweep_path
    with st.expander("The grid", icon=":material/grid_on:"):
        st.code(words.read_text(encoding="utf-8"), language="json")
