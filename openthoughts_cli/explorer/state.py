"""The state of a page, kept in its URL, so that what is seen can be shared.

Widgets with a value of their own bind themselves (`bind="query-params"`); this is for the rest: the
row that is open, the page of a table, the run that is looked at. What comes from a URL is untrusted.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from urllib.parse import quote, urlencode

import streamlit as st

__all__ = ["link", "read", "read_int", "read_many", "write"]

_MOST_CHARS = 4_000


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
    found = st.query_params.get_all(name)[:200]
    return list(dict.fromkeys(value for value in found if value in among))


def write(**values: str | int | Sequence[str] | None) -> None:
    """Put values into the URL; None, "" and an empty list take theirs out."""
    for name, value in values.items():
        if value is None or value in ("", [], ()):
            st.query_params.pop(name, None)
        elif isinstance(value, (str, int)):
            if st.query_params.get(name) != str(value):
                st.query_params[name] = str(value)
        elif st.query_params.get_all(name) != list(value):
            st.query_params[name] = list(value)


def link(page: str, **values: str | int | Sequence[str] | None) -> str:
    """The address of a page of the app with this state, relative to the app's own."""
    kept = {name: value for name, value in values.items() if value not in (None, "", [], ())}
    query = urlencode(kept, doseq=True)
    return f"{quote(page)}?{query}" if query else quote(page)
