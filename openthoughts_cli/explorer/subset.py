"""What the page "Subset" draws."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st

from openthoughts_cli.config.choice import short_source_name
from openthoughts_cli.data.funnel import STEPS
from openthoughts_cli.data.subset import load_subset, subset_names
from openthoughts_cli.data.subset_view import SubsetView, compare_subsets
from openthoughts_cli.data.trace import split_trace
from openthoughts_cli.explorer import charts, figures, state
from openthoughts_cli.explorer.data_set_charts import COLUMNS
from openthoughts_cli.explorer.frame import empty, errors_shown
from openthoughts_cli.explorer.loss_mask import show_mask
from openthoughts_cli.explorer.settings import Settings
from openthoughts_cli.explorer.shown_text import show_text, show_trace
from openthoughts_cli.explorer.text import one_line, to_markdown
from openthoughts_cli.stamps import Stamp, file_stamp

__all__ = ["show"]

_VIEWS = ("Overview", "Rows", "Split", "Loss mask", "Left out", "Compare")
_PAGE_ROWS = 50


def show() -> None:
    """Draw the page."""
    settings = Settings.from_environ()
    if settings.public:
        st.info("This app is public: subsets are not shown.", icon=":material/lock:")
        return
    names = subset_names(settings.subsets_root)
    if settings.target_kind == "subset" and settings.target not in names:
        names = [settings.target, *names]
    if not names:
        st.title("Subset", anchor=False)
        empty(
            "There is no subset yet. Choose rows on the page Data set and save them, or cut one:",
            "ot subset --source openmath --limit 100",
        )
        return
    state.recall("subset")
    first = settings.target if settings.target_kind == "subset" else names[0]
    wanted = state.read("name", first, among=names)
    state.begin("subset", {"subset_name": wanted, "subset_view": _view_of_url()})
    name = st.selectbox("Subset", names, key="subset_name", format_func=lambda n: Path(n).name)
    with errors_shown():
        view = _open(str(settings.place_of("subset", name)), _stamp(settings, name))
        _headline(view)
        tab = (
            st.segmented_control("View", _VIEWS, key="subset_view", label_visibility="collapsed")
            or _VIEWS[0]
        )
        state.finish("subset", name=name, view=None if tab == _VIEWS[0] else tab)
        draw = {
            "Overview": _overview,
            "Rows": _rows,
            "Split": _split,
            "Loss mask": show_mask,
            "Left out": _left_out,
        }.get(tab)
        if draw is not None:
            draw(view)
        else:
            _compare(view, [each for each in names if each != name], settings)


def _view_of_url() -> str:
    return state.read("view", _VIEWS[0], among=_VIEWS)


def _stamp(settings: Settings, name: str) -> Stamp:
    return file_stamp(settings.place_of("subset", name) / "metadata.json")


@st.cache_resource(max_entries=4, show_spinner="Reading the subset …")
def _open(place: str, stamp: Stamp) -> SubsetView:
    del stamp  # a subset that was cut again is read again
    return SubsetView(load_subset(place))


def _headline(view: SubsetView) -> None:
    metadata = view.subset.metadata
    found = metadata["figures"]
    figures.show(
        ("rows", f"{found['rows']:,}", f"copies {found['copies']:,}"),
        ("questions", f"{found['questions']:,}", "different ones"),
        ("tokens", f"{found['total_tokens']:,}", "in all"),
        ("closed", f"{found['shares']['closed']:.1%}", "have </think>"),
        ("boxed", f"{found['shares']['boxed']:.1%}", "have \\boxed"),
    )
    dataset = str(metadata["dataset"]["asked_for"])
    st.caption(
        to_markdown(
            f"of {dataset}; tokens of {metadata['tokenizer']['model']}; cut "
            f"{metadata.get('created', '')[:10]}; digest {view.subset.digest}"
        )
    )
    changed = view.changed_files()
    if changed:
        st.error(
            f"These files are not those that were written: {to_markdown(', '.join(changed[:5]))}",
            icon=":material/error:",
        )


def _overview(view: SubsetView) -> None:
    funnel = view.subset.metadata["funnel"]
    st.subheader("Funnel", anchor=False)
    steps = [("read", "read"), *STEPS.items(), ("chosen", "chosen")]
    records = [
        {
            "step": words,
            "rows": funnel.get(name, 0),
            "share": funnel.get(name, 0) / max(funnel["read"], 1),
        }
        for name, words in steps
        if funnel.get(name, 0) or name in ("read", "chosen")
    ]
    charts.show(charts.ranked_bars(records, label="step"), records, name="funnel")
    st.caption("Of the rows read, how many each step took out; the rest is chosen.")
    columns = st.columns(3)
    for place, (kind, counts) in zip(columns, view.composition().items(), strict=True):
        with place:
            st.subheader(f"By {kind}", anchor=False)
            found = [
                {
                    kind: short_source_name(label) if kind == "source" else label,
                    "rows": rows,
                    "share": rows / max(len(view), 1),
                }
                for label, rows in counts.items()
            ]
            charts.show(charts.ranked_bars(found, label=kind), found, name=f"subset-by-{kind}")
    st.subheader("Lengths", anchor=False)
    column = st.selectbox("Tokens of", list(COLUMNS), format_func=COLUMNS.__getitem__)
    bars = [
        {**bar._asdict(), "range": f"{bar.low:,} to {bar.high - 1:,}"} for bar in view.bars(column)
    ]
    charts.show(charts.histogram(bars, unit="tokens"), bars, name="subset-lengths")
    shown = view.percentiles(column)
    st.dataframe([shown], hide_index=True, width="stretch", column_config=figures.grouped(*shown))


def _rows(view: SubsetView) -> None:
    columns = view.columns
    pages = max((len(view) - 1) // _PAGE_ROWS + 1, 1)
    page = int(st.number_input(f"Page of {pages:,}", 1, pages, key="subset_page", width=140))
    first = (page - 1) * _PAGE_ROWS
    shown = range(first, min(first + _PAGE_ROWS, len(view)))
    event: Any = st.dataframe(
        [
            {
                "row": row,
                "question": one_line(view.row(row).question),
                "source": short_source_name(columns["source"][row]),
                "difficulty": columns["difficulty"][row] or "none",
                "tokens": columns["tokens"][row],
                "thinking": columns["tokens_thinking"][row],
                "answer": columns["tokens_answer"][row],
            }
            for row in shown
        ],
        hide_index=True,
        width="stretch",
        height=300,
        on_select="rerun",
        selection_mode="single-row",
        key=f"subset-rows-{view.subset.digest}-{page}",
        column_config={
            "question": st.column_config.TextColumn(width="large"),
            "difficulty": st.column_config.TextColumn(),
            **figures.grouped("row", "tokens", "thinking", "answer"),
        },
    )
    selected = event["selection"]["rows"]
    number = shown[selected[0]] if selected and selected[0] < len(shown) else shown[0]
    row = view.row(number)
    st.subheader(f"Row {number}, {row.tokens:,} tokens", anchor=False)
    as_it_is = st.toggle("Text as it is, not rendered", key="subset_as_it_is")
    trace = split_trace(row.answer)
    st.markdown(f"**Question**, {row.tokens_question:,} tokens")
    with st.container(border=True):
        show_text(row.question, key=f"subset-question-{row.row_id}", as_it_is=as_it_is)
    show_trace(
        trace.thinking,
        trace.answer,
        closed=trace.closed,
        key=f"subset-{row.row_id}",
        as_it_is=as_it_is,
        tokens=(row.tokens_thinking, row.tokens_answer),
    )


def _split(view: SubsetView) -> None:
    left, right = st.columns(2)
    share = left.number_input("Share trained on", 0.01, 1.0, 0.9, 0.05, key="split_share")
    seed = right.number_input("Seed", min_value=0, value=42, step=1, key="split_seed")
    sides = view.split(train_fraction=float(share), seed=int(seed))
    st.dataframe(
        [side._asdict() for side in sides],
        hide_index=True,
        width="stretch",
        column_config=figures.grouped("rows", "questions", "tokens"),
    )
    records = [
        {"side": side.name, "rows": side.rows, "share": side.rows / max(len(view), 1)}
        for side in sides
    ]
    charts.show(charts.ranked_bars(records, label="side"), records, name="split")
    st.caption(
        "As `ot train` divides it: all rows of a question are on one side. These are its defaults."
    )


def _left_out(view: SubsetView) -> None:
    funnel = view.subset.metadata["funnel"]
    reasons: list[dict[str, Any]] = []
    for name, words in STEPS.items():
        if funnel.get(name, 0):
            reasons.append({"why": words, "rows": funnel[name]})
        if name == "malformed":
            found = funnel.get("malformed_reasons") or {}
            reasons += [{"why": f"  of these: {why}", "rows": n} for why, n in found.items()]
    st.dataframe(reasons, hide_index=True, width="stretch", column_config=figures.grouped("rows"))
    removed = view.removed()
    if not removed:
        st.caption(
            "No row was left out for a benchmark's question; `--decontaminate` looks for those, and "
            "only they are listed one by one."
        )
        return
    st.subheader("Rows whose question a benchmark has", anchor=False)
    st.dataframe(
        [
            {
                "reason": one_line(str(line.get("reason", ""))),
                "source": short_source_name(str(line.get("source", ""))),
                "similarity": line.get("similarity"),
                "shared words": one_line(str(line.get("shared", line.get("words", "")))),
                "row": str(line.get("row_id", "")),
            }
            for line in removed[:2_000]
        ],
        hide_index=True,
        width="stretch",
    )


def _compare(view: SubsetView, others: list[str], settings: Settings) -> None:
    if not others:
        empty("There is no second subset to compare with. Cut one:", "ot subset --limit 200")
        return
    name = st.selectbox("With", others, format_func=lambda n: Path(n).name, key="subset_other")
    other = _open(str(settings.place_of("subset", name)), _stamp(settings, name))
    found = compare_subsets(view, other)
    one, two = view.subset.name, other.subset.name
    two = f"{two} (2)" if one == two else two
    counts = [
        ("rows", found.rows, found.rows_in_both, found.rows_jaccard),
        ("questions", found.questions, found.questions_in_both, found.questions_jaccard),
        ("tokens", found.tokens, None, None),
    ]
    st.dataframe(
        [
            {
                "": what,
                one: f"{pair[0]:,}",
                two: f"{pair[1]:,}",
                "in both": "" if both is None else f"{both:,}",
                "of all": "" if share is None else f"{share:.1%}",
            }
            for what, pair, both, share in counts
        ],
        hide_index=True,
        width="stretch",
        column_config={
            "of all": st.column_config.TextColumn(
                help="What both have, of what at least one of them has"
            )
        },
    )
    records = [
        {"source": short_source_name(source), "subset": label, "rows": pair[i]}
        for source, pair in found.sources.items()
        for i, label in enumerate((one, two))
    ]
    st.subheader("Rows by source", anchor=False)
    chart = charts.grouped_bars(records, label="source", colour="subset")
    charts.show(chart, records, name="compare-sources")
    st.subheader("Tokens of a row", anchor=False)
    st.dataframe(
        [{"": one, **found.percentiles[0]}, {"": two, **found.percentiles[1]}],
        hide_index=True,
        width="stretch",
        column_config=figures.grouped(*found.percentiles[0]),
    )
