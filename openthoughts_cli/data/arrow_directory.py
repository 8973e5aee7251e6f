"""Rows as a directory that `datasets.load_from_disk` reads, written without importing `datasets`.

The layout is that of `Dataset.save_to_disk` in datasets 4 and 5: an Arrow stream whose schema
carries the features, dataset_info.json with the same features, and state.json. Importing the
library costs seconds; a test loads what is written here with it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from openthoughts_cli.data.arrow_values import int_column, text_column
from openthoughts_cli.data.parquet import broken
from openthoughts_cli.data.rows import Row
from openthoughts_cli.errors import DataError

__all__ = ["read_rows", "read_table", "write_rows"]

_FILE = "data-00000-of-00001.arrow"
_BATCH_ROWS = 256
_TURN = pa.struct([("from", pa.string()), ("value", pa.string())])
_TALK = pa.list_(_TURN)
_COLUMNS: tuple[tuple[str, pa.DataType], ...] = (
    ("difficulty", pa.int64()),
    ("source", pa.string()),
    ("domain", pa.string()),
    ("conversations", _TALK),
    ("row_id", pa.string()),
    ("question_id", pa.string()),
    ("tokens", pa.int64()),
    ("tokens_question", pa.int64()),
    ("tokens_thinking", pa.int64()),
    ("tokens_answer", pa.int64()),
)


def _feature(kind: pa.DataType) -> dict[str, Any]:
    if pa.types.is_list(kind):
        turn = {name: _feature(pa.string()) for name in ("from", "value")}
        return {"feature": turn, "_type": "List"}
    return {"dtype": str(kind), "_type": "Value"}


_FEATURES = {name: _feature(kind) for name, kind in _COLUMNS}


def write_rows(directory: Path, rows: Iterable[tuple[Row, str]], *, fingerprint: str) -> None:
    """Write rows, each with the role name of its answer, into a new directory.

    Args:
        directory: made here; it must not exist.
        rows: in the order in which they are stored.
        fingerprint: names the content in state.json; `datasets` keys its caches by it.
    """
    directory.mkdir()
    note = json.dumps({"info": {"features": _FEATURES}})
    schema = pa.schema(list(_COLUMNS), metadata={"huggingface": note})
    with (
        pa.OSFile(str(directory / _FILE), "wb") as sink,
        pa.ipc.new_stream(sink, schema) as writer,
    ):
        source = iter(rows)
        while batch := list(islice(source, _BATCH_ROWS)):
            writer.write_batch(_batch(batch, schema))
    info = {"citation": "", "description": "", "features": _FEATURES, "homepage": "", "license": ""}
    state = {
        "_data_files": [{"filename": _FILE}],
        "_fingerprint": fingerprint[:16],
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": "train",
    }
    for name, value in (("dataset_info.json", info), ("state.json", state)):
        (directory / name).write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def _batch(rows: list[tuple[Row, str]], schema: Any) -> Any:
    turns = [part for row, role in rows for part in (("human", row.question), (role, row.answer))]
    text = pa.string()
    pairs = pa.StructArray.from_arrays(
        [text_column((role for role, _ in turns), text), text_column((t for _, t in turns), text)],
        fields=list(_TURN),
    )
    starts = int_column(np.arange(0, len(turns) + 1, 2), pa.int32())
    columns = {"conversations": pa.ListArray.from_arrays(starts, pairs, type=_TALK)}
    for name, kind in _COLUMNS:
        if name not in columns:
            values = [getattr(row, name) for row, _ in rows]
            columns[name] = text_column(values, kind) if kind == text else int_column(values, kind)
    return pa.RecordBatch.from_arrays([columns[name] for name, _ in _COLUMNS], schema=schema)


def read_table(directory: Path) -> Any:
    """The rows as a memory-mapped `pyarrow.Table`.

    Raises:
        DataError: the directory lacks the file, or the file is damaged.
    """
    path = directory / _FILE
    try:
        with pa.memory_map(str(path)) as source:
            table = pa.ipc.open_stream(source).read_all()
            # Offsets that point elsewhere would end the process, not raise, once they are followed.
            table.validate(full=True)
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing", hint="cut the subset again with --force") from error
    except (pa.ArrowInvalid, OSError) as error:
        raise broken(str(path), error, "Arrow") from error
    found = dict(zip(table.schema.names, table.schema.types, strict=True))
    wrong = [name for name, kind in _COLUMNS if found.get(name) != kind]
    if wrong:
        raise DataError(
            f"{path} lacks columns of a subset, or has them with other types: {', '.join(wrong)}",
            hint="cut the subset again with --force",
        )
    return table


def read_rows(directory: Path) -> Iterator[Row]:
    """The rows in the order in which they are stored.

    Raises:
        DataError: as `read_table`.
    """
    for batch in read_table(directory).to_batches(max_chunksize=_BATCH_ROWS):
        for record in batch.to_pylist():
            turns: list[dict[str, str] | None] = record.pop("conversations") or []
            texts = [turn["value"] for turn in turns if turn is not None]
            if len(texts) != 2 or None in (*texts, record["source"], record["domain"]):
                place = directory / _FILE
                raise DataError(
                    f"{place} holds a row that is not one question with one answer",
                    hint="cut the subset again with --force",
                )
            yield Row(question=texts[0], answer=texts[1], **record)
