"""The filter in the sidebar: widgets, the URL, and the `RowFilter` that they mean."""

from __future__ import annotations

from typing import Any, Literal

import streamlit as st

from openthoughts_cli.config.choice import short_source_name
from openthoughts_cli.data.browse import Browse
from openthoughts_cli.data.browse_counts import compose
from openthoughts_cli.data.browse_filter import RowFilter, Search, parse_span, span_text
from openthoughts_cli.explorer import state

__all__ = ["filter_now", "filter_of_url", "filter_values", "sidebar_filter", "url_of_filter"]

_YES_NO = ("any", "yes", "no")
_KINDS: tuple[Literal["words", "phrase", "regex"], ...] = ("words", "phrase", "regex")
_SPANS = {
    "tokens": "Tokens of the row",
    "thinking": "Tokens of the thinking",
    "answer": "Tokens of the answer",
    "answers": "Rows of the question",
}
_KEY = "filter_"


def filter_values(browse: Browse) -> dict[str, Any]:
    """What the URL says, by the keys of the widgets; what does not exist here is left out."""
    all_rows = compose(browse)
    values: dict[str, Any] = {
        "source": state.read_many("source", among=list(all_rows.source)),
        "domain": state.read_many("domain", among=list(all_rows.domain)),
        "difficulty": state.read_many("difficulty", among=list(all_rows.difficulty)),
        "closed": state.read("closed", "any", among=_YES_NO),
        "boxed": state.read("boxed", "any", among=_YES_NO),
        "find": state.read("find")[:1_000],
        "by": state.read("by", "words", among=_KINDS),
    }
    values |= {name: state.read(name)[:40] for name in _SPANS}
    return {f"{_KEY}{name}": value for name, value in values.items()}


def filter_of_url(browse: Browse) -> RowFilter:
    """The filter that the URL means.

    Raises:
        ConfigError: a range in it is none.
    """
    return _meaning(filter_values(browse))


def url_of_filter(chosen: RowFilter) -> dict[str, Any]:
    """The URL's values of a filter; None for those that do not filter."""
    values: dict[str, Any] = {
        "source": list(chosen.sources),
        "domain": list(chosen.domains),
        "difficulty": list(chosen.difficulty),
        "closed": _word(chosen.closed),
        "boxed": _word(chosen.boxed),
        "find": chosen.search.text if chosen.search else None,
        "by": chosen.search.kind if chosen.search and chosen.search.kind != "words" else None,
    }
    values |= {name: span_text(getattr(chosen, name)) or None for name in _SPANS}
    return values


def _word(value: bool | None) -> str | None:
    return None if value is None else "yes" if value else "no"


def _meaning(values: dict[str, Any]) -> RowFilter:
    found = {name.removeprefix(_KEY): value for name, value in values.items()}
    spans = {name: parse_span(str(found[name] or "")) for name in _SPANS}
    text = str(found["find"] or "").strip()
    return RowFilter(
        sources=tuple(found["source"]),
        domains=tuple(found["domain"]),
        difficulty=tuple(found["difficulty"]),
        closed=_truth(found["closed"]),
        boxed=_truth(found["boxed"]),
        search=Search(found["by"] or "words", text) if text else None,
        **spans,
    )


def _truth(word: str | None) -> bool | None:
    return {"yes": True, "no": False}.get(word or "any")


def filter_now(browse: Browse) -> RowFilter:
    """What the widgets mean, before they are drawn: `state.begin` and the viewer set their state.

    So a page can draw its rows first and the widgets behind them.

    Raises:
        ConfigError: a range is none.
    """
    known = filter_values(browse)
    return _meaning({name: st.session_state.get(name, value) for name, value in known.items()})


def sidebar_filter(browse: Browse, chosen: RowFilter | None) -> None:
    """Draw the widgets; `chosen` is what they mean, None where that is nothing."""
    all_rows = compose(browse)
    with st.sidebar:
        st.subheader("Filter")
        st.text_input(
            "Search in questions", key=f"{_KEY}find", placeholder="prime factors", max_chars=1_000
        )
        st.segmented_control(
            "Search for",
            _KINDS,
            key=f"{_KEY}by",
            label_visibility="collapsed",
            help="words: all of them, whole, in any order and case. phrase: as it is written, in any "
            "case. regex: a regular expression; (?i) in front ignores case.",
        )
        _many("Source", "source", all_rows.source, short=True)
        _many("Domain", "domain", all_rows.domain)
        _many("Difficulty", "difficulty", all_rows.difficulty)
        used = chosen is None or bool(chosen.spans) or (chosen.closed, chosen.boxed) != (None, None)
        more: Any = st.expander(
            "Tokens, thinking, boxed", expanded=used, key="filter_more", on_change="rerun"
        )
        if more.open or used:
            with more:
                _rest()
        st.button("Clear the filter", on_click=_clear, icon=":material/filter_alt_off:")


def _rest() -> None:
    """The widgets that are folded: a browser has them only when they are wanted."""
    for name, label in _SPANS.items():
        st.text_input(label, key=f"{_KEY}{name}", placeholder="any, or 100..8192", max_chars=40)
    for name, label in (("closed", "Thinking closed"), ("boxed", "Has a \\boxed")):
        st.segmented_control(label, _YES_NO, key=f"{_KEY}{name}")


def _many(label: str, name: str, counts: dict[str, int], *, short: bool = False) -> None:
    def shown(value: str) -> str:
        return f"{short_source_name(value) if short else value} ({counts.get(value, 0):,})"

    st.multiselect(label, list(counts), key=f"{_KEY}{name}", format_func=shown, placeholder="all")


def _clear() -> None:
    empty: dict[str, Any] = {"source": [], "domain": [], "difficulty": [], "find": ""}
    empty |= {"closed": "any", "boxed": "any", "by": "words"}
    empty |= dict.fromkeys(_SPANS, "")
    for name, value in empty.items():
        st.session_state[f"{_KEY}{name}"] = value
    st.session_state["table_page"] = 1
