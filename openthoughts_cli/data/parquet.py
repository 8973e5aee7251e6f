"""Reading one parquet file of the OpenThoughts schema, a few rows in memory at a time.

The schema: `difficulty` integer, `source` and `domain` text, `conversations` list of {from, value}.
"""

from __future__ import annotations

import contextlib
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from openthoughts_cli.data.ahead import ahead
from openthoughts_cli.data.arrow_values import int_column, take_rows, text_column
from openthoughts_cli.data.pages import texts_at
from openthoughts_cli.data.raw_rows import Labels, Malformed, RawRow, batch_rows, labels_of
from openthoughts_cli.errors import BrokenFileError, SchemaError

__all__ = [
    "COLUMNS",
    "LABELS",
    "broken",
    "check_schema",
    "footer_values",
    "open_parquet",
    "read_few",
    "read_labels",
    "read_rows",
    "read_some",
]

COLUMNS = ("difficulty", "source", "domain", "conversations")
LABELS = ("difficulty", "source", "domain")
_BATCH_ROWS = 128


UNREADABLE: tuple[type[Exception], ...] = (
    *(pa.ArrowException, OSError),
    *(ValueError, MemoryError, OverflowError),  # names that are no text, sizes that cannot be
)
"""What pyarrow raises of a file whose bytes were changed."""


@dataclass(frozen=True, slots=True)
class Known:
    """What a row group's footer says of a text column: its only value, or its bounds."""

    low: str
    high: str
    nulls: int

    @property
    def only(self) -> str | None:
        return self.low if self.low == self.high and self.nulls == 0 else None

    def may_hold(self, values: frozenset[str]) -> bool:
        return any(self.low <= value <= self.high for value in values)


def open_parquet(path: Path, name: str) -> pq.ParquetFile:
    """Open a file and check its schema; `name` is how messages call it.

    Raises:
        DataError: the file is not parquet, or is cut off.
        SchemaError: columns are missing or of another type.
    """
    try:
        file = pq.ParquetFile(path, pre_buffer=False)
    except UNREADABLE as error:
        raise broken(name, error) from error
    check_schema(file.schema_arrow, name)
    return file


def broken(name: str, error: BaseException, kind: str = "parquet") -> BrokenFileError:
    """The error for a file that cannot be read to its end."""
    reason = " ".join(str(error).split())[:160]
    others = "; --skip-bad-files reads the others" if kind == "parquet" else ""
    return BrokenFileError(
        f"{name} is not a whole {kind} file: {reason}",
        file=name,
        hint=f"fetch or write that file again, or take it out of the folder{others}",
    )


def check_schema(schema: pa.Schema, name: str) -> None:
    """Refuse a schema that lacks the columns or types of OpenThoughts rows.

    Raises:
        SchemaError: names the file, and each missing or wrong column with its type.
    """
    missing = [column for column in COLUMNS if column not in schema.names]
    if missing:
        raise SchemaError(
            f"{name} has no column {', '.join(missing)}; its columns are "
            f"{', '.join(schema.names) or 'none'}",
            hint="OpenThoughts rows have difficulty, source, domain and conversations",
        )
    checks: dict[str, tuple[Callable[[Any], bool], str]] = {
        "difficulty": (_is_level, "an integer"),
        "source": (_is_text, "text"),
        "domain": (_is_text, "text"),
        "conversations": (_is_conversation, "a list of {from, value}"),
    }
    for column, (fits, wanted) in checks.items():
        kind = schema.field(column).type
        if not fits(kind):
            raise SchemaError(
                f"{name}: column {column} is {kind}, not {wanted}",
                hint="OpenThoughts rows have difficulty, source, domain and conversations",
            )


def _is_level(kind: Any) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_null(kind))


def _is_text(kind: Any) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )


def _is_conversation(kind: Any) -> bool:
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind)):
        return False
    turn = kind.value_type
    if not pa.types.is_struct(turn):
        return False
    fields = {turn.field(i).name: turn.field(i).type for i in range(turn.num_fields)}
    return all(name in fields and _is_text(fields[name]) for name in ("from", "value"))


def footer_values(file: pq.ParquetFile, row_group: int, column: str) -> Known | None:
    """What the footer knows of a text column in a row group; None where it says nothing."""
    group = file.metadata.row_group(row_group)
    index = file.metadata.schema.names.index(column)
    for position in (index, *range(group.num_columns)):
        chunk = group.column(position)
        if chunk.path_in_schema == column:
            statistics = chunk.statistics
            if statistics is None or not statistics.has_min_max or not statistics.has_null_count:
                return None
            low, high = statistics.min, statistics.max
            if not (isinstance(low, str) and isinstance(high, str)):
                return None
            return Known(low, high, int(statistics.null_count))
    return None


