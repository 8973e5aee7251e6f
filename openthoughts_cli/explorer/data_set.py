"""What the page "Data set" draws."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import streamlit as st

from openthoughts_cli.config.choice import short_source_name
from openthoughts_cli.data.browse import SORTS, Browse, Page
from openthoughts_cli.data.browse_counts import GROUPS, Composition, compose
from openthoughts_cli.data.browse_filter import RowFilter
from openthoughts_cli.data.browse_open import DataSet
from openthoughts_cli.data.browse_rows import table_lines
from openthoughts_cli.data.browse_sql import SQL_COLUMNS, SQL_EXAMPLES, query
from openthoughts_cli.errors import ConfigError
from openthoughts_cli.explorer import figures, state
from openthoughts_cli.explorer.data_set_charts import COLUMNS, show_charts
from openthoughts_cli.explorer.filters import (
    filter_now,
    filter_values,
    sidebar_filter,
    url_of_filter,
)
from openthoughts_cli.explorer.frame import errors_shown, page_path, show_error
from openthoughts_cli.explorer.opened import choose_data_set
from openthoughts_cli.explorer.public import name_shown
from openthoughts_cli.explorer.row_view import show_row
from openthoughts_cli.explorer.settings import Settings
from openthoughts_cli.explorer.text import one_line, to_markdown

__all__ = ["show"]

_PAGE = "data_set"
_VIEWS = ("Rows", "Charts", "SQL")
_SIZES = (25, 50, 100, 200)
_SORT_NAMES = {
    "": "the order of the files",
    "tokens": "tokens",
    "tokens_question": "tokens of the question",
    "tokens_thinking": "tokens of the thinking",
    "tokens_answer": "tokens of the answer",
    "difficulty": "difficulty",
    "answers": "answers per question",
}
_MOST_PAGES = 10**9


def show() -> None:
    """Draw the page."""
    settings = Settings.from_environ()
    state.recall(_PAGE)
    chosen_set, browse = choose_data_set(settings)
    row_name = state.read("row")
    state.begin(_PAGE, {**filter_values(browse), **_view_values()})
    chosen = _filter(browse)
    with errors_shown():
        if row_name:
            show_row(browse, row_name, back=_close_row)
        elif chosen is not None:
            _page(browse, chosen, chosen_set, settings)
    # Behind the rest: what is looked for first is drawn first.
    sidebar_filter(browse, chosen)
    values = url_of_filter(chosen) if chosen is not None else {}
    state.finish(_PAGE, row=row_name or None, **values, **_view_of_widgets())


def _filter(browse: Browse) -> RowFilter | None:
    """The filter; None where it is none, and the page says why."""
    try:
        return filter_now(browse)
    except ConfigError as error:
        show_error(error)
        return None


def _page(browse: Browse, chosen: RowFilter, of: DataSet, settings: Settings) -> None:
    st.header(_title(name_shown(of.dataset, public=settings.public)), anchor=False)
    composition = compose(browse, chosen)
    _headline(browse, composition, name_shown(of.tokenizer, public=settings.public))
    view = st.segmented_control("View", _VIEWS, key="view", label_visibility="collapsed")
    if view == "Charts":
        show_charts(browse, chosen, composition)
    elif view == "SQL":
        _sql(browse)
    else:
        _rows(browse, chosen)
    if not settings.public:
        st.page_link(
            page_path("save"),
            label="Save this choice as a subset",
            icon=":material/save:",
            query_params=_as_query(url_of_filter(chosen)),
        )


def _title(name: str) -> str:
    """A path's last part; any other name as it is."""
    path = Path(name)
    return to_markdown(path.name if path.is_absolute() and path.name else name)


def _as_query(values: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in values.items() if value not in (None, "", [])}
    kept |= {"data": state.read("data")} if state.read("data") else {}
    return {
        name: [str(each) for each in value] if isinstance(value, list) else str(value)
        for name, value in kept.items()
    }


def _view_values() -> dict[str, Any]:
    size = state.read_int("size", 50)
    return {
        "view": state.read("view", "Rows", among=_VIEWS),
        "table_sort": state.read("sort", "", among=SORTS),
        "table_descending": state.read("order", "asc", among=("asc", "desc")) == "desc",
        "table_size": size if size in _SIZES else 50,
        "table_page": state.read_int("page", 1, low=1, high=_MOST_PAGES),
        "chart_column": state.read("length", "tokens", among=tuple(COLUMNS)),
        "chart_by": state.read("split", "source", among=GROUPS),
        "sql": state.read("sql", SQL_EXAMPLES[0]),
    }


def _view_of_widgets() -> dict[str, Any]:
    """The URL's values of the view; None for what is as usual."""
    now = st.session_state
    view = now.get("view") or "Rows"
    values: dict[str, Any] = {"view": None if view == "Rows" else view}
    page, size = now.get("table_page", 1), now.get("table_size", 50)
    values |= {"page": None if page == 1 else page, "size": None if size == 50 else size}
    values |= {"sort": now.get("table_sort") or None}
    values["order"] = "desc" if now.get("table_descending") else None
    column, by, sql = now.get("chart_column"), now.get("chart_by"), now.get("sql")
    values["length"] = None if column == "tokens" else column
    values["split"] = None if by == "source" else by
    values["sql"] = sql if view == "SQL" and sql != SQL_EXAMPLES[0] else None
    return values


