"""The charts of the page "Data set": what the rows are of, and how long they are."""

from __future__ import annotations

import streamlit as st

from openthoughts_cli.config.choice import short_source_name
from openthoughts_cli.data.browse import Browse
from openthoughts_cli.data.browse_counts import GROUPS, Composition, histogram
from openthoughts_cli.data.browse_filter import RowFilter
from openthoughts_cli.explorer import charts, figures

__all__ = ["COLUMNS", "show_charts"]

COLUMNS = {
    "tokens": "the whole row",
    "tokens_question": "the question",
    "tokens_thinking": "the thinking",
    "tokens_answer": "the answer",
}
"""The lengths that a chart can be of, in words."""


def show_charts(browse: Browse, chosen: RowFilter, found: Composition) -> None:
    """Draw the composition of the rows that pass, and their lengths."""
    if not found.rows:
        st.info("No row passes this filter. Widen it in the sidebar.", icon=":material/inbox:")
        return
    left, middle, right = st.columns(3)
    for place, name in ((left, "source"), (middle, "domain"), (right, "difficulty")):
        with place:
            st.subheader(f"By {name}", anchor=False)
            records = [
                {
                    name: short_source_name(label) if name == "source" else label,
                    "rows": rows,
                    "share": rows / found.rows,
                }
                for label, rows in getattr(found, name).items()
            ]
            charts.show(charts.ranked_bars(records, label=name), records, name=f"rows-by-{name}")
    st.subheader("Lengths", anchor=False)
    length, split = st.columns(2)
    column = length.selectbox(
        "Tokens of", list(COLUMNS), key="chart_column", format_func=COLUMNS.__getitem__
    )
    by = split.selectbox(
        "Split by", GROUPS, key="chart_by", format_func=lambda name: name or "nothing"
    )
    lengths = histogram(browse, chosen, column=column, by=by)
    records = lengths.records()
    for record in records:
        record["group"] = short_source_name(str(record["group"]))
    chart = charts.histogram(records, unit="tokens", colour="group" if by else None)
    charts.show(chart, records, name="lengths")
    st.dataframe(
        [
            {
                by or "rows": short_source_name(group.name),
                "rows": group.rows,
                "mean": round(group.mean, 1),
                **group.percentiles,
                "tokens": group.total,
            }
            for group in lengths.groups
        ],
        hide_index=True,
        width="stretch",
        column_config=figures.grouped(
            "rows", "mean", "tokens", *(name for g in lengths.groups for name in g.percentiles)
        ),
    )
    st.caption("Percentiles are exact, by nearest rank: each is the length of a real row.")
