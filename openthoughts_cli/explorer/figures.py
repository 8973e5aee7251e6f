"""Figures in a row, each large with its name below: what a page is opened for."""

from __future__ import annotations

from typing import Any

import streamlit as st

from openthoughts_cli.explorer.text import to_markdown

__all__ = ["grouped", "show"]


def show(*figures: tuple[str, str, str]) -> None:
    """Draw figures side by side; they wrap where there is no room.

    Args:
        figures: of each its name, its value and a few words more.
    """
    with st.container(horizontal=True, gap="medium"):
        for name, value, more in figures:
            small = f"{to_markdown(name)}  \n:gray[:small[{to_markdown(more)}]]"
            with st.container(width="content"):
                st.markdown(f"**:primary[{to_markdown(value)}]** {small}", width="content")


def grouped(*names: str, width: int | None = None) -> dict[str, Any]:
    """Of a table's columns of numbers: thousands are told apart, as everywhere else on a page."""
    column = st.column_config.NumberColumn(format="localized", width=width)
    return dict.fromkeys(names, column)
