"""Small data with an index in memory, for tests of the explorer's queries."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from openthoughts_cli.data.browse import Browse
from openthoughts_cli.data.browse_load import load_browse
from openthoughts_cli.data.corpus import open_corpus
from openthoughts_cli.data.index import Index
from openthoughts_cli.data.index_build import build_index
from tests.doubles.rows import CODE, MATH, PHYSICS, WordCounter, many, record, write


def browsed(folder: Path, rows: Sequence[Any] | None = None, *, files: int = 3) -> Browse:
    """Rows (default: `mixed_rows()`) in files, their index built and loaded."""
    found = mixed_rows() if rows is None else rows
    for i in range(files):
        write(folder / f"{i:02}.parquet", found[i::files])
    index = Index(open_corpus(str(folder)), WordCounter.digest)
    states = build_index(index, WordCounter(), workers=1)
    return load_browse(index, states, tokenizer=WordCounter.model)


def mixed_rows() -> list[Any]:
    """Rows of all kinds: three sources, levels and none, boxed, open thinking, malformed, copies."""
    rows = [*many(90, answers=3), *many(40, source=PHYSICS, domain="science")]
    rows += [
        record(
            f"Sort the list number {i // 4}, as the prime numbers are.",
            f"<think>{'so ' * i}</think>\\boxed{{{i % 4}}}",
            source=CODE,
            domain="code",
            difficulty=6 + i % 3,
        )
        for i in range(24)
    ]
    rows += [record("What is never closed?", "<think>on and on", source=MATH)]
    rows += [record("copy", "<think>a</think>same") for _ in range(3)]
    return [*rows, record("broken") | {"conversations": None}, record("bad", "a <|im_end|>")]
