"""From the name of a data set to its rows in memory, or to what its index lacks."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from openthoughts_cli.config.subset import DEFAULT_TOKENIZER, SubsetConfig
from openthoughts_cli.data.browse import Browse
from openthoughts_cli.data.browse_load import load_browse
from openthoughts_cli.data.corpus import open_corpus
from openthoughts_cli.data.counter import open_counter
from openthoughts_cli.data.index import Index, PartState
from openthoughts_cli.data.tokens import TokenCounter
from openthoughts_cli.events import Listener, silent
from openthoughts_cli.places import index_dir
from openthoughts_cli.stamps import file_stamp

__all__ = ["DataSet", "Looked", "indexed_data_sets", "look_up"]


class DataSet(NamedTuple):
    """A data set under a tokenizer, by the names that an index keeps."""

    dataset: str
    tokenizer: str = DEFAULT_TOKENIZER
    full: bool = False
    """Of a large hub data set all files, not a first look at a few."""


def indexed_data_sets() -> dict[DataSet, int]:
    """Rows in the stored parts of each data set, the most first.

    Only the footers are read; a damaged part is passed over. A part that several data sets share is
    counted for the one that built it.
    """
    found: dict[DataSet, int] = {}
    for path in sorted(index_dir().glob("*/[!.]*.parquet")):
        labels, rows = _footer(path)
        if "ot_dataset" in labels and "ot_tokenizer" in labels:
            key = DataSet(labels["ot_dataset"], labels["ot_tokenizer"])
            found[key] = found.get(key, 0) + rows
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def _footer(path: Path) -> tuple[dict[str, str], int]:
    with contextlib.suppress(OSError, pa.ArrowInvalid, UnicodeDecodeError):
        metadata: Any = pq.read_metadata(path)
        raw: Mapping[bytes, bytes] = metadata.metadata or {}
        return {key.decode(): raw[key].decode() for key in raw}, int(metadata.num_rows)
    return {}, 0


@dataclass(frozen=True)
class Looked:
    """What there is of a data set's index."""

    wanted: DataSet
    index: Index
    counter: TokenCounter
    states: list[PartState]

    @property
    def owed(self) -> list[PartState]:
        """The parts that are missing or damaged."""
        return [state for state in self.states if state.state != "whole"]

    @property
    def config(self) -> dict[str, Any]:
        """The `SubsetConfig` values that mean this data set, for `ot index build`."""
        values = {"dataset": self.wanted.dataset, "tokenizer": self.wanted.tokenizer}
        return values | ({"full": True} if self.wanted.full else {})

    def signature(self) -> tuple[Any, ...]:
        """Changes when a data file or a part of the index does."""
        paths = [state.part.path for state in self.states]
        paths += [state.path for state in self.states if state.path is not None]
        return tuple(map(file_stamp, paths))

    def load(self) -> Browse:
        """All rows, in memory. Only where nothing is owed.

        Raises:
            NotFoundError: a part has gone since.
        """
        return load_browse(self.index, self.states, tokenizer=self.counter.model)


def look_up(wanted: DataSet, *, listener: Listener = silent) -> Looked:
    """Find a data set and the parts of its index.

    Raises:
        NotFoundError, NetworkError, SchemaError, DataError: as `open_corpus`.
        ModelError: the tokenizer cannot be had.
        ConfigError: a name that cannot be one.
    """
    config = SubsetConfig(dataset=wanted.dataset, tokenizer=wanted.tokenizer, full=wanted.full)
    corpus = open_corpus(config.dataset, seed=config.seed, full=config.full, listener=listener)
    counter = open_counter(config.tokenizer, listener=listener)
    index = Index(corpus, counter.digest)
    return Looked(wanted, index, counter, index.states())
