"""Between Python values and Arrow arrays without pandas.

`pa.array`, `pa.scalar`, `fill_null` and `to_numpy` import pandas where it is installed, which costs a
third of a second: as much as the rest of a choice by the index. These build arrays from buffers, and
read them, to the same result.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

__all__ = ["flags_of", "int_column", "name_column", "numbers_of", "take_rows", "text_column"]


def text_column(values: Iterable[str | bytes | None], kind: Any = None) -> Any:
    """An array of texts; None becomes null, and bytes must be UTF-8.

    Args:
        values: the texts.
        kind: `pa.large_string()` (the default) or `pa.string()`.

    Raises:
        OverflowError: more text than the offsets of `pa.string()` can count.
    """
    known = [value.encode() if isinstance(value, str) else value for value in values]
    raw = [value or b"" for value in known]
    there = None
    if None in known:
        there = _bits(np.array([value is not None for value in known], dtype=np.bool_))
    kind = pa.large_string() if kind is None else kind
    width = np.int64 if kind == pa.large_string() else np.int32
    offsets = np.zeros(len(raw) + 1, dtype=np.int64)
    np.cumsum(np.fromiter(map(len, raw), np.int64, len(raw)), out=offsets[1:])
    if offsets[-1] > np.iinfo(width).max:
        raise OverflowError(f"{offsets[-1]:,} bytes of text in one array of {kind}")
    buffers = [there, pa.py_buffer(offsets.astype(width)), pa.py_buffer(b"".join(raw))]
    return pa.Array.from_buffers(kind, len(raw), buffers)


def int_column(values: Sequence[int | bool | None] | NDArray[Any], kind: Any) -> Any:
    """An array of a type of whole numbers, or of true and false; None becomes null."""
    if isinstance(values, np.ndarray):
        there, filled = None, values
    else:
        known = [value is not None for value in values]
        there = None if all(known) else np.array(known, dtype=np.bool_)
        filled = [0 if value is None else value for value in values]
    if kind == pa.bool_():
        data = _bits(np.asarray(filled, dtype=np.bool_))
    else:
        data = pa.py_buffer(np.ascontiguousarray(filled, dtype=np.dtype(str(kind))))
    return pa.Array.from_buffers(kind, len(values), [None if there is None else _bits(there), data])


def name_column(values: Sequence[str | None], kind: Any) -> Any:
    """An array of a dictionary type of few different names, in the order of their first use."""
    numbers: dict[str, int] = {}
    found = [None if value is None else numbers.setdefault(value, len(numbers)) for value in values]
    names = text_column(numbers, kind.value_type)
    return pa.DictionaryArray.from_arrays(int_column(found, kind.index_type), names)


def numbers_of(column: Any, null: int = 0) -> NDArray[Any]:
    """The whole numbers of an array or a chunked one, with another number for null."""
    arrays = _chunks(column)
    return np.concatenate([_numbers(array, null) for array in arrays]) if arrays else np.zeros(0)


def flags_of(column: Any) -> NDArray[np.bool_]:
    """The truth values of an array or a chunked one, null as false."""
    parts: list[NDArray[np.bool_]] = []
    for array in _chunks(column):
        there, data = array.buffers()
        values = _unpacked(data, array)
        parts.append(values & _unpacked(there, array) if array.null_count else values)
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.bool_)


def take_rows(column: Any, rows: NDArray[np.int64] | Sequence[int]) -> Any:
    """The rows of an array, a batch or a table with these numbers."""
    return column.take(int_column(np.asarray(rows, dtype=np.int64), pa.int64()))


def _chunks(column: Any) -> list[Any]:
    chunks: list[Any] = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    return chunks


def _numbers(array: Any, null: int) -> NDArray[Any]:
    there, data = array.buffers()
    kind = np.dtype(str(array.type))
    if not len(array):
        return np.zeros(0, dtype=kind)
    values = np.frombuffer(data, dtype=kind)[array.offset : array.offset + len(array)]
    if not array.null_count:
        return values
    return np.where(_unpacked(there, array), values, kind.type(null))


def _bits(flags: NDArray[np.bool_]) -> Any:
    return pa.py_buffer(np.packbits(flags, bitorder="little"))


def _unpacked(bits: Any, array: Any) -> NDArray[np.bool_]:
    if not len(array):
        return np.zeros(0, dtype=np.bool_)
    whole = np.unpackbits(np.frombuffer(bits, dtype=np.uint8), bitorder="little")
    return whole[array.offset : array.offset + len(array)].astype(np.bool_)
