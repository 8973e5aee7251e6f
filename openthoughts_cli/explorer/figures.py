"""Figures in a row, each large with its name below: what a page is opened for."""

from __future__ import annotations

import streamlit as st

from openthoughts_cli.explorer.text import to_markdown

__all__ = ["show"]


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
