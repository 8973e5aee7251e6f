"""Untrusted texts in a page: a long one by parts, and a trace with its thinking folded."""

from __future__ import annotations

from typing import Any

import streamlit as st

from openthoughts_cli.explorer.text import cut_into_parts, to_markdown

__all__ = ["show_text", "show_trace"]


def show_trace(
    thinking: str,
    answer: str,
    *,
    closed: bool,
    key: str,
    as_it_is: bool,
    tokens: tuple[int, int] | None = None,
) -> None:
    """The thinking, folded until somebody opens it, and what is then said.

    Args:
        thinking, answer: the two parts of a trace, as `split_trace` cuts it.
        closed: whether the thinking ends.
        key: of the widgets, unique on the page.
        as_it_is: character by character, not rendered.
        tokens: of the thinking and of the answer, where they are known.
    """
    counts = (
        ("", "")
        if tokens is None
        else tuple(f", {count:,} token{'s' * (count != 1)}" for count in tokens)
    )
    if thinking:
        folded: Any = st.expander(
            f"Thinking{counts[0]}{'' if closed else ', never closed'}",
            icon=":material/psychology:",
            key=f"thinking-{key}",
            on_change="rerun",
        )
        if folded.open:  # a browser that is sent a long text renders it, seen or not
            with folded:
                show_text(thinking, key=f"thought-{key}", as_it_is=as_it_is)
    else:
        st.caption("No thinking.")
    st.markdown(f"**Answer**{counts[1]}")
    with st.container(border=True):
        if answer.strip():
            show_text(answer, key=f"said-{key}", as_it_is=as_it_is)
        else:
            st.caption("Nothing follows the thinking." if thinking else "The answer is empty.")


def show_text(text: str, *, key: str, as_it_is: bool = False) -> None:
    """Untrusted text: rendered without anything that fetches or runs, or character by character.

    A long one is shown part by part, with the whole as a file.
    """
    parts = cut_into_parts(text)
    number = 1
    if len(parts) > 1:
        with st.container(horizontal=True, vertical_alignment="bottom"):
            number = st.number_input(
                f"Part of {len(parts):,}", 1, len(parts), key=f"part-{key}", width=140
            )
            st.download_button(
                f"All of it, {len(text):,} characters",
                text.encode("utf-8", "replace"),
                file_name="text.txt",
                mime="text/plain",
                key=f"whole-{key}",
                on_click="ignore",
                icon=":material/download:",
            )
    part = parts[int(number) - 1]
    if as_it_is:
        st.code(part, language=None, wrap_lines=True)
    else:
        st.markdown(to_markdown(part), unsafe_allow_html=False, anchors=False)
