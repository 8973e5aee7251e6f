"""Grade a run's stored answers anew after a grader has changed, and keep the old verdicts beside.

Nothing is sampled and nothing is lost: a changed verdict is one more line of samples.jsonl (the
newest counts, the older stay), and the scores of before stay as scores-<number>.json.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from openthoughts_cli.config.benchmark import NLL, BenchmarkConfig
from openthoughts_cli.errors import ConflictError, DataError, NotFoundError, OtError, UsageError
from openthoughts_cli.evals.benchmark import Benchmark, Grade, benchmark
from openthoughts_cli.evals.records import EvalDirectory, Sample
from openthoughts_cli.evals.scoring import score_samples
from openthoughts_cli.evals.sides import stored_steps
from openthoughts_cli.events import (
    EvalDone,
    Listener,
    StageDone,
    StageProgress,
    StageStarted,
    fan_out,
    silent,
)
from openthoughts_cli.problems.problem import Problem, ProblemSet
from openthoughts_cli.runs.layout import RunDirectory
from openthoughts_cli.runs.lock import locked
from openthoughts_cli.runs.log import RunLog, next_attempt

__all__ = ["ChangedGrade", "Regraded", "regrade_run"]


class ChangedGrade(NamedTuple):
    """An answer whose verdict is another one now."""

    problem: str
    sample: int
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Regraded:
    """One evaluation, graded anew. `kept` holds the scores of before; None where nothing changed."""

    benchmark: str
    step: int
    directory: Path
    answers: int
    changed: tuple[ChangedGrade, ...]
    before: Mapping[str, float]
    after: Mapping[str, float]
    kept: Path | None

    def __repr__(self) -> str:
        name = next(iter(self.after), None)
        moved = ""
        if name is not None and name in self.before:
            moved = f"; {name} {self.before[name]:.4g} -> {self.after[name]:.4g}"
        return (
            f"<Regraded {self.benchmark} at step {self.step}: {len(self.changed):,} of "
            f"{self.answers:,} answers changed{moved}>"
        )

    def as_record(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "benchmark": self.benchmark,
            "step": self.step,
            "directory": str(self.directory),
            "answers": self.answers,
            "changed": [entry._asdict() for entry in self.changed],
            "before": dict(self.before),
            "after": dict(self.after),
            "kept": None if self.kept is None else str(self.kept),
        }


def regrade_run(
    run: RunDirectory,
    *,
    benchmarks: Sequence[str] = (),
    unsafe_no_sandbox: bool = False,
    listener: Listener = silent,
) -> tuple[Regraded, ...]:
    """Grade all stored answers of a run's finished evaluations with the graders of today.

    Args:
        benchmarks: only these; none given: all that the run has. `nll` has no answers to grade.
        unsafe_no_sandbox: run programs unprotected, whatever the evaluation itself did; it is
            recorded.

    Raises:
        NotFoundError: the run has no finished evaluation of that kind.
        UsageError: the grader is in a Python file, and its benchmark was not named.
        ConflictError: the problems are others than those that were asked.
        OtError: the problems cannot be had, or grading cannot work here.
    """
    steps = {name: found for name, found in stored_steps(run).items() if name != NLL}
    for name in benchmarks:
        if name not in steps:
            raise NotFoundError(
                f"{run.run_id} has no finished evaluation of {name} with stored answers",
                hint=f"it has: {', '.join(steps) or 'none'}",
            )
    if not steps:
        raise NotFoundError(
            f"{run.run_id} has no finished evaluation with stored answers",
            hint=f"make one: ot eval --run {run.run_id} -b arithmetic",
        )
    with locked(run):
        heard = fan_out(RunLog(run, next_attempt(run)), listener)
        return tuple(
            _Regrading(
                run.eval_dir(name, step), name, step, unsafe_no_sandbox, named=name in benchmarks
            ).go(heard)
            for name in benchmarks or steps
            for step in steps[name]
        )


class _Regrading:
    def __init__(self, path: Path, name: str, step: int, unsafe: bool, *, named: bool) -> None:
        self._files = EvalDirectory(path)
        self._name = name
        self._step = step
        self._config = self._files.config()
        grader = str(self._config.get("grader") or name)
        if ".py:" in grader and not named:  # the record may be another's, and code would run
            raise UsageError(
                f"{path} is graded by the code in {grader}, which would be run",
                hint=f"if you trust that file: ot runs regrade ... --benchmark {name}",
            )
        self._kind = benchmark(grader)
        self._settings = self._stored_settings(unsafe and self._kind.runs_code)

    def _stored_settings(self, unsafe: bool) -> BenchmarkConfig:
        stored = self._config.get("settings")
        if not isinstance(stored, dict):
            raise DataError(
                f"{self._files.config_path} does not say which problems were asked",
                hint="it was written by an older version; ot grade can grade answers from a file",
            )
        # The prompt was asked already: a template that has gone since is no obstacle.
        try:
            return BenchmarkConfig.model_validate(
                stored | {"prompt": None, "unsafe_no_sandbox": unsafe}
            )
        except ValidationError as error:
            what = error.errors(include_url=False)[0]
            place = ".".join(map(str, what["loc"]))
            raise DataError(
                f"{self._files.config_path} is damaged: settings.{place}: {what['msg']}",
                hint="it was edited by hand, or written by another version; evaluate anew under "
                "another --name",
            ) from error

    def go(self, listener: Listener) -> Regraded:
        problems = self._problems()
        self._kind.check_grading(self._settings)
        stored = self._files.samples()
        answers = [
            (problem, sample)
            for problem in problems.problems
            for sample in stored.get(problem.id, {}).values()
            if sample.index < self._settings.n
        ]
        changed = self._grade(answers, listener)
        before = self._files.scores()
        record = self._scores(problems, before)
        same = _comparable(record) == _comparable(before)
        kept = None if same else self._replace_scores(before, record, len(changed))
        if not same:
            listener(EvalDone(self._name, self._step, record["metrics"], record))
        return Regraded(
            self._name,
            self._step,
            self._files.path,
            len(answers),
            tuple(changed),
            before.get("metrics") or {},
            record["metrics"],
            kept,
        )

    def _problems(self) -> ProblemSet:
        problems = self._kind.load_once(self._settings)
        asked = ((self._config.get("identity") or {}).get("data") or {}).get("digest")
        if problems.digest != asked:
            raise ConflictError(
                f"{self._files.path}: the problems of {self._name} at {problems.source} are no longer "
                "those that were asked",
                hint="put the file back that was used, or evaluate anew under another --name",
            )
        return problems

    def _grade(
        self, answers: Sequence[tuple[Problem, Sample]], listener: Listener
    ) -> list[ChangedGrade]:
        """Append the verdicts that are new; one that cannot be given now replaces none."""
        stage = f"grading {self._name} of step {self._step}"
        listener(StageStarted(stage, len(answers), "answers"))
        changed: list[ChangedGrade] = []
        with ThreadPoolExecutor(self._kind.grading_threads or 1, "ot-grade") as pool:
            grades = pool.map(lambda pair: _grade(self._kind, *pair), answers)
            for done, ((_, sample), grade) in enumerate(zip(answers, grades, strict=True), start=1):
                listener(StageProgress(stage, done))
                if grade != sample.grade and grade.correct is not None:
                    self._files.append_grade(replace(sample, grade=grade))
                    before = "none" if sample.grade is None else sample.grade.verdict
                    entry = ChangedGrade(sample.problem, sample.index, before, grade.verdict)
                    changed += [entry] if _verdict(grade) != _verdict(sample.grade) else []
        listener(StageDone(stage, f"{len(changed):,} of {len(answers):,} verdicts changed"))
        return changed

    def _scores(self, problems: ProblemSet, before: Mapping[str, Any]) -> dict[str, Any]:
        asked = {problem.id for problem in problems.problems}
        samples = {
            name: {i: sample for i, sample in found.items() if i < self._settings.n}
            for name, found in self._files.samples().items()
            if name in asked
        }
        made = score_samples(
            self._name,
            self._step,
            problems.problems,
            samples,
            n=self._settings.n,
            ks=self._settings.ks,
            votes=self._kind.votes,
            config=before.get("config") or {},
        )
        if made is None:
            raise DataError(
                f"{self._files.path}: not one of its answers could be graded",
                hint="the diagnoses in its samples.jsonl say why",
            )
        return made[1]

    def _replace_scores(
        self, before: Mapping[str, Any], record: Mapping[str, Any], changed: int
    ) -> Path:
        number = 1 + len(list(self._files.path.glob("scores-*.json")))
        kept = self._files.keep_scores(number)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        regraded = {
            "time": now,
            "changed_verdicts": changed,
            "before": kept.name,
            **self._kind.describe(self._settings),
        }
        self._files.write_scores(
            {**record, "regraded": [*(before.get("regraded") or []), regraded]}
        )
        return kept


def _grade(kind: Benchmark, problem: Problem, sample: Sample) -> Grade:
    try:
        return kind.grade(problem, sample.completion)
    except OtError as error:  # the sandbox, the disk: not the answer's fault
        return Grade(None, None, "not-graded", error.message)


def _verdict(grade: Grade | None) -> tuple[object, ...]:
    return () if grade is None else (grade.correct, grade.verdict, grade.parsed)


def _comparable(record: Mapping[str, Any]) -> Any:
    return json.loads(json.dumps({k: v for k, v in record.items() if k != "regraded"}, default=str))
