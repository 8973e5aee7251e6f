"""LiveCodeBench code generation: a program that must pass public and hidden tests."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, ClassVar

from openthoughts_cli.config.benchmark import BenchmarkConfig
from openthoughts_cli.errors import SandboxError
from openthoughts_cli.evals.answer_text import after_thinking
from openthoughts_cli.evals.benchmark import Benchmark, Grade, Verdict
from openthoughts_cli.evals.lcb_code import code_in
from openthoughts_cli.evals.lcb_judge import LCB_LIMITS, CodeVerdict, Judge, Judgement
from openthoughts_cli.evals.sandbox import Sandbox, machine_slots
from openthoughts_cli.problems.livecodebench import (
    DEFAULT_WINDOW,
    load_livecodebench,
    read_lcb_row,
)
from openthoughts_cli.problems.problem import Problem, ProblemSet

__all__ = ["LiveCodeBench"]

_STDIN_TASK = "The program reads its input from standard input and prints its answer."
_FUNCTION_TASK = (
    "Complete this code; it is called from outside and reads no input:\n\n```python\n{}\n```\n"
)


class LiveCodeBench(Benchmark):
    """Contest problems by date; answers run in a sandbox, or not at all unless `unsafe` is set.

    `unsafe_no_sandbox` may be set on the instance, and is set by a config that asks for it.
    """

    name = "livecodebench"
    summary = "LiveCodeBench code generation: programs run on hidden tests in a sandbox"
    votes = False
    runs_code = True
    usual_limit = 30
    grading_threads: ClassVar[int] = machine_slots().count

    def __init__(self, template: str | None = None, *, unsafe_no_sandbox: bool = False) -> None:
        super().__init__(template)
        self.unsafe_no_sandbox = unsafe_no_sandbox
        self._making = threading.Lock()
        self._judges: dict[bool, Judge] = {}

    def read(self, row: Mapping[str, Any], where: str) -> Problem:
        return read_lcb_row(row, where)

    def load(self, settings: BenchmarkConfig) -> ProblemSet:
        self._heed(settings)
        return load_livecodebench(self.limited(settings))

    def fields(self, problem: Problem) -> Mapping[str, str]:
        starter = str(problem.data["starter_code"]).rstrip()
        called = problem.data["function"] is not None
        task = _FUNCTION_TASK.format(starter) if called else _STDIN_TASK
        return {"problem": problem.question.strip(), "task": task}

    def check_grading(self, settings: BenchmarkConfig) -> None:
        self._heed(settings)
        self.judge.sandbox.require()

    def check(self, settings: BenchmarkConfig) -> None:
        self.check_grading(settings)
        super().check(settings)

    def describe(self, settings: BenchmarkConfig) -> dict[str, Any]:
        self._heed(settings)
        return {
            "sandbox": self.judge.sandbox.describe(),
            "limits": self.judge.limits.as_record(),
            "window": settings.window or DEFAULT_WINDOW,
            "release": settings.release,
        }

    def grade(self, problem: Problem, text: str) -> Grade:
        code = code_in(text)
        if code is None:
            why = "the thinking never ends" if after_thinking(text) is None else "no code block"
            return Grade(None, False, Verdict.NO_ANSWER, why)
        try:
            judgement = self.judge.judge(code, problem.answer, problem.data["function"])
        except SandboxError as error:
            return Grade(code, None, Verdict.NOT_GRADED, error.message)
        correct = judgement.verdict == CodeVerdict.CORRECT
        return Grade(code, correct, judgement.verdict, self._diagnosis(problem, judgement))

    @property
    def judge(self) -> Judge:
        """The judge of this instance, made at its first use."""
        with self._making:
            unsafe = self.unsafe_no_sandbox
            if unsafe not in self._judges:
                self._judges[unsafe] = Judge(Sandbox(unsafe=unsafe), limits=LCB_LIMITS)
            return self._judges[unsafe]

    def _heed(self, settings: BenchmarkConfig) -> None:
        self.unsafe_no_sandbox = self.unsafe_no_sandbox or settings.unsafe_no_sandbox

    def _diagnosis(self, problem: Problem, judgement: Judgement) -> str:
        unsafe = " (no sandbox)" if self.unsafe_no_sandbox else ""
        if judgement.test is None:
            return f"passed {len(problem.answer)} tests{unsafe}"
        kind = "public" if judgement.test < problem.data["num_public"] else "private"
        place = f"test {judgement.test + 1} of {len(problem.answer)} ({kind})"
        return f"{place}: {judgement.detail}{unsafe}"
