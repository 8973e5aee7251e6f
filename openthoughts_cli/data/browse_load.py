"""Reading an index into memory for the explorer, part by part."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from openthoughts_cli.data.browse import COUNTS, Browse, Kind
from openthoughts_cli.data.browse_search import Questions
from openthoughts_cli.data.index import Index, PartState
from openthoughts_cli.data.table import SCHEMA

__all__ = ["load_browse"]

_READ = [name for name in SCHEMA.names if name != "answer"] + ["question"]
_LABELS = ("closed", "boxed", "control")


def load_browse(index: Index, states: Sequence[PartState], *, tokenizer: str) -> Browse:
    """All whole rows of the parts of an index.

    Args:
        index: of which corpus.
        states: its parts, all whole.
        tokenizer: the name of the model whose tokens they count.

    Raises:
        NotFoundError: a part has gone.
    """
    loading = _Loading()
    for state in states:
        loading.add(state.number, index.columns(state, _READ))
    browse = loading.finish(index, states, tokenizer)
    pa.default_memory_pool().release_unused()
    return browse


class _Loading:
    def __init__(self) -> None:
        self._kinds: dict[Kind, int] = {}
        self._columns: dict[str, list[NDArray[Any]]] = {}
        self._texts: list[Any] = []
        self._malformed: Counter[str] = Counter()

    def add(self, number: int, table: Any) -> None:
        malformed = table.column("malformed")
        self._malformed.update(malformed.drop_null().cast(pa.string()).to_pylist())
        if malformed.null_count != table.num_rows:
            table = table.filter(malformed.is_null())
        self._keep("part", np.full(table.num_rows, number, dtype=np.int32))
        for name in ("row_group", "row", *COUNTS):
            self._keep(name, table.column(name).to_numpy())
        for name in ("content_high", "content_low", "question_high", "question_low"):
            self._keep(name, table.column(name).to_numpy())
        self._keep("kind", self._kinds_of(table))
        there = table.column("question").is_valid()
        some = table.select(["question_high", "question_low", "question"]).filter(there)
        self._texts.append(some)

    def _keep(self, name: str, values: NDArray[Any]) -> None:
        # A copy: a view would keep all columns of the part in memory until the end.
        self._columns.setdefault(name, []).append(values.copy())

    def _kinds_of(self, table: Any) -> NDArray[np.int32]:
        """Of each row the number of its kind; kinds are numbered as they come."""
        names = ("source", "domain", "difficulty", *_LABELS)
        encoded = [_encoded(table.column(name)) for name in names]
        mixed = np.zeros(table.num_rows, dtype=np.int64)
        for codes, values in encoded:
            mixed = mixed * len(values) + codes
        found, inverse = np.unique(mixed, return_inverse=True)
        numbers: list[int] = []
        for packed in found.tolist():
            labels: list[Any] = []
            for _, values in reversed(encoded):
                packed, code = divmod(packed, len(values))
                labels.insert(0, values[code])
            source, domain, level, closed, boxed, control = labels
            kind = Kind(str(source), str(domain), level, bool(closed), bool(boxed), bool(control))
            numbers.append(self._kinds.setdefault(kind, len(self._kinds)))
        return np.array(numbers, dtype=np.int32).take(inverse.reshape(-1))

    def finish(self, index: Index, states: Sequence[PartState], tokenizer: str) -> Browse:
        import polars as pl

        joined = {name: self._join(name) for name in list(self._columns)}
        number = _question_numbers(joined.pop("question_high"), joined.pop("question_low"))
        small = np.uint8 if len(self._kinds) < 256 else np.int32
        texts = number.texts(self._texts) if self._texts else pl.Series([], dtype=pl.String)
        self._texts = []
        return Browse(
            index.corpus,
            tokenizer,
            index.digest(states),
            places=(joined["part"], joined["row_group"], joined["row"]),
            kinds=list(self._kinds),
            kind=joined["kind"].astype(small),
            counts={name: joined[name] for name in COUNTS},
            content=(joined["content_high"], joined["content_low"]),
            question=number.of_row,
            questions=Questions(texts),
            malformed=self._malformed,
        )

    def _join(self, name: str) -> NDArray[Any]:
        return np.concatenate(self._columns.pop(name))


def _encoded(column: Any) -> tuple[NDArray[np.int64], list[Any]]:
    """Codes and the values they stand for; null is the last value."""
    plain = column.combine_chunks()
    if isinstance(plain, pa.ChunkedArray):
        plain = pa.concat_arrays(plain.chunks) if plain.num_chunks else pa.array([], plain.type)
    if not pa.types.is_dictionary(plain.type):
        plain = plain.dictionary_encode()
    values = [*plain.dictionary.to_pylist(), None]
    return plain.indices.fill_null(len(values) - 1).to_numpy().astype(np.int64), values


class _question_numbers:
    """Numbers the questions in the order of their hashes."""

    def __init__(self, high: NDArray[np.uint64], low: NDArray[np.uint64]) -> None:
        self._key, first, inverse = np.unique(high, return_index=True, return_inverse=True)
        self._low = low[first]
        inverse = inverse.reshape(-1)
        if not bool((self._low.take(inverse) == low).all()):
            # Two questions with the same upper half: once in many billions of data sets.
            pairs = np.stack([high, low], axis=1)
            both, inverse = np.unique(pairs, axis=0, return_inverse=True)
            self._key, self._low = both[:, 0], both[:, 1]
            inverse = inverse.reshape(-1)
        self.of_row: NDArray[np.int32] = inverse.astype(np.int32)

    def texts(self, parts: Sequence[Any]) -> Any:
        """A polars Series with the text of each, where it comes first."""
        import polars as pl

        table = pa.concat_tables(parts)
        high = table.column("question_high").to_numpy()
        low = table.column("question_low").to_numpy()
        number = np.searchsorted(self._key, high)
        while True:  # past others with the same upper half
            wrong = self._low[np.minimum(number, len(self._low) - 1)] != low
            if not wrong.any():
                break
            number = number + wrong
        _, first = np.unique(number, return_index=True)
        taken = table.column("question").take(pa.array(first))
        series = pl.from_arrow(taken)
        assert isinstance(series, pl.Series)
        return series.rechunk()
