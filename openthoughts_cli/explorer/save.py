"""What the page "Save as subset" draws."""

from __future__ import annotations

from typing import Any

import streamlit as st

from openthoughts_cli.config.load import load_config
from openthoughts_cli.config.subset import SubsetConfig
from openthoughts_cli.data.browse import Browse
from openthoughts_cli.data.browse_counts import compose
from openthoughts_cli.data.browse_filter import (
    Request,
    RowFilter,
    subset_command,
    subset_request,
    subset_yaml,
)
from openthoughts_cli.data.browse_open import DataSet
from openthoughts_cli.errors import OtError
from openthoughts_cli.explorer import state
from openthoughts_cli.explorer.apart import run_apart
from openthoughts_cli.explorer.filters import filter_of_url, url_of_filter
from openthoughts_cli.explorer.frame import errors_shown, page_path, show_error
from openthoughts_cli.explorer.opened import choose_data_set, progress_of
from openthoughts_cli.explorer.settings import Settings

__all__ = ["show"]

_PAGE = "save"
_ORDERS = ("random", "hardest", "longest", "shortest")


def show() -> None:
    """Draw the page."""
    settings = Settings.from_environ()
    st.title("Save as subset", anchor=False)
    if settings.public:
        st.info("This app is public and read only: nothing can be saved.", icon=":material/lock:")
        return
    state.recall(_PAGE, of="data_set")
    chosen_set, browse = choose_data_set(settings)
    with errors_shown():
        chosen = filter_of_url(browse)
        found = compose(browse, chosen)
        st.markdown(
            f"The filter of the page *Data set* keeps **{found.rows:,}** rows with "
            f"{found.questions:,} questions."
        )
        st.page_link(
            page_path("data_set"),
            label="Change the filter",
            icon=":material/filter_alt:",
            query_params=_query(chosen),
        )
        request = _request(browse, chosen, chosen_set, found.rows)
        try:
            config = load_config(SubsetConfig, options=dict(request.options)).config
        except OtError as error:
            show_error(error)
            return
        for part in request.left_out:
            st.warning(
                f"A subset's choice knows nothing of {part}: the subset is chosen without it.",
                icon=":material/warning:",
            )
        if found.control:
            st.caption(
                f"{found.control:,} of these rows spell a control token and are left out by default."
            )
        st.subheader("Command", anchor=False)
        st.code(subset_command(request.options), language="bash", wrap_lines=True)
        st.subheader("YAML", anchor=False)
        st.code(subset_yaml(request.options), language="yaml", wrap_lines=True)
        st.caption("Save it as a file, and `ot subset --config FILE` cuts the same rows.")
        state.finish(_PAGE, **url_of_filter(chosen))
        _save(settings, request, config.name or config.default_name())


def _query(chosen: RowFilter) -> dict[str, Any]:
    kept = {name: value for name, value in url_of_filter(chosen).items() if value not in (None, [])}
    kept |= {"data": state.read("data")} if state.read("data") else {}
    return kept


def _request(browse: Browse, chosen: RowFilter, of: DataSet, rows: int) -> Request:
    one, two, three = st.columns(3)
    counted = one.segmented_control(
        "How many", ("rows", "questions"), default="rows", required=True
    )
    number = one.number_input(
        f"Number of {counted}", min_value=1, value=min(max(rows, 1), 100), step=1, key="save_number"
    )
    order = two.selectbox("Which first", _ORDERS)
    seed = two.number_input("Seed", min_value=0, value=42, step=1)
    name = three.text_input("Name", placeholder="made from the choice", max_chars=100)
    answers = three.number_input(
        "Most rows of a question", min_value=1, value=None, step=1, placeholder="all"
    )
    return subset_request(
        chosen,
        dataset=of.dataset,
        tokenizer=of.tokenizer,
        longest=max(browse.longest, 1),
        **{"limit" if counted == "rows" else "questions": int(number)},
        order=None if order == "random" else order,
        seed=None if seed == 42 else int(seed),
        answers_per_question=answers,
        name=name.strip() or None,
        full=of.full or None,
    )


def _save(settings: Settings, request: Request, name: str) -> None:
    replace = st.checkbox("Replace a different subset of that name")
    if not st.button("Save it here", type="primary", icon=":material/save:"):
        return
    options = {**request.options, "name": name, "output_dir": str(settings.subsets_root)}
    result = progress_of(run_apart("subset", options, force=replace))
    if result is None:
        return
    said = "was there already, with these rows" if result["reused"] else "is saved"
    st.success(f"The subset {said}.", icon=":material/check_circle:")
    st.page_link(
        page_path("subset"),
        label=f"Look at {result['name']}",
        icon=":material/dataset:",
        query_params={"name": result["name"]},
    )
    st.code(f"ot train --subset {result['name']}", language="bash")
