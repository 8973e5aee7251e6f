"""Arithmetic word problems of our own: built in, easy enough for a small model to move on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from openthoughts_cli.config.benchmark import BenchmarkConfig
from openthoughts_cli.evals.benchmark import Benchmark, Grade
from openthoughts_cli.evals.integer_answer import grade_integer
from openthoughts_cli.problems.aime25 import read_integer_row
from openthoughts_cli.problems.load import load_built_in
from openthoughts_cli.problems.problem import Problem, ProblemSet

__all__ = ["Arithmetic"]


class Arithmetic(Benchmark):
    """The built-in problems, or any local file with `problem` and `answer` (any integer)."""

    name = "arithmetic"
    summary = "built-in word problems of three difficulties, an integer"

    def read(self, row: Mapping[str, Any], where: str) -> Problem:
        return read_integer_row(row, where, None)

    def load(self, settings: BenchmarkConfig) -> ProblemSet:
        from openthoughts_cli.problems.arithmetic import arithmetic_rows

        return load_built_in(self.name, arithmetic_rows, self.read, settings)

    def grade(self, problem: Problem, text: str) -> Grade:
        return grade_integer(text, problem.answer)
