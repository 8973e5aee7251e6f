"""Every answer of an evaluation as a reader wants it: by problem, with what was asked where it can be had."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from pydantic import ValidationError

from openthoughts_cli.config.benchmark import NLL, BenchmarkConfig
from openthoughts_cli.errors import OtError
from openthoughts_cli.evals.benchmark import Benchmark, benchmark, benchmark_names
from openthoughts_cli.evals.records import EvalDirectory, Sample
from openthoughts_cli.problems.problem import Problem

__all__ = ["KINDS", "Kind", "ProblemAnswers", "Sheet", "kinds_of", "read_sheet"]

Kind: TypeAlias = Literal[
    "right", "wrong", "flipping", "truncated", "not graded", "newly solved", "newly failed"
]
KINDS: dict[Kind, str] = {
    "right": "every graded answer is right",
    "wrong": "no answer is right",
    "flipping": "some answers are right and some are not",
    "truncated": "an answer was cut at the token limit",
    "not graded": "an answer has no verdict",
    "newly solved": "no right answer on the other side, at least one here",
    "newly failed": "at least one right answer on the other side, none here",
}
"""What a problem can be filtered by, and what that means."""


@dataclass(frozen=True, slots=True)
class ProblemAnswers:
    """One problem and its answers in the order of their numbers.

    `question`, `prompt` and `expected` are None where the problem could not be loaded.
    """

    problem: str
    samples: tuple[Sample, ...]
    question: str | None = None
    prompt: str | None = None
    expected: str | None = None
    group: str = ""

    @property
    def graded(self) -> int:
        return sum(sample.is_graded for sample in self.samples)

    @property
    def right(self) -> int:
        return sum(s.grade is not None and s.grade.correct is True for s in self.samples)

    @property
    def truncated(self) -> int:
        return sum(sample.finish_reason == "length" for sample in self.samples)

    @property
    def solved(self) -> bool:
        return self.right > 0


@dataclass(frozen=True, slots=True)
class Sheet:
    """The answers of one benchmark after `step` steps.

    `private`: the terms of the data ask that its texts are not shown in public. `why_no_text` says
    why the problems could not be loaded; empty where they were.
    """

    benchmark: str
    step: int
    path: Path
    problems: tuple[ProblemAnswers, ...]
    metrics: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    private: bool = False
    why_no_text: str = ""


def read_sheet(path: Path, *, with_text: bool = True) -> Sheet:
    """The answers in the directory of one evaluation, finished or still going on.

    Args:
        path: `RunDirectory.eval_dir(name, step)`.
        with_text: load the problems too; those of the hub come from its cache or the network. A
            benchmark in somebody's Python file is never imported: the record may be another's.

    Raises:
        DataError: config.json is damaged.
        NotFoundError: no evaluation is there.
    """
    files = EvalDirectory(path)
    config = files.config()
    name, step = path.parent.name, path.name.removeprefix("step-")
    kind = _shipped(config, name)
    found, why = _problems(kind, config) if with_text else ({}, "not asked for")
    stored = files.samples()
    order = [*found, *sorted(stored.keys() - found.keys())]
    scores = _scores(files)
    return Sheet(
        benchmark=name,
        step=int(step) if step.isdecimal() else 0,
        path=path,
        problems=tuple(
            _answers_of(problem, stored[problem], found.get(problem), kind)
            for problem in order
            if problem in stored
        ),
        metrics=scores.get("metrics") or {},
        intervals={
            metric: (entries[0]["low"], entries[0]["high"])
            for metric, entries in (scores.get("intervals") or {}).items()
            if entries
        },
        private=bool(kind is not None and kind.text_is_private),
        why_no_text=why,
    )


def kinds_of(here: ProblemAnswers, there: ProblemAnswers | None = None) -> set[Kind]:
    """What a problem counts as; `there` is the same problem on the other side of a comparison."""
    kinds: set[Kind] = set()
    if here.graded:
        if here.right == here.graded:
            kinds.add("right")
        elif here.right == 0:
            kinds.add("wrong")
        else:
            kinds.add("flipping")
    if here.truncated:
        kinds.add("truncated")
    if here.graded < len(here.samples):
        kinds.add("not graded")
    if there is not None and here.graded and there.graded:
        if here.solved and not there.solved:
            kinds.add("newly solved")
        if there.solved and not here.solved:
            kinds.add("newly failed")
    return kinds


def _shipped(config: Mapping[str, Any], name: str) -> Benchmark | None:
    grader = str(config.get("grader") or name)
    return benchmark(grader) if grader in benchmark_names() and grader != NLL else None


def _problems(kind: Benchmark | None, config: Mapping[str, Any]) -> tuple[dict[str, Problem], str]:
    if kind is None:
        return {}, "the benchmark is not one of those that come with ot"
    stored = config.get("settings")
    try:
        settings = BenchmarkConfig.model_validate({**stored} if isinstance(stored, dict) else {})
        loaded: Iterable[Problem] = kind.load_once(settings).problems
    except ValidationError:
        return {}, "the recorded settings are damaged"
    except OtError as error:
        return {}, error.message
    return {problem.id: problem for problem in loaded}, ""


def _scores(files: EvalDirectory) -> Mapping[str, Any]:
    try:
        return files.scores()
    except OtError:  # it goes on still, or the file was edited: the answers stand without it
        return {}


def _answers_of(
    name: str, samples: Mapping[int, Sample], problem: Problem | None, kind: Benchmark | None
) -> ProblemAnswers:
    ordered = tuple(samples[index] for index in sorted(samples))
    if problem is None or kind is None:
        return ProblemAnswers(name, ordered)
    plain = isinstance(problem.answer, (int, str))
    return ProblemAnswers(
        name,
        ordered,
        question=problem.question,
        prompt=_prompt(kind, problem),
        expected=str(problem.answer) if plain else None,
        group=problem.group,
    )


def _prompt(kind: Benchmark, problem: Problem) -> str | None:
    try:
        return kind.prompt(problem)
    except OtError:
        return None
