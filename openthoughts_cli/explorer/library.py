"""The data sets that are open in this process, shared by all who look: at most two."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any

from openthoughts_cli.data.browse import Browse
from openthoughts_cli.data.browse_open import DataSet, Looked, look_up
from openthoughts_cli.explorer.settings import Settings

__all__ = ["first_data_set", "forget", "forget_all", "open_data_set", "preload"]

_MOST_OPEN = 2


class _Open:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.looked: Looked | None = None
        self.signature: tuple[Any, ...] = ()
        self.browse: Browse | None = None


_lock = threading.Lock()
_open: OrderedDict[DataSet, _Open] = OrderedDict()


def open_data_set(wanted: DataSet) -> Browse | Looked:
    """The rows of a data set, or what its index lacks; read once, and again when files change.

    Raises:
        OtError: as `look_up` and `Looked.load`.
    """
    with _lock:
        held = _open.setdefault(wanted, _Open())
        _open.move_to_end(wanted)
        while len(_open) > _MOST_OPEN:
            _open.popitem(last=False)
    with held.lock:
        if held.browse is not None and held.looked is not None:
            if held.looked.signature() == held.signature:
                return held.browse
            held.browse = None
        held.looked = look_up(wanted)
        if held.looked.owed:
            return held.looked
        held.signature = held.looked.signature()
        held.browse = held.looked.load()
        return held.browse


def forget(wanted: DataSet) -> None:
    """Read a data set anew when it is next asked for."""
    with _lock:
        _open.pop(wanted, None)


def forget_all() -> None:
    """Read every data set anew."""
    with _lock:
        _open.clear()


def first_data_set(settings: Settings) -> DataSet:
    """What is shown first: what was asked for, else the largest indexed one, else the sample."""
    from openthoughts_cli.config.sources import SAMPLE_DATASET
    from openthoughts_cli.data.browse_open import indexed_data_sets

    if settings.dataset is not None:
        base = DataSet(settings.dataset, full=settings.full)
    else:
        stored = [] if settings.public else list(indexed_data_sets())
        base = stored[0] if stored else DataSet(SAMPLE_DATASET)
    return base._replace(tokenizer=settings.tokenizer) if settings.tokenizer else base


def preload(settings: Settings) -> None:
    """Open the first data set, and import what its page draws with, before anybody asks.

    Whatever fails here fails again, and is shown, when the page asks.
    """
    import contextlib

    import altair
    import polars

    from openthoughts_cli.errors import OtError

    del altair, polars
    with contextlib.suppress(OtError):
        found = open_data_set(first_data_set(settings))
        if isinstance(found, Browse):
            _ = found.questions.words
