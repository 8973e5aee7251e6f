"""Charts that are readable in light and dark, name their units and can be taken away.

Altair under Streamlit's own theme: text, grid and colours follow the viewer's light or dark. Each
chart has Streamlit's buttons, which save it as a picture, and one for its figures as CSV.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import streamlit as st

from openthoughts_cli.explorer.csv_file import csv_bytes

__all__ = [
    "grouped_bars",
    "histogram",
    "intervals",
    "lines",
    "matrix",
    "ranked_bars",
    "show",
]

Records = Sequence[Mapping[str, Any]]

_HEIGHT = 280
_GREY = "#8b949e"  # readable on white and on black; a rule's own colour is black
_COLOURS = (
    *("#3b82d6", "#d9772b", "#2e9e62", "#b8549e", "#8b6fd6", "#9a8a1f", "#1f9aa8", "#d0524f"),
    *("#a06a42", "#7d8590", "#5f8a3a", "#c78500"),
)
"""Of as many curves as a page draws; each can be told from white and from black."""
_APART, _NOT_APART = "#1a7f37", "#6e7781"  # with white figures on them, in light and in dark
_WIDE_NAME = 12
_LEGEND_LINE = 22


def show(
    chart: alt.Chart | alt.LayerChart | alt.FacetChart, records: Records, *, name: str
) -> None:
    """Draw a chart as wide as its place, with a button for its figures.

    Args:
        chart: an Altair chart.
        records: the figures in it, for the CSV.
        name: of the file, and the key of the button; unique on the page.
    """
    # Streamlit leaves a finger's breadth below each chart.
    chart = chart.properties(padding={"top": 8, "left": 0, "right": 8, "bottom": 0})
    st.altair_chart(chart, width="stretch", key=f"chart-{name}")
    st.download_button(
        "CSV",
        csv_bytes(records),
        file_name=f"{name}.csv",
        mime="text/csv",
        key=f"csv-{name}",
        type="tertiary",
        icon=":material/download:",
        on_click="ignore",
        help="The figures of this chart. The chart itself: the buttons at its upper edge on the right.",
    )


def histogram(
    bars: Records,
    *,
    unit: str,
    colour: str | None = None,
    counted: str = "rows",
    height: int = _HEIGHT,
) -> alt.Chart:
    """A histogram: records with `low`, `high`, `rows`, `range` in words and, with `colour`, that name.

    Args:
        bars: the bars; those of one `low` are stacked by colour.
        unit: of `low` and `high`, for the axis.
        colour: the key by which bars are coloured.
        counted: what `rows` counts, for the axis.
        height: of the drawing, in pixels.
    """
    tooltip: list[Any] = [
        alt.Tooltip("range:N", title=unit),
        alt.Tooltip("rows:Q", title=counted, format=","),
    ]
    encoding: dict[str, Any] = {
        "x": alt.X("low:Q", bin=alt.BinParams(binned=True), title=unit, axis=_axis()),
        "x2": "high:Q",
        "y": alt.Y("rows:Q", title=counted, stack="zero", axis=_axis(whole=True)),
    }
    if colour is not None:
        encoding["color"] = _coloured(colour, bars)
        tooltip.insert(0, alt.Tooltip(f"{colour}:N", title=colour))
    return (
        alt.Chart(alt.Data(values=[dict(bar) for bar in bars]))
        .mark_bar(binSpacing=1, color=_COLOURS[0])
        .encode(**encoding, tooltip=tooltip)
        .properties(height=height)
    )


def ranked_bars(
    records: Records, *, label: str, value: str = "rows", unit: str = "rows"
) -> alt.Chart:
    """Horizontal bars in the order of the records: `label`, `value` and `share` (0 to 1)."""
    return (
        alt.Chart(alt.Data(values=[dict(record) for record in records]))
        .mark_bar(color=_COLOURS[0])
        .encode(
            x=alt.X(f"{value}:Q", title=unit, axis=_axis(whole=True)),
            y=alt.Y(
                f"{label}:N",
                sort=None,
                title=None,
                axis=alt.Axis(labelLimit=150, labelOverlap=False),
            ),
            tooltip=[
                alt.Tooltip(f"{label}:N"),
                alt.Tooltip(f"{value}:Q", title=unit, format=","),
                alt.Tooltip("share:Q", format=".1%"),
            ],
        )
        .properties(height=24 * len(records) + 70)
    )


def grouped_bars(records: Records, *, label: str, colour: str, value: str = "rows") -> alt.Chart:
    """Horizontal bars side by side, one a colour, for each label."""
    labels = len({record[label] for record in records})
    return (
        alt.Chart(alt.Data(values=[dict(record) for record in records]))
        .mark_bar()
        .encode(
            x=alt.X(f"{value}:Q", title=value, axis=_axis(whole=True)),
            y=alt.Y(f"{label}:N", sort=None, title=None, axis=alt.Axis(labelLimit=150)),
            yOffset=alt.YOffset(f"{colour}:N", sort=None),
            color=_coloured(colour, records),
            tooltip=[f"{label}:N", f"{colour}:N", alt.Tooltip(f"{value}:Q", format=",")],
        )
        .properties(height=40 * labels + 110)
    )


def lines(
    points: Records,
    *,
    x: str,
    y: str,
    x_title: str,
    y_title: str,
    colour: str | None = None,
    low: str | None = None,
    high: str | None = None,
    log_x: bool = False,
    whole_x: bool = False,
    height: int = _HEIGHT,
) -> Any:
    """Curves with points, one a colour, and a band from `low` to `high` where these are given.

    Args:
        points: records with the keys named by the other arguments.
        x, y: keys of the place.
        x_title, y_title: what stands at the axes, units included.
        colour: the key that names the curve.
        low, high: keys of an interval's ends.
        log_x: a logarithmic x axis.
        whole_x: the places are whole numbers.
        height: of the drawing, in pixels.
    """
    scale = alt.Scale(type="log") if log_x else alt.Scale(zero=False, nice=False)
    base = alt.Chart(alt.Data(values=[dict(point) for point in points])).encode(
        x=alt.X(f"{x}:Q", title=x_title, scale=scale, axis=_axis(whole=whole_x))
    )
    if colour is not None:
        base = base.encode(color=_coloured(colour, points))
    tooltip = [alt.Tooltip(f"{x}:Q", title=x_title), alt.Tooltip(f"{y}:Q", title=y_title)]
    if colour is not None:
        tooltip.insert(0, alt.Tooltip(f"{colour}:N", title=colour))
    if low is not None and high is not None:
        tooltip += [alt.Tooltip(f"{low}:Q"), alt.Tooltip(f"{high}:Q")]
    y_axis = alt.Y(f"{y}:Q", title=y_title, scale=alt.Scale(zero=False), axis=_axis())
    curve = base.mark_line(point=len(points) < 400).encode(y=y_axis, tooltip=tooltip)
    layers: list[Any] = [curve]
    if low is not None and high is not None:
        layers.insert(0, base.mark_area(opacity=0.2).encode(y=f"{low}:Q", y2=f"{high}:Q"))
    more = _LEGEND_LINE * (_legend_lines(colour, points) - 1) if colour is not None else 0
    return alt.layer(*layers).properties(height=height + more)


def intervals(
    records: Records,
    *,
    label: str,
    value: str,
    low: str,
    high: str,
    title: str,
    colour: str | None = None,
    zero_line: bool = False,
) -> Any:
    """A dot and its interval for each label, in the order of the records.

    Args:
        records: with the keys named by the other arguments; a missing interval is a dot alone.
        title: what the values are, with their unit.
        colour: the key by which the dots are coloured.
        zero_line: draw a line at 0, for differences.
    """
    base = alt.Chart(alt.Data(values=[dict(record) for record in records])).encode(
        y=alt.Y(
            f"{label}:N", sort=None, title=None, axis=alt.Axis(labelLimit=260, labelOverlap=False)
        )
    )
    if colour is not None:
        base = base.encode(color=_coloured(colour, records))
    scale = alt.Scale(zero=zero_line)
    ruled = base.mark_rule(strokeWidth=2) if colour else base.mark_rule(strokeWidth=2, color=_GREY)
    bar = ruled.encode(x=alt.X(f"{low}:Q", title=title, scale=scale, axis=_axis()), x2=f"{high}:Q")
    tooltip = [f"{label}:N", *(alt.Tooltip(f"{key}:Q", format=".4g") for key in (value, low, high))]
    dot = base.mark_point(filled=True, size=70, opacity=1).encode(
        x=alt.X(f"{value}:Q", title=title, scale=scale, axis=_axis()), tooltip=tooltip
    )
    layers: list[Any] = [bar, dot]
    if zero_line:
        zero = alt.Chart(alt.Data(values=[{"zero": 0}]))
        layers.insert(0, zero.mark_rule(strokeDash=[4, 4], color=_GREY).encode(x="zero:Q"))
    more = 0 if colour is None else _LEGEND_LINE * _legend_lines(colour, records)
    return alt.layer(*layers).properties(height=34 * len(records) + 70 + more)


def matrix(
    records: Records,
    order: Sequence[str],
    *,
    row: str,
    column: str,
    value: str,
    value_format: str,
    kind: str,
    kinds: tuple[str, str],
) -> Any:
    """Cells in the order given for rows and columns, the value in each.

    Args:
        records: one a cell; whatever else they hold stands in the tooltip.
        order: the names, each begun by its number: rows are named whole, columns by the number.
        value_format: of the value, as d3 writes formats.
        kind: the key of a text by which cells are coloured.
        kinds: the two texts; the first is drawn in green, the second in grey.
    """
    shown = [dict(record) | {"number": _number(str(record[column]))} for record in records]
    base = alt.Chart(alt.Data(values=shown)).encode(
        x=alt.X(
            "number:N",
            sort=[_number(name) for name in order],
            title=None,
            axis=alt.Axis(labelAngle=0, labelOverlap=False, orient="top"),
        ),
        y=alt.Y(
            f"{row}:N",
            sort=list(order),
            title=None,
            axis=alt.Axis(labelLimit=260, labelOverlap=False),
        ),
        tooltip=[
            alt.Tooltip(f"{name}:Q", format=".3~f")
            if isinstance(one, float)
            else alt.Tooltip(f"{name}:N")
            for name, one in (records[0] if records else {}).items()
        ],
    )
    scale = alt.Scale(domain=list(kinds), range=[_APART, _NOT_APART])
    cells = base.mark_rect().encode(
        color=alt.Color(f"{kind}:N", title=None, scale=scale, legend=_legend(1))
    )
    text = alt.Text(f"{value}:Q", format=value_format)
    figures = base.mark_text(fontSize=11, color="white").encode(text=text)
    return alt.layer(cells, figures).properties(height=36 * len(order) + 30 + 2 * _LEGEND_LINE)


def _number(name: str) -> str:
    return name.partition(".")[0]


def _coloured(name: str, records: Records) -> alt.Color:
    scale = alt.Scale(range=list(_COLOURS))
    legend = _legend(1 if _has_wide(name, records) else 2)
    return alt.Color(f"{name}:N", title=None, sort=None, scale=scale, legend=legend)


def _has_wide(name: str, records: Records) -> bool:
    """Whether a name takes a line of the legend alone; so the two do on a phone."""
    return any(len(str(record[name])) > _WIDE_NAME for record in records)


def _legend_lines(name: str, records: Records) -> int:
    names = len({str(record[name]) for record in records})
    return max(names if _has_wide(name, records) else (names + 1) // 2, 1)


def _axis(*, whole: bool = False) -> alt.Axis:
    # Plain "," writes 3e+1 for 30. Of rows there is no half.
    least = 1 if whole else alt.Undefined
    return alt.Axis(
        format=",.10~g", labelOverlap=True, tickCount=5, tickMinStep=least, titlePadding=8
    )


def _legend(columns: int = 2) -> alt.Legend:
    # A band is faint; its legend must not be.
    return alt.Legend(
        orient="bottom", columns=columns, labelLimit=330, symbolOpacity=1, offset=8, rowPadding=4
    )