def read_labels(file: pq.ParquetFile, row_group: int, name: str) -> Labels:
    """The source, domain and difficulty of every row of a row group.

    Raises:
        DataError: the file is damaged.
    """
    try:
        table = file.read_row_group(row_group, columns=list(LABELS))
    except UNREADABLE as error:
        raise broken(name, error) from error
    return labels_of(table)


def read_rows(
    file: pq.ParquetFile, row_group: int, name: str, wanted: Callable[[str, str], bool]
) -> Iterator[RawRow | Malformed]:
    """The rows of a row group whose (source, domain) is wanted, decoded a batch at a time.

    Raises:
        DataError: the file is damaged.
    """
    start = 0
    batches = ahead(
        file.iter_batches(batch_size=_BATCH_ROWS, row_groups=[row_group], columns=list(COLUMNS))
    )
    with contextlib.closing(batches):
        while True:
            try:
                batch = next(batches, None)
            except UNREADABLE as error:
                raise broken(name, error) from error
            if batch is None:
                return
            yield from batch_rows(batch, row_group, start, wanted)
            start += batch.num_rows


def read_some(
    file: pq.ParquetFile, row_group: int, name: str, rows: Sequence[int]
) -> Iterator[RawRow | Malformed]:
    """The rows of a row group with these numbers, ascending.

    Raises:
        DataError: the file is damaged, or the group has no such row.
    """
    start, at = 0, 0
    batches = file.iter_batches(
        batch_size=_BATCH_ROWS, row_groups=[row_group], columns=list(COLUMNS)
    )
    while at < len(rows):
        try:
            batch = next(batches)
        except (*UNREADABLE, StopIteration) as error:
            raise broken(name, error) from error
        end = bisect_left(rows, start + batch.num_rows, lo=at)
        if end > at:
            picked = take_rows(batch, [row - start for row in rows[at:end]])
            for row, raw in zip(
                rows[at:end], batch_rows(picked, row_group, 0, _all_rows), strict=True
            ):
                yield raw._replace(row=row)
        start, at = start + batch.num_rows, end


def read_few(
    file: pq.ParquetFile, path: Path, row_group: int, rows: Sequence[int]
) -> list[RawRow | Malformed] | None:
    """As `read_some`, out of the pages that hold these rows, as long as no row has other than two
    turns; hold the rows against their content. None: the file's form is not known.
    """
    group = file.metadata.row_group(row_group)
    leaves = [file.schema.column(i) for i in range(group.num_columns)]
    ends = ("from", "value")
    talk = [i for i, leaf in enumerate(leaves) if leaf.path.startswith("conversations.")]
    role, text = (next(i for i in talk if leaves[i].name == name) for name in ends)
    if not all(group.column(i).num_values == 2 * group.num_rows for i in (role, text)):
        return None
    turns = [number for row in rows for number in (2 * row, 2 * row + 1)]
    levels = (leaves[text].max_repetition_level, leaves[text].max_definition_level)
    texts = texts_at(path, group.column(text), levels, turns)
    if texts is None:
        return None
    try:
        table = file.read_row_group(row_group, columns=[*LABELS, leaves[role].path])
    except UNREADABLE:
        return None
    roles = table.column("conversations").combine_chunks()
    roles = take_rows(_flat(roles).field("from"), turns).cast(pa.large_string())
    pairs = pa.StructArray.from_arrays([roles, text_column(texts)], names=list(ends))
    starts = int_column(np.arange(0, len(turns) + 1, 2), pa.int64())
    labels = take_rows(table.select(list(LABELS)).combine_chunks(), rows)
    columns = [*labels.combine_chunks().columns, pa.LargeListArray.from_arrays(starts, pairs)]
    batch = pa.Table.from_arrays(columns, names=list(COLUMNS)).combine_chunks().to_batches()[0]
    found = list(batch_rows(batch, row_group, 0, _all_rows))
    return [raw._replace(row=row) for raw, row in zip(found, rows, strict=True)]


def _flat(lists: Any) -> Any:
    if isinstance(lists, pa.ChunkedArray):
        lists = pa.concat_arrays(lists.chunks)
    return lists.values


def _all_rows(source: str, domain: str) -> bool:
    del source, domain
    return True
