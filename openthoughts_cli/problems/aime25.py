"""AIME 2025: 30 competition problems whose answers are integers from 0 to 999.

Any file in the same form works: `problem` and `answer`, and where there are some `id` and
`difficulty` (AIME 2024, the built-in arithmetic).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from openthoughts_cli.config.benchmark import BenchmarkConfig
from openthoughts_cli.digests import digest_text
from openthoughts_cli.errors import SchemaError
from openthoughts_cli.problems.integers import read_integer
from openthoughts_cli.problems.load import HubPlace, load_problems
from openthoughts_cli.problems.problem import Problem, ProblemSet
from openthoughts_cli.problems.text import MEND_ROW, required_text

__all__ = ["AIME25_PLACE", "ANSWERS", "load_aime25", "read_aime_row", "read_integer_row", "row_id"]

# The commit that UKGovernmentBEIS/inspect_evals pins (AIME2025_DATASET_REVISION, read 2026-11).
AIME25_PLACE = HubPlace("math-ai/aime25", "test.jsonl", "563bb8404243c5f09de6ec262f2db674fe5bce9b")
ANSWERS = range(1000)


def read_aime_row(row: Mapping[str, Any], where: str) -> Problem:
    """A problem from a row in the AIME form; its answer must be an integer from 0 to 999.

    Raises:
        SchemaError: naming `where` and the key.
    """
    return read_integer_row(row, where, ANSWERS)


def read_integer_row(row: Mapping[str, Any], where: str, allowed: range | None) -> Problem:
    """The same with another range of answers (None: any integer)."""
    question = required_text(row, "problem", where)
    if "answer" not in row:
        raise SchemaError(f"{where}: the key 'answer' is missing", hint=MEND_ROW)
    raw = row["answer"]
    answer = read_integer(str(raw)) if isinstance(raw, (str, int, float)) else None
    if isinstance(raw, bool) or answer is None:
        raise SchemaError(
            f"{where}: 'answer' must be an integer, and it is {str(raw)[:80]!r}", hint=MEND_ROW
        )
    if allowed is not None and answer not in allowed:
        raise SchemaError(
            f"{where}: 'answer' must lie in {allowed.start}..{allowed.stop - 1}, and it is "
            f"{answer}",
            hint="is this the file of another benchmark? arithmetic takes any integer",
        )
    return Problem(
        id=row_id(row, "id", question, where),
        question=question,
        answer=answer,
        group=str(row.get("difficulty") or ""),
    )


def row_id(row: Mapping[str, Any], key: str, question: str, where: str) -> str:
    """The row's own id as text; without one, a stable hash of the question."""
    value = row.get(key)
    if value is None or value == "":
        return f"q-{digest_text(question)[:16]}"
    if isinstance(value, bool) or not isinstance(value, (str, int)) or len(str(value)) > 200:
        raise SchemaError(
            f"{where}: {key!r} must be an integer or a text of at most 200 characters",
            hint=MEND_ROW,
        )
    if not str(value).isprintable():
        raise SchemaError(
            f"{where}: {key!r} holds a control character: {str(value)!r}", hint=MEND_ROW
        )
    return str(value)


def load_aime25(settings: BenchmarkConfig) -> ProblemSet:
    """The problems of AIME 2025 that `settings` choose; see `load_problems`."""
    return load_problems("aime25", read_aime_row, settings, AIME25_PLACE)
