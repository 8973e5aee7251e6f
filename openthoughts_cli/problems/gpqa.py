"""GPQA Diamond: 198 graduate-level science questions with four choices.

The data set is gated (CC BY 4.0), and its terms ask that examples not be shown in public, so
whatever is shared leaves the text out. Rein et al. 2023, arXiv 2311.12022.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from openthoughts_cli.config.benchmark import BenchmarkConfig
from openthoughts_cli.errors import SchemaError
from openthoughts_cli.problems.aime25 import row_id
from openthoughts_cli.problems.load import HubPlace, load_problems
from openthoughts_cli.problems.problem import Problem, ProblemSet, stable_hash
from openthoughts_cli.problems.text import MEND_ROW, required_text

__all__ = ["GPQA_PLACE", "LETTERS", "load_gpqa", "read_gpqa_row"]

# Gated, so it could not be read here; the commit that many public harnesses pin or hold in their
# caches, with 198 rows in this file (found 2026-11-24).
GPQA_PLACE = HubPlace(
    "Idavidrein/gpqa", "gpqa_diamond.csv", "633f5ee89ab8ad4522a9f850766b73f62147ffdd"
)
LETTERS = "ABCD"
_CORRECT = "Correct Answer"
_INCORRECT = ("Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3")


def read_gpqa_row(row: Mapping[str, Any], where: str) -> Problem:
    """A problem from a row with the hub's columns; `answer` is a letter, `data["choices"]` four texts.

    The order of the choices is a shuffle seeded by a stable hash of the record's id, so that it is
    the same everywhere and for every seed, and the right letter differs from problem to problem.

    Raises:
        SchemaError: naming `where` and the key.
    """
    question = required_text(row, "Question", where).strip()
    correct = required_text(row, _CORRECT, where).strip()
    choices = [correct, *(required_text(row, key, where).strip() for key in _INCORRECT)]
    if choices.count(correct) > 1:
        raise SchemaError(f"{where}: an incorrect answer equals {_CORRECT!r}", hint=MEND_ROW)
    identity = row_id(row, "Record ID", question, where)
    order = [0, 1, 2, 3]
    random.Random(stable_hash("gpqa choices", identity)).shuffle(order)
    return Problem(
        id=identity,
        question=question,
        answer=LETTERS[order.index(0)],
        group=str(row.get("Subdomain") or ""),
        data={"choices": tuple(choices[index] for index in order)},
    )


def load_gpqa(settings: BenchmarkConfig) -> ProblemSet:
    """The problems of GPQA Diamond that `settings` choose; see `load_problems`."""
    return load_problems("gpqa", read_gpqa_row, settings, GPQA_PLACE)
