"""What is around every page: the navigation, and how an error is shown."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from pathlib import Path
from typing import Any

import streamlit as st

from openthoughts_cli.errors import OtError
from openthoughts_cli.explorer.public import without_folders
from openthoughts_cli.explorer.settings import Settings
from openthoughts_cli.redaction import redact

__all__ = ["PAGES", "empty", "errors_shown", "navigation", "page_path", "show_error"]

# Not "pages": Streamlit would take each file of a folder of that name for a page by itself.
_HERE = Path(__file__).parent / "views"

PAGES: dict[str, tuple[str, str, bool]] = {
    "data_set": ("Data set", ":material/table_rows:", True),
    "save": ("Save as subset", ":material/save:", False),
    "subset": ("Subset", ":material/dataset:", False),
    "runs": ("Runs", ":material/show_chart:", False),
    "answers": ("Answers", ":material/fact_check:", False),
    "sweep": ("Sweep", ":material/leaderboard:", False),
}
"""Of each page, by its file and address: its title, its icon, and whether a public host has it."""


def page_path(name: str) -> str:
    """The file of a page, for `st.page_link` and `st.switch_page`."""
    return str(_HERE / f"{name}.py")


def navigation() -> Any:
    """The page to run, chosen by the address; without one, what the app was started with.

    Every page has an address of its own: that of Streamlit's default page would be the root, and a
    link would mean another page wherever the app was started with another target.
    """
    settings = Settings.from_environ()
    shown = {
        name: st.Page(page_path(name), title=title, icon=icon, url_path=name)
        for name, (title, icon, public) in PAGES.items()
        if public or not settings.public
    }
    first = shown[settings.first_page]

    def root() -> None:
        st.switch_page(first, query_params=st.query_params.to_dict())

    start = st.Page(root, title="ot explore", default=True, visibility="hidden")
    return st.navigation([start, *shown.values()], position="top")


@contextlib.contextmanager
def errors_shown() -> Generator[None]:
    """What this tool refuses or fails at is shown in the page: what it is, and what to do."""
    try:
        yield
    except OtError as error:
        show_error(error)


def show_error(error: OtError) -> None:
    """An error as text: nothing in it is Markdown; secrets, and on a public app paths, are taken out."""
    settings = Settings.from_environ()

    def clean(text: str) -> str:
        text = redact(text)
        return without_folders(text, settings) if settings.public else text

    with st.container(border=True):
        st.markdown(":material/error: :red[**That did not work**]")
        st.text(clean(error.message), width="stretch")
        if error.hint:
            st.caption("What to do")
            st.text(clean(error.hint), width="stretch")


def empty(what: str, command: str) -> None:
    """An empty state: what is missing, and the command that fills it."""
    st.info(what, icon=":material/inbox:")
    st.code(command, language="bash")
