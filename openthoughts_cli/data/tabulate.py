"""One parquet file's rows as columns without their texts: what an index stores."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa

from openthoughts_cli.data import parquet
from openthoughts_cli.data.arrow_values import int_column, name_column, text_column
from openthoughts_cli.data.corpus import Part
from openthoughts_cli.data.figures import BOXED
from openthoughts_cli.data.raw_rows import Malformed, RawRow
from openthoughts_cli.data.rows import content_hash
from openthoughts_cli.data.select import answer_hash, question_id_of, text_arrays
from openthoughts_cli.data.table import SCHEMA
from openthoughts_cli.data.tokens import TokenCounter
from openthoughts_cli.data.trace import CLOSE

__all__ = ["PART_SCHEMA", "tabulate"]

PART_SCHEMA = SCHEMA.append(pa.field("question", pa.large_string()))
"""`question` is the text where a question stands in the file for the first time, else null."""
_BATCH_ROWS = 512
_BATCH_BYTES = 8 << 20
_LOW = (1 << 64) - 1
_CLOSE = CLOSE.encode()
_BOXED = BOXED.encode()


def tabulate(
    part: Part, counter: TokenCounter, *, heard: Callable[[int], None] | None = None
) -> Any:
    """All rows of a file, malformed ones too, as a `pyarrow.Table` of `PART_SCHEMA`.

    Memory is bounded by a batch of texts; the columns take about 100 bytes a row.

    Args:
        part: the file.
        counter: whose tokens.
        heard: told of the rows done after each batch; it may raise to stop the work.

    Raises:
        DataError: the file is damaged.
    """
    columns = _Columns(counter)
    file = parquet.open_parquet(part.path, part.name)
    try:
        for group in range(file.num_row_groups):
            labels = parquet.read_labels(file, group, part.name)
            for raw in parquet.read_rows(file, group, part.name, _all_rows):
                if isinstance(raw, Malformed):
                    columns.add_malformed(raw, labels.source[raw.row], labels.domain[raw.row])
                else:
                    columns.add(raw)
                if columns.batch_is_full:
                    columns.flush()
                    if heard is not None:
                        heard(len(columns))
    finally:
        file.close()
    return columns.table()


def _array(values: list[Any], kind: Any) -> Any:
    if pa.types.is_dictionary(kind):
        return name_column(values, kind)
    return text_column(values) if pa.types.is_large_string(kind) else int_column(values, kind)


def _all_rows(source: str, domain: str) -> bool:
    del source, domain
    return True


class _Columns:
    def __init__(self, counter: TokenCounter) -> None:
        self._counter = counter
        self._batches: list[Any] = []
        self._records: list[tuple[Any, ...]] = []
        self._raw: list[RawRow] = []
        self._raw_bytes = 0
        self._at: list[int] = []
        """Of each whole row of the batch its number among the batch's rows."""
        self._seen: set[str] = set()
        self._rows = 0

    def __len__(self) -> int:
        return self._rows

    @property
    def batch_is_full(self) -> bool:
        return len(self._records) >= _BATCH_ROWS or self._raw_bytes >= _BATCH_BYTES

    def add_malformed(self, raw: Malformed, source: str, domain: str) -> None:
        rest = (None,) * (len(PART_SCHEMA) - 5)
        self._records.append((raw.row_group, raw.row, raw.reason, source, domain, *rest))

    def add(self, raw: RawRow) -> None:
        content = content_hash(raw.source, raw.domain, raw.difficulty, raw.question, raw.answer)
        name = question_id_of(raw.question)
        question = None if name in self._seen else raw.question.decode()
        self._seen.add(name)
        self._at.append(len(self._records))
        self._raw.append(raw)
        self._raw_bytes += len(raw.question) + len(raw.answer)
        self._records.append(
            (
                raw.row_group,
                raw.row,
                None,
                raw.source,
                raw.domain,
                raw.difficulty,
                content >> 64,
                content & _LOW,
                int(name[:16], 16),
                int(name[16:], 16),
                answer_hash(raw.answer),
                # From the end, near which both stand.
                raw.answer.rfind(_CLOSE) >= 0,
                raw.answer.rfind(_BOXED) >= 0,
                *(None,) * 5,
                question,
            )
        )

    def flush(self) -> None:
        """Count the tokens of the batch and keep its columns alone."""
        columns = [list(column) for column in zip(*self._records, strict=True)]
        if self._raw:
            counts = self._counter.count_columns(*text_arrays(self._raw))
            first = PART_SCHEMA.get_field_index("control")
            found = (counts.control, counts.total, counts.question, counts.thinking, counts.answer)
            for column, values in enumerate(found, first):
                for at, value in zip(self._at, values.tolist(), strict=True):
                    columns[column][at] = value
        if columns:
            arrays = [
                _array(column, field.type)
                for column, field in zip(columns, PART_SCHEMA, strict=True)
            ]
            self._batches.append(pa.Table.from_arrays(arrays, schema=PART_SCHEMA))
        self._rows += len(self._records)
        self._records, self._raw, self._at, self._raw_bytes = [], [], [], 0

    def table(self) -> Any:
        self.flush()
        if not self._batches:
            return PART_SCHEMA.empty_table()
        return pa.concat_tables(self._batches).unify_dictionaries().combine_chunks()
