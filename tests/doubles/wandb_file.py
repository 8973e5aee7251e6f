"""Reads a `.wandb` file back: the records that an offline W&B run wrote, without a server.

The file is LevelDB's log format after a header of 7 bytes: blocks of 32 KiB, each a row of chunks of
(checksum 4, length 2, type 1, data), little-endian; a record is one chunk (type 1) or a first,
middle and last one (2, 3, 4). Its data is a protobuf `Record`. (wandb ships the message types, and
no longer a reader.)
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["history", "read_records"]

_BLOCK = 32_768
_HEADER = 7
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4


def _chunks(data: bytes) -> Iterator[tuple[int, bytes]]:
    place = _HEADER
    while place + _HEADER <= len(data):
        left = _BLOCK - place % _BLOCK
        if left < _HEADER:
            place += left
            continue
        _, length, kind = struct.unpack_from("<IHB", data, place)
        if kind == 0:
            place += left
            continue
        place += _HEADER
        yield kind, data[place : place + length]
        place += length


def read_records(path: Path) -> list[Any]:
    """The protobuf records of the file, in order."""
    from wandb.proto import wandb_internal_pb2

    data = path.read_bytes()
    assert data[:4] == b":W&B"
    records: list[Any] = []
    held = b""
    for kind, chunk in _chunks(data):
        held = chunk if kind in (_FULL, _FIRST) else held + chunk
        if kind in (_FULL, _LAST):
            record = wandb_internal_pb2.Record()  # pyright: ignore[reportAttributeAccessIssue]
            record.ParseFromString(held)
            records.append(record)
    return records


def history(path: Path) -> list[dict[str, Any]]:
    """What was logged, a mapping a row, keys joined by dots where nested."""
    return [
        {
            item.key or ".".join(item.nested_key): json.loads(item.value_json)
            for item in record.history.item
        }
        for record in read_records(path)
        if record.WhichOneof("record_type") == "history"
    ]
