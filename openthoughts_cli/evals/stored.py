"""Grade completions that are stored in a file, with no engine, by the code that evaluations use."""

from __future__ import annotations

import json
import sys
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from openthoughts_cli.errors import EmptyResultError, NotFoundError, OtError, SchemaError
from openthoughts_cli.evals.benchmark import Benchmark, Grade, Verdict, prepare_grader
from openthoughts_cli.problems.problem import Problem

__all__ = ["GradeSummary", "GradedFile", "grade_file", "grade_stored"]

_LINES = "each line is an object with problem (the row) and completion (the answer's text)"


@dataclass
class GradeSummary:
    """Counts over the answers graded so far."""

    benchmark: str
    answers: int = 0
    correct: int = 0
    wrong: int = 0
    not_graded: int = 0
    verdicts: Counter[str] = field(default_factory=Counter[str])

    def add(self, grade: Grade) -> None:
        """Count one more."""
        self.answers += 1
        self.verdicts[grade.verdict] += 1
        if grade.correct is None:
            self.not_graded += 1
        elif grade.correct:
            self.correct += 1
        else:
            self.wrong += 1

    def as_record(self) -> dict[str, Any]:
        """The closing line. `accuracy` is over the answers that could be graded, None for none."""
        graded = self.correct + self.wrong
        return {
            "benchmark": self.benchmark,
            "answers": self.answers,
            "correct": self.correct,
            "wrong": self.wrong,
            "not_graded": self.not_graded,
            "accuracy": self.correct / graded if graded else None,
            "verdicts": dict(sorted(self.verdicts.items())),
        }


@dataclass(frozen=True, slots=True)
class GradedFile:
    """The answers of a file, graded: a record a line as `grade_stored` gives them, and the sums."""

    records: tuple[dict[str, Any], ...]
    summary: GradeSummary

    def __repr__(self) -> str:
        sums = self.summary
        failed = f", {sums.not_graded:,} not graded" if sums.not_graded else ""
        return (
            f"<GradedFile {sums.benchmark}: {sums.correct:,} of {sums.answers:,} answers "
            f"right{failed}>"
        )


def grade_file(name: str, answers: Path | str, *, unsafe_no_sandbox: bool = False) -> GradedFile:
    """Grade the answers in a JSONL file; see `grade_stored` for its lines and what is raised.

    Args:
        name: a benchmark, or `file.py:ClassName`.
        unsafe_no_sandbox: run the code of answers on this machine unprotected.
    """
    kind = prepare_grader(name, unsafe_no_sandbox=unsafe_no_sandbox)
    summary = GradeSummary(kind.name)
    return GradedFile(tuple(grade_stored(kind, Path(answers), summary)), summary)


def grade_stored(
    benchmark: Benchmark, answers: Path, summary: GradeSummary | None = None
) -> Iterator[dict[str, Any]]:
    """Grade each line `{"problem": {...}, "completion": "..."}` of a JSONL file, in its order.

    The file `-` is stdin. `problem` is a row in the benchmark's own schema. Gives one record a line: `index` (from 0),
    `parsed`, `correct` (None where grading itself failed), `verdict`, `diagnosis`; `summary` counts.
    Benchmarks that grade slowly are graded on several threads, a few lines ahead.

    Raises:
        NotFoundError: there is no such file.
        SchemaError: a line that is not of this form, by file:line and key; the lines before it
            are graded.
        EmptyResultError: the file holds no line.
    """
    counts = summary if summary is not None else GradeSummary(benchmark.name)
    for index, grade in enumerate(_graded(benchmark, answers)):
        counts.add(grade)
        yield {
            "index": index,
            "parsed": grade.parsed,
            "correct": grade.correct,
            "verdict": grade.verdict,
            "diagnosis": grade.diagnosis,
        }
    if not counts.answers:
        raise EmptyResultError(f"{answers} holds no answer to grade", hint=_LINES)


def _graded(benchmark: Benchmark, answers: Path) -> Iterator[Grade]:
    lines = _read(benchmark, answers)
    if not benchmark.grading_threads:
        for problem, completion in lines:
            yield _grade(benchmark, problem, completion)
        return
    ahead = 2 * benchmark.grading_threads
    waiting: deque[Future[Grade]] = deque()
    with ThreadPoolExecutor(benchmark.grading_threads, "ot-grade") as pool:
        try:
            for problem, completion in lines:
                waiting.append(pool.submit(_grade, benchmark, problem, completion))
                if len(waiting) >= ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _grade(benchmark: Benchmark, problem: Problem, completion: str) -> Grade:
    try:
        return benchmark.grade(problem, completion)
    except OtError as error:  # the sandbox, the disk: not the answer's fault
        return Grade(None, None, Verdict.NOT_GRADED, error.message)


def _read(benchmark: Benchmark, path: Path) -> Iterator[tuple[Problem, str]]:
    if str(path) == "-":
        yield from _lines(benchmark, sys.stdin.buffer, "<stdin>")
        return
    if not path.is_file():
        raise NotFoundError(f"there is no file {path}", hint="give --answers a JSONL file")
    with path.open("rb") as file:
        yield from _lines(benchmark, file, str(path))


def _lines(benchmark: Benchmark, file: Iterable[bytes], name: str) -> Iterator[tuple[Problem, str]]:
    for number, raw in enumerate(file, start=1):
        if raw.strip():
            yield _answer(benchmark, raw, f"{name}:{number}")


def _answer(benchmark: Benchmark, raw: bytes, where: str) -> tuple[Problem, str]:
    try:
        line = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise SchemaError(f"{where}: this line is not JSON: {error}", hint=_LINES) from error
    if not isinstance(line, dict):
        raise SchemaError(
            f"{where}: expected a JSON object, got {type(line).__name__}", hint=_LINES
        )
    problem, completion = line.get("problem"), line.get("completion")
    if not isinstance(problem, dict):
        raise SchemaError(
            f"{where}: 'problem' must be a row of {benchmark.name}, as an object", hint=_LINES
        )
    if not isinstance(completion, str):
        raise SchemaError(f"{where}: 'completion' must be text", hint=_LINES)
    return benchmark.read(problem, where), completion
