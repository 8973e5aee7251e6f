"""A row of a subset as a model is trained on it: which of its tokens carry loss, in colour."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from pathlib import Path

import streamlit as st

from openthoughts_cli.chat.renderer import Renderer, load_renderer
from openthoughts_cli.data.inspect import mask_row
from openthoughts_cli.data.subset_view import SubsetView
from openthoughts_cli.explorer.text import PART_CHARS

__all__ = ["between", "show_mask"]

_LOSS = "rgba(46,160,67,0.30)"
_NO_LOSS = "rgba(128,128,128,0.25)"
_MOST_NAME_CHARS = 200  # hub ids are shorter, and no file system takes a part over 255


@st.cache_resource(max_entries=3, show_spinner="Loading the tokenizer …")
def _renderer(model: str) -> Renderer:
    return load_renderer(model)


def show_mask(view: SubsetView) -> None:
    """Draw the choice of a model and a row, and the row."""
    known = str(view.subset.metadata["tokenizer"]["model"])
    left, right = st.columns([3, 1])
    model = left.text_input(
        "Model",
        value=known,
        key="mask_model",
        help="A model id, smollm2-135m, or the folder whose tokens the subset counts.",
    ).strip()
    if model != known and _is_folder(model):
        st.warning(
            "A folder is read only where the subset names it itself.", icon=":material/lock:"
        )
        return
    number = int(
        right.number_input(f"Row, 0 to {len(view) - 1:,}", 0, len(view) - 1, key="mask_row")
    )
    masked = mask_row(view.row(number), number, _renderer(model))
    st.markdown(
        f"{masked.prompt_tokens:,} tokens of prompt without loss, "
        f"**{masked.loss_tokens:,} tokens carry loss**"
    )
    chars = sum(len(text) for text, _ in masked.pieces)
    parts = -(-chars // PART_CHARS)
    part = 1
    if parts > 1:  # a browser stands still over megabytes
        part = int(st.number_input(f"Part of {parts:,}", 1, parts, key=f"mask_part-{number}"))
    _draw(list(between(masked.pieces, (part - 1) * PART_CHARS, part * PART_CHARS)))


def between(
    pieces: Sequence[tuple[str, bool]], start: int, stop: int
) -> Iterator[tuple[str, bool]]:
    """What stands from one character of the whole to another."""
    at = 0
    for text, loss in pieces:
        kept = text[max(start - at, 0) : max(stop - at, 0)]
        if kept:
            yield kept, loss
        at += len(text)


def _draw(pieces: Sequence[tuple[str, bool]]) -> None:
    runs = "".join(
        f'<span style="background:{_LOSS if loss else _NO_LOSS};border-radius:3px">'
        f"{html.escape(text)}</span>"
        for text, loss in pieces
    )
    # Every character of the row is escaped; the only elements are these spans.
    st.html(
        f'<p><span style="background:{_NO_LOSS};padding:2px 8px">prompt, no loss</span> '
        f'<span style="background:{_LOSS};padding:2px 8px">carries loss</span></p>'
        f'<pre style="white-space:pre-wrap;overflow-wrap:anywhere;font-size:0.85rem;'
        f'max-height:60vh;overflow:auto">{runs}</pre>'
    )


def _is_folder(model: str) -> bool:
    """Whether a name leads to a folder of this machine; a hub id and an alias do not."""
    if model.startswith("~") or len(model) > _MOST_NAME_CHARS:
        return True
    place = Path(model)
    return place.is_absolute() or ".." in place.parts or place.exists()
