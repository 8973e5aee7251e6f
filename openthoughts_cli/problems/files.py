"""Rows of problems out of a local file, each with the place a message can point at."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from openthoughts_cli.errors import NotFoundError, SchemaError

__all__ = ["Located", "read_file"]

_KINDS = ".jsonl, .ndjson, .json, .csv or .parquet"


class Located(NamedTuple):
    """A row, and where it stands: "file.jsonl:3"."""

    where: str
    row: dict[str, Any]


def read_file(path: Path) -> Iterator[Located]:
    """The rows of a JSONL, JSON (a list of objects), CSV or parquet file, in its order.

    `where` counts lines from 1 (for JSON and parquet: rows). Blank lines are passed over.

    Raises:
        NotFoundError: there is no such file.
        SchemaError: an unknown kind of file, or a line that is not an object, by file:line.
    """
    if not path.is_file():
        raise NotFoundError(
            f"there is no file {path}", hint="check the path given to --data NAME=PATH"
        )
    readers = {
        ".jsonl": _json_lines,
        ".ndjson": _json_lines,
        ".json": _json_list,
        ".csv": _csv_rows,
        ".parquet": _parquet_rows,
    }
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise SchemaError(
            f"{path} is of an unknown kind", hint=f"give a file that ends in {_KINDS}"
        )
    yield from reader(path)


def _json_lines(path: Path) -> Iterator[Located]:
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            if raw.strip():
                yield Located(f"{path}:{number}", _object(raw, f"{path}:{number}"))


def _object(raw: bytes, where: str) -> dict[str, Any]:
    try:
        row = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise SchemaError(
            f"{where}: this line is not JSON: {error}", hint="write one JSON object on each line"
        ) from error
    if not isinstance(row, dict):
        raise SchemaError(
            f"{where}: expected a JSON object, got {type(row).__name__}",
            hint="write one JSON object on each line",
        )
    return row


def _json_list(path: Path) -> Iterator[Located]:
    try:
        rows = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise SchemaError(
            f"{path} is not JSON: {error}",
            hint="correct it, or name the file .jsonl where each line is an object",
        ) from error
    if not isinstance(rows, list):
        raise SchemaError(
            f"{path}: expected a JSON list, got {type(rows).__name__}",
            hint="write a list of objects, or JSONL",
        )
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            raise SchemaError(
                f"{path}: row {number}: expected a JSON object, got {type(row).__name__}",
                hint="write a list of objects, or JSONL",
            )
        yield Located(f"{path}: row {number}", row)


def _csv_rows(path: Path) -> Iterator[Located]:
    # csv's own limit of 131,072 characters a field would reject legal long questions.
    csv.field_size_limit(1 << 26)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            for row in reader:
                where = f"{path}:{reader.line_num}"
                if None in row:
                    raise SchemaError(
                        f"{where}: this row has more fields than the header has columns",
                        hint="put fields that hold a comma or a line break into quotes",
                    )
                yield Located(where, dict(row))
    except (csv.Error, UnicodeDecodeError) as error:
        raise SchemaError(
            f"{path} is not a CSV file: {error}", hint="save it as UTF-8 CSV with a header line"
        ) from error


def _parquet_rows(path: Path) -> Iterator[Located]:
    import polars as pl

    try:
        frame = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise SchemaError(
            f"{path} is not a parquet file: {error}", hint="fetch or write the file again"
        ) from error
    for number, row in enumerate(frame.iter_rows(named=True), start=1):
        yield Located(f"{path}: row {number}", row)
