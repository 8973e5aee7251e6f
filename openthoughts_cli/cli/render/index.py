"""An index for a person: what is built of it, and what all indexes take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from openthoughts_cli.cli.render.tables import facts, table

__all__ = ["index_view", "stored_view"]

_STYLE = {"whole": "green", "missing": "yellow", "damaged": "bold red"}
_SHOWN_PARTS = 40


def index_view(values: Mapping[str, Any]) -> RenderableType:
    """The state of one data set's index, its unfinished parts named first."""
    parts: Sequence[Mapping[str, Any]] = values["parts"]
    whole = [part for part in parts if part["state"] == "whole"]
    rows, all_rows = (sum(part["rows"] for part in some) for some in (whole, parts))
    where = [
        ("data set", Text(str(values["dataset"]), style="bold")),
        ("tokenizer", values["tokenizer"]),
        ("parts", f"{len(whole):,} of {len(parts):,} whole, {rows:,} of {all_rows:,} rows"),
        ("size", f"{sum(part['bytes'] for part in parts) / 1e6:,.1f} MB"),
        ("digest", values["digest"]),
        ("directory", str(values["directory"])),
    ]
    ordered = sorted(parts, key=lambda part: part["state"] == "whole")
    shown = [
        (part["file"], part["rows"], Text(part["state"], style=_STYLE[part["state"]]))
        for part in ordered[:_SHOWN_PARTS]
    ]
    views: list[RenderableType] = [facts(where)]
    views += [Text(), table(("file", "rows", "part"), shown, right=("rows",))]
    if len(ordered) > _SHOWN_PARTS:
        views.append(Text(f"and {len(ordered) - _SHOWN_PARTS:,} more", style="dim"))
    if len(whole) < len(parts):
        views.append(Text("build what is owed with: ot index build", style="dim"))
    return Group(*views)


def stored_view(rows: Sequence[Mapping[str, Any]]) -> RenderableType:
    """All stored indexes, a block for each data set and tokenizer."""
    views: list[RenderableType] = []
    for row in rows:
        views += [
            facts(
                [
                    ("data set", Text(row["dataset"], style="bold")),
                    ("tokenizer", row["tokenizer"]),
                    ("stored", f"{row['parts']:,} parts, {row['rows']:,} rows"),
                    ("size", f"{row['bytes'] / 1e6:,.1f} MB"),
                ]
            ),
            Text(),
        ]
    return Group(*views[:-1])
