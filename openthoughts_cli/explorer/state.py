"""The state of a page, kept in its URL, so that what is seen can be shared.

A page names its values with their defaults. `begin` brings what the URL says into the widgets' state
when the URL came from elsewhere (a link, the browser's back button); `finish` writes what is seen now
into the URL. A page that is opened from the menu, without a URL of its own, remembers its last state.
What comes from a URL is untrusted: it is checked against what there is, and left out where it is not.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

import streamlit as st

__all__ = [
    "arrived",
    "begin",
    "finish",
    "link",
    "read",
    "read_int",
    "read_many",
    "recall",
    "write",
]

_MOST_CHARS = 4_000
_MOST_VALUES = 200
_WRITTEN = "_url_written"
_REMEMBERED = "_url_remembered"


def begin(page: str, /, values: Mapping[str, Any]) -> None:
    """Bring the URL's values into `st.session_state`, before the widgets of these keys are made.

    Args:
        page: whose state this is.
        values: of each widget's key its value by the URL, checked.
    """
    if arrived(page):
        st.session_state.update(values)
        return
    for name, value in values.items():
        st.session_state.setdefault(name, value)


def arrived(page: str, /) -> bool:
    """Whether the URL is not the one that this page wrote last; True once for each that came."""
    now = _url()
    written: dict[str, Any] = st.session_state.setdefault(_WRITTEN, {})
    if written.get(page) == now:
        return False
    written[page] = now
    return True


def finish(page: str, /, **values: str | int | Sequence[str] | None) -> None:
    """Write what is seen now into the URL, and remember it for this page."""
    write(**values)
    st.session_state.setdefault(_WRITTEN, {})[page] = _url()
    st.session_state.setdefault(_REMEMBERED, {})[page] = _url()


def recall(page: str, of: str | None = None) -> None:
    """Where the URL says nothing, put back what this page, or the page `of`, last showed."""
    remembered: dict[str, Any] = st.session_state.get(_REMEMBERED, {})
    if not _url() and (found := remembered.get(of or page)):
        for name, value in found.items():
            st.query_params[name] = value


def _url() -> dict[str, list[str]]:
    return {name: st.query_params.get_all(name) for name in st.query_params}


def read(name: str, default: str = "", *, among: Sequence[str] | None = None) -> str:
    """A text of the URL; the default where it is missing, too long or not among those allowed."""
    value = str(st.query_params.get(name, default))
    if len(value) > _MOST_CHARS or (among is not None and value not in among):
        return default
    return value


def read_int(name: str, default: int = 0, *, low: int = 0, high: int = 1 << 53) -> int:
    """A whole number of the URL within bounds; the default where it is none."""
    with contextlib.suppress(ValueError):
        return min(max(int(str(st.query_params.get(name, default))[:20]), low), high)
    return default


def read_many(name: str, *, among: Sequence[str]) -> list[str]:
    """The values of a repeated parameter that are allowed, each once, in the order of the URL."""
    found = st.query_params.get_all(name)[:_MOST_VALUES]
    return list(dict.fromkeys(value for value in found if value in among))


def write(**values: str | int | Sequence[str] | None) -> None:
    """Put values into the URL; None, "" and an empty list take theirs out."""
    for name, value in values.items():
        if value is None or value in ("", [], ()):
            st.query_params.pop(name, None)
        elif isinstance(value, (str, int)):
            if st.query_params.get_all(name) != [str(value)]:
                st.query_params[name] = str(value)
        elif st.query_params.get_all(name) != list(value):
            st.query_params[name] = list(value)


def link(page: str, /, **values: str | int | Sequence[str] | None) -> str:
    """The address of a page of the app with this state, relative to the app's own."""
    kept = {name: value for name, value in values.items() if value not in (None, "", [], ())}
    query = urlencode(kept, doseq=True)
    return f"{quote(page)}?{query}" if query else quote(page)
