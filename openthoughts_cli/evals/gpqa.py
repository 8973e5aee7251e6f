"""GPQA Diamond: graduate-level science, one letter of four."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from openthoughts_cli.config.benchmark import BenchmarkConfig
from openthoughts_cli.evals.benchmark import Benchmark, Grade
from openthoughts_cli.evals.choice_answer import grade_choice
from openthoughts_cli.problems.gpqa import LETTERS, load_gpqa, read_gpqa_row
from openthoughts_cli.problems.problem import Problem, ProblemSet

__all__ = ["Gpqa"]


class Gpqa(Benchmark):
    """198 gated questions from the hub, or a local file with the hub's columns."""

    name = "gpqa"
    summary = "GPQA Diamond: 198 science questions, four choices (gated on the hub)"
    text_is_private = True
    usual_limit = 50

    def read(self, row: Mapping[str, Any], where: str) -> Problem:
        return read_gpqa_row(row, where)

    def load(self, settings: BenchmarkConfig) -> ProblemSet:
        return load_gpqa(self.limited(settings))

    def fields(self, problem: Problem) -> Mapping[str, str]:
        choices = zip(LETTERS.lower(), problem.data["choices"], strict=True)
        return {"problem": problem.question} | {f"choice_{name}": text for name, text in choices}

    def grade(self, problem: Problem, text: str) -> Grade:
        return grade_choice(text, problem.answer)
