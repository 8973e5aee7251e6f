"""Records as a file of comma-separated values, for the button below a chart."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["csv_bytes"]


def csv_bytes(records: Sequence[Mapping[str, Any]]) -> bytes:
    """Records as CSV in UTF-8, columns in the order in which they first come.

    A text that a spreadsheet would take for a formula gets an apostrophe in front.
    """
    names = list(dict.fromkeys(name for record in records for name in record))
    sink = io.StringIO()
    writer = csv.DictWriter(sink, names)
    writer.writeheader()
    for record in records:
        writer.writerow({name: _safe_cell(value) for name, value in record.items()})
    return sink.getvalue().encode("utf-8", "replace")


def _safe_cell(value: Any) -> Any:
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return f"'{value}"
    return value
