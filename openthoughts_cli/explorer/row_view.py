"""One row: question, thinking, answer, and the other answers to the same question beside it."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from openthoughts_cli.config.choice import short_source_name
from openthoughts_cli.data.browse import Browse
from openthoughts_cli.data.browse_rows import FullRow, Sibling, siblings_of
from openthoughts_cli.errors import NotFoundError
from openthoughts_cli.evals.final_answer import final_answer
from openthoughts_cli.explorer import figures
from openthoughts_cli.explorer.frame import show_error
from openthoughts_cli.explorer.public import name_shown
from openthoughts_cli.explorer.settings import Settings
from openthoughts_cli.explorer.shown_text import show_text, show_trace
from openthoughts_cli.explorer.text import one_line, to_markdown

__all__ = ["show_row"]

_MODES = ("Rendered", "As it is")


def show_row(browse: Browse, name: str, *, back: Callable[[], None]) -> None:
    """Draw the row of this id; `back` is called by the button that leaves it."""
    st.button("Back to the table", icon=":material/arrow_back:", on_click=back, shortcut="Escape")
    try:
        row = browse.find(name)
    except NotFoundError as error:
        show_error(error)
        return
    siblings = siblings_of(browse, row, final=_final)
    this = siblings[0]
    st.title("One row", anchor=False)
    _facts(this.row)
    mode = st.segmented_control(
        "Text", _MODES, key="row_mode", default="Rendered", label_visibility="collapsed"
    )
    as_it_is = mode == "As it is"
    st.subheader(f"Question, {this.row.tokens_question:,} tokens", anchor=False)
    with st.container(border=True):
        show_text(this.row.question, key="question", as_it_is=as_it_is)
    others = siblings[1:]
    if not others:
        _answer(this, as_it_is, "this")
        st.caption("No other row has this question.")
        return
    st.subheader(f"{len(siblings)} answers to this question", anchor=False)
    other = _pick(siblings)
    if other is None:
        _answer(this, as_it_is, "this")
        return
    left, right = st.columns(2, gap="medium")
    with left:
        _answer(this, as_it_is, "this")
    with right:
        _answer(other, as_it_is, "other")


def _final(text: str) -> tuple[str, str]:
    found = final_answer(text)
    return found.shown, found.same_by


def _facts(row: FullRow) -> None:
    level = "none" if row.kind.difficulty is None else str(row.kind.difficulty)
    facts = [
        ("source", short_source_name(row.kind.source)),
        ("domain", row.kind.domain),
        ("difficulty", level),
        ("tokens", f"{row.tokens:,}"),
        ("file", name_shown(row.file, public=Settings.from_environ().public)),
    ]
    st.markdown("  ·  ".join(f"{name} **{to_markdown(one_line(text))}**" for name, text in facts))
    if row.kind.control:
        st.warning(
            "A text of this row spells a control token of the tokenizer; ot subset leaves such rows "
            "out unless told otherwise.",
            icon=":material/warning:",
        )
    st.caption("This page's address is the link to this row. Its id in subsets and records:")
    st.code(row.row_id, language=None)


def _pick(siblings: list[Sibling]) -> Sibling | None:
    """The table of the answers, and the one that is put beside the row."""
    st.dataframe(
        [
            {
                "answer": "this row" if each.is_this else f"{number}",
                "final answer": one_line(each.final) or "none",
                "same": each.same_final,
                "tokens": each.row.tokens,
                "more than this": each.tokens_more,
                "thinking": each.row.tokens_thinking,
                "answer tokens": each.row.tokens_answer,
                "closed": each.row.closed,
            }
            for number, each in enumerate(siblings)
        ],
        hide_index=True,
        width="stretch",
        column_config={
            **figures.grouped("tokens", "thinking", "answer tokens"),
            "more than this": st.column_config.NumberColumn(format="%+d"),
        },
    )
    agreeing = siblings[0].final_rows
    if agreeing:
        st.caption(f"{agreeing} of {len(siblings)} have the final answer of this row.")
    numbers = list(range(1, len(siblings)))
    differing = next((n for n in numbers if not siblings[n].same_final), 1)

    def label(number: int) -> str:
        if not number:
            return "nothing"
        each = siblings[number]
        return f"answer {number}: {one_line(each.final, 40) or 'no final answer'}, {each.tokens_more:+,} tokens"

    chosen = st.selectbox(
        "Side by side with", [*numbers, 0], index=numbers.index(differing), format_func=label
    )
    return siblings[chosen] if chosen else None


def _answer(shown: Sibling, as_it_is: bool, key: str) -> None:
    row = shown.row
    name = "This row" if shown.is_this else "The other"
    more = "" if shown.is_this else f" ({shown.tokens_more:+,})"
    st.markdown(f"**{name}**: {row.tokens:,} tokens{more}")
    with st.container(border=True):
        st.caption("Final answer" + ("" if shown.is_this or not shown.same_final else ", the same"))
        st.text(shown.final or "none", width="stretch")
    show_trace(
        row.thinking,
        row.answer,
        closed=row.closed,
        key=f"{key}-{row.row_id}",
        as_it_is=as_it_is,
        tokens=(row.tokens_thinking, row.tokens_answer),
    )
