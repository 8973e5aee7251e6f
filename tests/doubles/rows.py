"""Small parquet files in the OpenThoughts schema, and a tokenizer whose counts are plain to see."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from openthoughts_cli.data.tokens import CountColumns, TokenCounts
from openthoughts_cli.data.trace import split_trace

TURN = pa.struct([("from", pa.string()), ("value", pa.string())])
SCHEMA = pa.schema(
    [
        ("difficulty", pa.int64()),
        ("source", pa.string()),
        ("domain", pa.string()),
        ("conversations", pa.list_(TURN)),
    ]
)
MATH = "ai2-adapt-dev/openmath-2-math"
PHYSICS = "stackexchange-physics"
CODE = "nvidia/OpenCodeReasoning"


def record(
    question: str = "What is 1 + 1?",
    answer: str = "<think>one and one</think>two",
    *,
    source: str = MATH,
    domain: str = "math",
    difficulty: int | None = None,
    role: str = "gpt",
) -> dict[str, Any]:
    """One row as OpenThoughts3 stores it."""
    turns = [{"from": "human", "value": question}, {"from": role, "value": answer}]
    return {"difficulty": difficulty, "source": source, "domain": domain, "conversations": turns}


def many(count: int, *, answers: int = 2, source: str = MATH, domain: str = "math") -> list[Any]:
    """Rows of `count // answers` questions; row i has an answer of i % 17 + 3 words."""
    return [
        record(
            f"Question {source} {i // answers}?",
            f"<think>{'so ' * (i % 17)}</think>it is {i}",
            source=source,
            domain=domain,
        )
        for i in range(count)
    ]


def write(path: Path, records: Sequence[Any], *, row_group_size: int = 7) -> Path:
    """Write records as parquet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist(list(records), SCHEMA)
    pq.write_table(table, path, row_group_size=row_group_size)
    return path


class WordCounter:
    """A token is a word; the template is one token more, the end of turn another."""

    model = "words"
    digest = "0" * 32

    def __init__(self) -> None:
        self.counted = 0

    def has_control(self, text: str) -> bool:
        return "<|im_end|>" in text

    def count(self, rows: Sequence[tuple[str, str]]) -> list[TokenCounts]:
        self.counted += len(rows)
        return [self._one(question, answer) for question, answer in rows]

    def count_columns(
        self, questions: Any, answers: Any, *, at_most: int | None = None
    ) -> CountColumns:
        del at_most
        rows = list(zip(questions.to_pylist(), answers.to_pylist(), strict=True))
        counts = np.asarray(self.count(rows), dtype=np.int64).reshape(-1, 4)
        control = [any(map(self.has_control, row)) for row in rows]
        return CountColumns(*counts.T, control=np.asarray(control, dtype=np.bool_))

    def _one(self, question: str, answer: str) -> TokenCounts:
        trace = split_trace(answer)
        parts = (question, trace.thinking, trace.answer)
        asked, thought, said = (len(text.split()) for text in parts)
        return TokenCounts(asked + thought + said + 2, asked, thought, said + 1)
