"""The built-in rows: a small set in the OpenThoughts3 schema that needs no network.

They are ours, written by `generate.py`; `--dataset sample` and `ot quickstart` read them.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["sample_path"]


def sample_path() -> Path:
    """The parquet file of the built-in rows."""
    return Path(__file__).with_name("rows.parquet")
