"""Which data set a page shows: the choice in the sidebar, and the offer to build a missing index."""

from __future__ import annotations

import os
import shlex
from collections.abc import Generator
from pathlib import Path
from typing import Any

import streamlit as st

from openthoughts_cli.config.sources import DEFAULT_DATASET, SAMPLE_DATASET
from openthoughts_cli.data.browse import Browse
from openthoughts_cli.data.browse_open import DataSet, Looked, indexed_data_sets
from openthoughts_cli.errors import AuthError, NetworkError, NotFoundError, OtError
from openthoughts_cli.events import Event, Notice, StageDone, StageProgress, StageStarted
from openthoughts_cli.explorer import library, state
from openthoughts_cli.explorer.apart import run_apart
from openthoughts_cli.explorer.frame import errors_shown, show_error
from openthoughts_cli.explorer.public import name_shown
from openthoughts_cli.explorer.settings import Settings

__all__ = ["choose_data_set", "progress_of"]


@st.cache_data(ttl=20, show_spinner=False)
def _choices(settings: Settings) -> list[DataSet]:
    first = library.first_data_set(settings)
    if settings.public:
        return [first]
    more = [each._replace(full=settings.full) for each in indexed_data_sets()]
    others = [*more, DataSet(SAMPLE_DATASET), DataSet(DEFAULT_DATASET, full=settings.full)]
    seen = {(each.dataset, each.tokenizer): each for each in [*others[::-1], first]}
    return [first, *(each for each in others if each is seen.get((each.dataset, each.tokenizer)))]


def choose_data_set(settings: Settings) -> tuple[DataSet, Browse]:
    """The data set of the sidebar, open; where it cannot be opened the page ends here, saying why."""
    choices = _choices(settings)
    names = [_key(each) for each in choices]
    wanted = state.read("data", names[0], among=names)
    if len(choices) > 1:
        with st.sidebar:
            wanted = st.selectbox(
                "Data set",
                names,
                index=names.index(wanted),
                format_func=lambda key: _label(choices[names.index(key)], choices, settings),
            )
    chosen = choices[names.index(wanted)]
    browse = _opened(chosen, settings)
    if browse is None:
        st.stop()
    state.write(data=wanted if wanted != names[0] else None)
    return chosen, browse


def _opened(chosen: DataSet, settings: Settings) -> Browse | None:
    """The rows; None where they cannot be had, and the page says why."""
    with errors_shown():
        try:
            with st.spinner("Reading the index …"):
                found = library.open_data_set(chosen)
        except (NetworkError, AuthError, NotFoundError) as error:
            show_error(error)
            if "/" in chosen.dataset and not Path(chosen.dataset).expanduser().is_absolute():
                _token_field(settings)  # the hub says of a private one, too, that it is not there
            return None
        if isinstance(found, Browse):
            return found
        _offer_index(found, settings)
    return None


def _key(name: DataSet) -> str:
    return f"{name.dataset} | {name.tokenizer}"


def _label(name: DataSet, choices: list[DataSet], settings: Settings) -> str:
    shown = name_shown(name.dataset, public=settings.public)
    if len(shown) > 40:
        shown = f"…{shown[-39:]}"
    alone = sum(each.dataset == name.dataset for each in choices) == 1
    return shown if alone else f"{shown}, tokens of {name.tokenizer.rpartition('/')[2]}"


def _token_field(settings: Settings) -> None:
    """A token for a gated data set: in this process's memory until it ends, never on disk."""
    if settings.public:
        return
    with st.form("hub"):
        token = st.text_input(
            "Hub token, if the data set asks for one",
            type="password",
            autocomplete="off",
            help="Kept in memory until the app stops; it is written nowhere and is in no link.",
        )
        if st.form_submit_button("Try again"):
            if token.strip():
                os.environ["HF_TOKEN"] = token.strip()
            st.rerun()


def _offer_index(looked: Looked, settings: Settings) -> None:
    """Say what the index lacks, and build it when asked."""
    owed, states = looked.owed, looked.states
    rows = sum(each.part.rows for each in owed)
    damaged = sum(each.state == "damaged" for each in owed)
    shown = name_shown(looked.wanted.dataset, public=settings.public)
    if len(owed) == len(states) and not damaged:
        model = name_shown(looked.counter.model, public=settings.public)
        what = f"{shown} has no index yet under {model}"
    else:
        what = f"the index of {shown} lacks {len(owed)} of {len(states)} files"
        what += f", {damaged} of them damaged" if damaged else ""
        what += ": the data has changed since it was built, or the build was stopped"
    st.info(
        f"{_plain(what)}. The index has one short line for each row; this page is made from it.",
        icon=":material/inbox:",
    )
    command = ["ot", "index", "build", "--dataset", looked.wanted.dataset]
    command += ["--tokenizer", looked.wanted.tokenizer] + (["--full"] if looked.wanted.full else [])
    if settings.public:
        st.text("Whoever runs this app builds it with `ot index build`.")
        return
    st.code(shlex.join(command), language="bash", wrap_lines=True)
    if st.button(f"Build it now: {rows:,} rows", type="primary", icon=":material/build:"):
        config = {"dataset": looked.wanted.dataset, "tokenizer": looked.wanted.tokenizer}
        if progress_of(run_apart("index", {**config, "full": looked.wanted.full})) is not None:
            library.forget(looked.wanted)
            _choices.clear()
            st.rerun()


def _plain(text: str) -> str:
    from openthoughts_cli.explorer.text import to_markdown

    return to_markdown(text)


def progress_of(work: Generator[Event, None, dict[str, Any]]) -> dict[str, Any] | None:
    """Show the work's events as bars and lines; its result, or None where its error is shown."""
    with st.status("Working …", expanded=True) as box:
        bars: dict[str, tuple[Any, int | None, str]] = {}
        try:
            while True:
                try:
                    event = next(work)
                except StopIteration as done:
                    box.update(label="Done", state="complete", expanded=False)
                    return done.value
                _show_event(event, bars)
        except OtError as error:
            box.update(label="It did not work", state="error", expanded=True)
            show_error(error)
            return None
        finally:
            work.close()


def _show_event(event: Event, bars: dict[str, tuple[Any, int | None, str]]) -> None:
    if isinstance(event, StageStarted):
        bars[event.stage] = (st.progress(0.0, text=event.stage), event.total, event.unit)
    elif isinstance(event, StageProgress) and event.stage in bars:
        bar, total, unit = bars[event.stage]
        of = f" of {total:,}" if total else ""
        share = min(event.done / total, 1.0) if total else 0.0
        bar.progress(share, text=f"{event.stage}: {event.done:,}{of} {unit}")
    elif isinstance(event, StageDone) and event.stage in bars:
        bars[event.stage][0].progress(1.0, text=f"{event.stage}: {event.summary}")
    elif isinstance(event, Notice):
        st.text(event.text, width="stretch")
