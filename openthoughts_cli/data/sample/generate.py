"""Write the built-in sample rows: `python -m openthoughts_cli.data.sample.generate`.

The rows are drawn from `Dice`, so every machine writes the same content. Like the real set they
are grouped by domain (code, math, science), with the answers of a question side by side.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from openthoughts_cli.data.sample import sample_path
from openthoughts_cli.data.sample.code_rows import code_questions
from openthoughts_cli.data.sample.math_rows import math_questions
from openthoughts_cli.data.sample.rows import LABEL, Question, cut_short, row_dicts
from openthoughts_cli.data.sample.science_rows import science_questions
from openthoughts_cli.problems.dice import Dice
from openthoughts_cli.store import write_whole

__all__ = ["SCHEMA", "main", "sample_questions", "sample_table"]

SCHEMA = pa.schema(
    [
        ("difficulty", pa.int64()),
        ("source", pa.string()),
        ("domain", pa.string()),
        ("conversations", pa.list_(pa.struct([("from", pa.string()), ("value", pa.string())]))),
    ]
)

# Rows whose generation "hit the limit", as a part of the real set did.
_UNCLOSED = {"code": 12, "math": 16, "science": 12}
_LONG_CHARS = 4_000


def sample_questions() -> list[Question]:
    """Every question in file order; some have one answer that ends within its thinking."""
    return [
        *_with_unclosed("code", code_questions()),
        *_with_unclosed("math", math_questions()),
        *_with_unclosed("science", science_questions()),
    ]


def _with_unclosed(domain: str, questions: list[Question]) -> list[Question]:
    """Cut the last answer of some questions short: every second long one, the others drawn."""
    dice = Dice(LABEL, "unclosed", domain)
    long = [i for i, question in enumerate(questions) if len(question.answers[0]) > _LONG_CHARS]
    short = [i for i, question in enumerate(questions) if len(question.answers[0]) <= _LONG_CHARS]
    chosen = long[::2]
    chosen += dice.shuffled(short)[: _UNCLOSED[domain] - len(chosen)]
    result = list(questions)
    for i in chosen:
        first, second, third, last = result[i].answers
        result[i] = replace(result[i], answers=(first, second, third, cut_short(last, dice)))
    return result


def sample_table() -> pa.Table:
    """The sample as an Arrow table in the schema of OpenThoughts3, 4 rows a question."""
    rows: list[dict[str, Any]] = []
    for question in sample_questions():
        rows.extend(row_dicts(question))
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the parquet; with the same pyarrow, the same bytes.

    Raises:
        StorageError: the file could not be written.
    """
    parser = argparse.ArgumentParser(prog="python -m openthoughts_cli.data.sample.generate")
    parser.add_argument("--output", type=Path, default=sample_path(), metavar="PATH")
    output: Path = parser.parse_args(arguments).output
    buffer = io.BytesIO()
    pq.write_table(
        sample_table(),
        buffer,
        compression="zstd",
        compression_level=9,
        row_group_size=500,
        version="2.6",
        store_schema=False,
    )
    write_whole(output, buffer.getvalue(), shared=True)


if __name__ == "__main__":
    main()
