"""The texts of a few rows, out of the parquet pages that hold them.

pyarrow decodes a column of a row group whole: 50 MB of text where one row is wanted. Here only the
pages that hold wanted values are read and unpacked. Anything unusual about a file makes it None, and
the caller decodes the group as ever. What comes back is a good guess, no more: a column that holds
nulls, or rows of another number of turns, puts other texts in these places, so the caller holds every
row against the hash of its content.

Formats: https://parquet.apache.org/docs/file-format/data-pages/ and .../encodings/, and Thrift's
compact protocol for page headers.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

__all__ = ["texts_at"]

_CODECS = {"SNAPPY": "snappy", "ZSTD": "zstd", "GZIP": "gzip", "BROTLI": "brotli"}
_HEADER_BYTES = 1 << 14  # minimum and maximum of a page, which stand in it, have 4 KiB at most
_DATA, _DICTIONARY, _DATA_2 = 0, 2, 3
_PLAIN, _PLAIN_DICTIONARY, _RLE_DICTIONARY = 0, 2, 8


class _Page(NamedTuple):
    kind: int
    header: dict[int, Any]
    start: int  # of its bytes in the file
    size: int
    unpacked: int


class _Unknown(Exception):
    """A page of a form that is not read here."""


def texts_at(path: Path, chunk: Any, levels: tuple[int, int], wanted: Sequence[int]) -> Any:
    """The values with these numbers in a column chunk of texts, as bytes.

    Args:
        path: the parquet file.
        chunk: its `ColumnChunkMetaData`.
        levels: the most repetitions and definitions of the column, 0 where there are none.
        wanted: numbers of values, ascending, as they count when no value is null.

    Returns:
        As many texts as were wanted; None where the file has a form that is not known here.
    """
    if chunk.physical_type != "BYTE_ARRAY" or not (
        chunk.compression in _CODECS or chunk.compression == "UNCOMPRESSED"
    ):
        return None
    try:
        with path.open("rb", buffering=0) as file:
            return _Chunk(file, chunk, levels).values(wanted)
    except (_Unknown, LookupError, ValueError, OverflowError, MemoryError, struct.error, OSError):
        return None  # a damaged file too: decoding it as ever says what is wrong


class _Chunk:
    def __init__(self, file: BinaryIO, chunk: Any, levels: tuple[int, int]) -> None:
        self._file = file
        self._codec = _CODECS.get(chunk.compression)
        self._levels = levels
        first = chunk.data_page_offset
        if chunk.has_dictionary_page and chunk.dictionary_page_offset is not None:
            first = min(first, chunk.dictionary_page_offset)
        self._first, self._end = first, first + chunk.total_compressed_size
        self._num_values: int = chunk.num_values
        self._entries: list[bytes] | None = None
        self._dictionary: _Page | None = None

    def values(self, wanted: Sequence[int]) -> list[bytes]:
        found: list[bytes] = []
        before = at = 0
        for page in self._pages():
            if page.kind == _DICTIONARY:
                self._dictionary = page
                continue
            count: int = page.header[1]
            stop = at
            while stop < len(wanted) and wanted[stop] < before + count:
                stop += 1
            if stop > at:
                found += self._values_of(page, [number - before for number in wanted[at:stop]])
            before, at = before + count, stop
        if at < len(wanted) or before != self._num_values:
            raise _Unknown
        return found

    def _pages(self) -> Iterator[_Page]:
        at = self._first
        while at < self._end:
            self._file.seek(at)
            header, length = _struct(self._file.read(_HEADER_BYTES), 0)
            kind = header[1]
            details = {_DATA: 5, _DICTIONARY: 7, _DATA_2: 8}.get(kind)
            if details is None:
                raise _Unknown
            yield _Page(kind, header[details], at + length, header[3], header[2])
            at += length + header[3]

    def _bytes(self, start: int, size: int) -> bytes:
        self._file.seek(start)
        data = self._file.read(size)
        if len(data) != size:
            raise _Unknown
        return data

    def _unpack(self, data: Any, size: int) -> memoryview:
        if self._codec is None:
            return memoryview(data)
        return memoryview(pa.decompress(data, decompressed_size=size, codec=self._codec))

    def _values_of(self, page: _Page, wanted: Sequence[int]) -> list[bytes]:
        """Values by their numbers within a page."""
        raw = self._bytes(page.start, page.size)
        if page.kind == _DATA:
            encoding, data = page.header[2], self._unpack(raw, page.unpacked)
            for most in self._levels:
                if most:
                    (length,) = struct.unpack_from("<I", data)
                    data = data[4 + length :]
        else:
            encoding, levels = page.header[4], page.header[5] + page.header[6]
            rest = memoryview(raw)[levels:]
            packed = page.header.get(7, True)
            data = self._unpack(rest, page.unpacked - levels) if packed else rest
        if encoding == _PLAIN:
            return _plain(data, wanted)
        if encoding not in (_PLAIN_DICTIONARY, _RLE_DICTIONARY):
            raise _Unknown
        entries = _hybrid(data[1:], data[0], page.header[1])[np.asarray(wanted)].tolist()
        return self._from_dictionary(entries)

    def _from_dictionary(self, entries: list[int]) -> list[bytes]:
        page = self._dictionary
        if page is None or page.header[2] not in (_PLAIN, _PLAIN_DICTIONARY):
            raise _Unknown
        data = self._unpack(self._bytes(page.start, page.size), page.unpacked)
        known = sorted(set(entries))
        texts = dict(zip(known, _plain(data, known), strict=True))
        return [texts[entry] for entry in entries]


def _plain(data: memoryview, wanted: Sequence[int]) -> list[bytes]:
    """Values by their ascending numbers; each is led by its length."""
    length_at = struct.Struct("<I").unpack_from
    found: list[bytes] = []
    at = number = 0
    for each in wanted:
        while number < each:
            at += 4 + length_at(data, at)[0]
            number += 1
        (length,) = length_at(data, at)
        if at + 4 + length > len(data):
            raise _Unknown
        found.append(bytes(data[at + 4 : at + 4 + length]))
    return found


def _hybrid(data: memoryview, width: int, count: int) -> NDArray[np.int64]:
    """Numbers of `width` bits in runs and in packed groups of eight."""
    parts: list[NDArray[np.int64]] = []
    at = have = 0
    while have < count:
        head, at = _varint(data, at)
        if head & 1:
            size = (head >> 1) * width
            bits = np.unpackbits(np.frombuffer(data[at : at + size], np.uint8), bitorder="little")
            values = bits.reshape(-1, width).astype(np.int64) @ (1 << np.arange(width))
            at += size
        else:
            size = (width + 7) // 8
            values = np.full(head >> 1, int.from_bytes(data[at : at + size], "little"))
            at += size
        if not len(values):
            raise _Unknown
        parts.append(values)
        have += len(values)
    return np.concatenate(parts)[:count]


def _varint(data: Any, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7


def _struct(data: bytes, at: int) -> tuple[dict[int, Any], int]:
    """The fields of a struct of Thrift's compact protocol by their numbers, and where it ends."""
    fields: dict[int, Any] = {}
    number = 0
    while head := data[at]:
        at += 1
        if head >> 4:
            number += head >> 4
        else:
            zigzag, at = _varint(data, at)
            number = zigzag >> 1
        fields[number], at = _value(data, at, head & 15)
    return fields, at + 1


def _value(data: bytes, at: int, kind: int) -> tuple[Any, int]:
    if kind in (1, 2):
        return kind == 1, at
    if kind in (4, 5, 6):
        zigzag, at = _varint(data, at)
        return (zigzag >> 1) ^ -(zigzag & 1), at
    if kind == 8:
        length, at = _varint(data, at)
        return data[at : at + length], at + length
    if kind == 12:
        return _struct(data, at)
    raise _Unknown  # page headers have nothing else
