"""One evaluation on disk: what was asked of which weights, every answer, and the scores.

config.json    identity first: model, lineage, prompt, data, sampling; written before the first request
samples.jsonl  a line an answer as it comes; a later line of the same answer adds to it (its grade)
errors.jsonl   requests that failed for good: not answers, and not wrong answers
scores.json    written whole at the end; regrading keeps the ones before as scores-<number>.json
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from openthoughts_cli.errors import ConflictError, NotFoundError
from openthoughts_cli.evals.benchmark import Grade, Verdict
from openthoughts_cli.evals.shapes import checked_scores
from openthoughts_cli.runs.environment import describe_environment
from openthoughts_cli.store import append_line, read_lines, read_object, write_whole

__all__ = ["EvalDirectory", "Sample", "Scores"]

EVAL_FORMAT = 1

# Parts of the identity that say on which machine and from which place, not what was asked or how it
# is judged: recorded, and free to differ when an evaluation is continued elsewhere.
_FREE = {
    "data": ("source", "revision"),  # the digest of the problems must agree
    "sandbox": ("isolation", "python", "packages"),  # whether there is one must agree
}


@dataclass(frozen=True, slots=True)
class Scores:
    """The result of one evaluation: the weights after `step` steps on one benchmark.

    `metrics` are numbers by name ("mean@1", "pass@7", "maj@7", "truncated", "errors"; for nll
    "mean", "per_byte", ...). `record` is scores.json: intervals, groups, counts, problems.
    """

    benchmark: str
    step: int
    metrics: dict[str, float]
    record: dict[str, Any] = field(default_factory=dict[str, Any])

    def __repr__(self) -> str:
        figures = ", ".join(f"{name} {value:.4g}" for name, value in self.metrics.items())
        return f"<{self.benchmark} at step {self.step}: {figures}>"


@dataclass(frozen=True, slots=True)
class Sample:
    """One recorded answer. `grade` is None until it was graded."""

    problem: str
    index: int
    completion: str
    tokens: int
    finish_reason: str
    grade: Grade | None

    @property
    def is_graded(self) -> bool:
        """Whether a grader has given a verdict (a failure of grading itself is none)."""
        return self.grade is not None and self.grade.correct is not None


@dataclass(frozen=True, slots=True)
class EvalDirectory:
    """The files of one evaluation."""

    path: Path

    @property
    def config_path(self) -> Path:
        return self.path / "config.json"

    @property
    def samples_path(self) -> Path:
        return self.path / "samples.jsonl"

    @property
    def rows_path(self) -> Path:
        """nll: a line a held-out row, in the place of samples.jsonl."""
        return self.path / "rows.jsonl"

    @property
    def errors_path(self) -> Path:
        return self.path / "errors.jsonl"

    @property
    def scores_path(self) -> Path:
        return self.path / "scores.json"

    def begin(self, identity: Mapping[str, Any], about: Mapping[str, Any]) -> None:
        """Write config.json, or check that the one there is of the same evaluation.

        Args:
            identity: what makes answers comparable; all of it must agree, but for the places and
                versions in `_FREE`: those it was continued with are listed in "continued".
            about: what else a reader should know; may differ when the evaluation is continued.

        Raises:
            ConflictError: the directory holds another evaluation; names the keys that differ.
        """
        wanted = _plain(identity)
        if self.config_path.exists():
            self.check(identity)
            self._note_continuation(self._stored_identity(), wanted)
            return
        record = {
            "format": EVAL_FORMAT,
            "identity": wanted,
            **about,
            "environment": describe_environment(),
        }
        write_whole(self.config_path, _pretty(record))

    def check(self, identity: Mapping[str, Any], *, leaving_out: Collection[str] = ()) -> None:
        """That the evaluation that is there, if any, is this one; nothing is written.

        Raises:
            ConflictError: it is another; names the keys that differ.
        """
        if not self.config_path.exists():
            return
        before, now = _bound(self._stored_identity()), _bound(_plain(identity))
        keys = {*before, *now} - {*leaving_out}
        differing = sorted(key for key in keys if before.get(key) != now.get(key))
        if differing:
            raise ConflictError(
                f"{self.path} holds an evaluation with another {', '.join(differing)}",
                hint="ask with the settings recorded there, or keep both: another --name",
            )

    def _stored_identity(self) -> dict[str, Any]:
        stored = self.config().get("identity")
        return stored if isinstance(stored, dict) else {}

    def _note_continuation(self, stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
        """Record the parts that are free to differ, where they do."""
        config = self.config()
        known = [stored, *config.get("continued", [])]
        changed = {key: wanted[key] for key in _FREE if key in wanted}
        if any(all(entry.get(key) == changed[key] for key in changed) for entry in known):
            return
        config["continued"] = [*config.get("continued", []), changed]
        write_whole(self.config_path, _pretty(config))

    def config(self) -> dict[str, Any]:
        """config.json as written."""
        return _required(self.config_path)

    def scores(self) -> dict[str, Any]:
        """scores.json as written.

        Raises:
            NotFoundError: there is none.
            DataError: it is damaged.
        """
        return checked_scores(self.scores_path, _required(self.scores_path))

    def write_scores(self, record: Mapping[str, Any]) -> None:
        """Replace scores.json."""
        write_whole(self.scores_path, _pretty(record))

    def keep_scores(self, number: int) -> Path:
        """Copy scores.json to scores-<number>.json, before others take its place."""
        kept = self.path / f"scores-{number}.json"
        write_whole(kept, self.scores_path.read_text(encoding="utf-8"))
        return kept

    def append_sample(self, sample: Sample, *, seed: int) -> None:
        """Record an answer, with its grade where there is one already."""
        line = {
            "problem": sample.problem,
            "sample": sample.index,
            "completion": sample.completion,
            "tokens": sample.tokens,
            "finish_reason": sample.finish_reason,
            "seed": seed,
        }
        append_line(self.samples_path, {**line, **_grade_record(sample.grade)})

    def append_grade(self, sample: Sample) -> None:
        """Add the grade of an answer that is recorded already."""
        line = {"problem": sample.problem, "sample": sample.index}
        append_line(self.samples_path, {**line, **_grade_record(sample.grade)})

    def append_error(self, problem: str, samples: int, code: str, message: str) -> None:
        """Record a request that failed for good."""
        append_line(
            self.errors_path,
            {"problem": problem, "samples": samples, "error": code, "message": message},
        )

    def samples(self) -> dict[str, dict[int, Sample]]:
        """All recorded answers by problem and index; a torn line counts for nothing."""
        merged: dict[tuple[str, int], dict[str, Any]] = {}
        for line in read_lines(self.samples_path):
            problem, index = line.get("problem"), line.get("sample")
            if isinstance(problem, str) and isinstance(index, int):
                merged.setdefault((problem, index), {}).update(line)
        found: dict[str, dict[int, Sample]] = {}
        for (problem, index), line in merged.items():
            if isinstance(line.get("completion"), str):
                found.setdefault(problem, {})[index] = Sample(
                    problem=problem,
                    index=index,
                    completion=line["completion"],
                    tokens=_count(line.get("tokens")),
                    finish_reason=str(line.get("finish_reason") or "stop"),
                    grade=_grade_of(line),
                )
        return found


def _count(value: Any) -> int:
    """A number of a line; 0 for anything else: lines are edited, and come from other people."""
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _plain(identity: Mapping[str, Any]) -> dict[str, Any]:
    """The identity as it is read back from JSON."""
    return json.loads(json.dumps(dict(identity), default=str))


def _bound(identity: Mapping[str, Any]) -> dict[str, Any]:
    """The identity without the parts that are free to differ."""
    bound = dict(identity)
    for key, free in _FREE.items():
        if isinstance(bound.get(key), dict):
            bound[key] = {name: value for name, value in bound[key].items() if name not in free}
    return bound


def _grade_record(grade: Grade | None) -> dict[str, Any]:
    if grade is None:
        return {}
    return {
        "parsed": grade.parsed,
        "correct": grade.correct,
        "verdict": grade.verdict,
        "diagnosis": grade.diagnosis,
    }


def _grade_of(line: Mapping[str, Any]) -> Grade | None:
    if "verdict" not in line:
        return None
    correct = line.get("correct")
    return Grade(
        parsed=line.get("parsed"),
        correct=correct if isinstance(correct, bool) else None,
        verdict=str(line.get("verdict") or Verdict.NOT_GRADED),
        diagnosis=str(line.get("diagnosis") or ""),
    )


def _required(path: Path) -> dict[str, Any]:
    value = read_object(path)
    if value is None:
        raise NotFoundError(
            f"{path} is missing: no evaluation was stored there",
            hint="give a run, or a folder below eval/ of a run that holds scores.json",
        )
    return value


def _pretty(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False, default=str) + "\n"
