"""AIME 2025: competition problems, an integer from 0 to 999."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from openthoughts_cli.config.benchmark import BenchmarkConfig
from openthoughts_cli.evals.benchmark import Benchmark, Grade
from openthoughts_cli.evals.integer_answer import grade_integer
from openthoughts_cli.problems.aime25 import ANSWERS, load_aime25, read_aime_row
from openthoughts_cli.problems.problem import Problem, ProblemSet

__all__ = ["Aime25"]


class Aime25(Benchmark):
    """30 problems from the hub, or any local file with `problem` and `answer`."""

    name = "aime25"
    summary = "AIME 2025: 30 competition problems, an integer from 0 to 999"

    def read(self, row: Mapping[str, Any], where: str) -> Problem:
        return read_aime_row(row, where)

    def load(self, settings: BenchmarkConfig) -> ProblemSet:
        return load_aime25(settings)

    def grade(self, problem: Problem, text: str) -> Grade:
        return grade_integer(text, problem.answer, ANSWERS)