def _headline(browse: Browse, found: Composition, tokenizer: str) -> None:
    # Markdown and not st.metric, whose code a browser loads late: these are what is looked for first.
    share = f"{found.rows / max(len(browse), 1):.1%}"
    figures.show(
        ("rows", f"{found.rows:,}", f"{share} of {len(browse):,}"),
        ("questions", f"{found.questions:,}", f"of {len(browse.questions):,}"),
        ("tokens", _short(found.total_tokens), f"of {one_line(tokenizer.rpartition('/')[2], 40)}"),
        ("closed", _percent(found.closed, found.rows), "have </think>"),
        ("boxed", _percent(found.boxed, found.rows), "have \\boxed"),
    )
    if browse.malformed:
        why = ", ".join(f"{reason} {count:,}" for reason, count in browse.malformed.most_common())
        st.caption(f"Malformed rows, left out everywhere: {to_markdown(one_line(why))}")


def _short(number: int) -> str:
    for size, word in ((10**9, "B"), (10**6, "M"), (10**3, "k")):
        if number >= size:
            return f"{number / size:.1f} {word}"
    return str(number)


def _percent(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "-"


def _rows(browse: Browse, chosen: RowFilter) -> None:
    sort_by, order, size = st.columns([3, 2, 2], vertical_alignment="bottom")
    sort_by.selectbox("Sort by", SORTS, key="table_sort", format_func=_SORT_NAMES.__getitem__)
    order.toggle("greatest first", key="table_descending")
    size.selectbox("Rows a page", _SIZES, key="table_size")
    now = st.session_state
    page = browse.page(
        chosen,
        number=now["table_page"] - 1,
        size=now["table_size"],
        sort=now["table_sort"],
        descending=now["table_descending"],
    )
    if not page.total:
        st.info("No row passes this filter. Widen it in the sidebar.", icon=":material/inbox:")
        return
    _pager(page, now["table_size"])
    lines = table_lines(browse, page.rows.tolist())
    event: Any = st.dataframe(
        [
            {
                "question": one_line(line.question),
                "source": short_source_name(line.kind.source),
                "difficulty": line.kind.level,
                "tokens": line.tokens,
                "thinking": line.tokens_thinking,
                "answer": line.tokens_answer,
                "closed": line.kind.closed,
                "boxed": line.kind.boxed,
                "answers": line.answers,
            }
            for line in lines
        ],
        hide_index=True,
        width="stretch",
        height=min(38 + 35 * len(lines), 1_000),
        on_select="rerun",
        selection_mode="single-row",
        key=f"table-{page.first}-{hash((chosen, now['table_sort'], now['table_descending']))}",
        column_config={
            "question": st.column_config.TextColumn(width=290),
            **figures.grouped("tokens", "thinking", "answer", width=80),
            "closed": st.column_config.CheckboxColumn(width=64),
            "boxed": st.column_config.CheckboxColumn(width=64),
            "answers": st.column_config.NumberColumn(width=72, help="Rows that the question has"),
        },
    )
    selected = event["selection"]["rows"]
    st.caption("Mark a row at its left edge to open it.")
    if selected and selected[0] < len(lines):
        _open_row(browse.row_id(lines[selected[0]].row))


def _pager(page: Page, size: int) -> None:
    pages = math.ceil(page.total / size)
    number = page.first // size + 1
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        st.button(
            "Previous",
            icon=":material/chevron_left:",
            on_click=_go_to,
            args=(number - 1,),
            disabled=number <= 1,
            key="page_before",
        )
        st.button(
            "Next",
            icon=":material/chevron_right:",
            on_click=_go_to,
            args=(number + 1,),
            disabled=number >= pages,
            key="page_after",
        )
        st.number_input(
            f"Page of {pages:,}",
            min_value=1,
            max_value=_MOST_PAGES,
            step=1,
            key="table_page",
            width=140,
        )
        last = page.first + len(page.rows)
        st.caption(f"rows {page.first + 1:,} to {last:,} of {page.total:,}")


def _go_to(number: int) -> None:
    st.session_state["table_page"] = number


def _open_row(name: str) -> None:
    state.write(row=name)
    st.rerun()


def _close_row() -> None:
    state.write(row=None)


def _sql(browse: Browse) -> None:
    sql = st.text_area(
        "SQL over the table `rows`, read only", key="sql", height=120, max_chars=10_000
    )
    with st.expander("Columns and examples"):
        st.dataframe(
            [{"column": name, "what it is": text} for name, text in SQL_COLUMNS.items()],
            hide_index=True,
        )
        for example in SQL_EXAMPLES:
            st.code(example, language="sql")
    result = query(browse, sql or "")
    frame = result.frame
    more = "; the first of more" if result.more else ""
    st.caption(f"{frame.height:,} rows{more}. The filter in the sidebar is no part of the query.")
    event: Any = st.dataframe(
        frame,
        hide_index=True,
        width="stretch",
        on_select="rerun",
        selection_mode="single-row",
        key=f"sql-{hash(sql)}",
    )
    selected = event["selection"]["rows"]
    if selected and "row" in frame.columns:
        number = frame["row"][selected[0]]
        if isinstance(number, int) and 0 <= number < len(browse):
            _open_row(browse.row_id(number))
