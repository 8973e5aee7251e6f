"""From graded answers to the scores of an evaluation. Pure: the same samples, the same scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from openthoughts_cli.evals.benchmark import Verdict
from openthoughts_cli.evals.estimators import (
    Interval,
    mean_interval,
    pass_at_k,
    same_problems_interval,
    vote_correct,
)
from openthoughts_cli.evals.records import Sample
from openthoughts_cli.problems.problem import Problem

__all__ = ["Tally", "running_metrics", "score", "score_samples", "tally"]


@dataclass(frozen=True, slots=True)
class Tally:
    """What the answers to one problem come to. Answers that could not be graded are left out."""

    problem: str
    groups: tuple[str, ...]
    graded: int
    correct: int
    truncated: int
    no_answer: int
    vote: bool

    @property
    def mean(self) -> float:
        """c / n."""
        return self.correct / self.graded


def tally(problem: Problem, samples: Sequence[Sample]) -> Tally:
    """Count the answers of one problem, in the order of their index."""
    graded = [
        (sample, sample.grade)
        for sample in sorted(samples, key=lambda sample: sample.index)
        if sample.grade is not None and sample.grade.correct is not None
    ]
    votes = [(grade.parsed, bool(grade.correct)) for _, grade in graded]
    return Tally(
        problem=problem.id,
        groups=(problem.group, *problem.more_groups),
        graded=len(graded),
        correct=sum(correct for _, correct in votes),
        truncated=sum(sample.finish_reason == "length" for sample, _ in graded),
        no_answer=sum(grade.verdict == Verdict.NO_ANSWER for _, grade in graded),
        vote=vote_correct(votes),
    )


def score(
    tallies: Sequence[Tally], *, n: int, ks: Sequence[int], votes: bool
) -> tuple[dict[str, float], dict[str, Any]]:
    """Metrics, and the part of scores.json that explains them.

    "mean@1" is the mean over problems of c / n; "pass@k" the unbiased estimate; "maj@n" the share
    of problems whose most frequent answer is right; "truncated" the share of graded answers that
    hit the token limit; "errors" how many of the wanted answers are missing or could not be graded.
    A problem with fewer than k graded answers is left out of pass@k and counted in "short".
    """
    answered = [entry for entry in tallies if entry.graded]
    graded = sum(entry.graded for entry in tallies)
    wanted = len(tallies) * n
    parts = _scores(answered, n, ks, votes)
    metrics = {name: value for name, (value, _) in parts.items()}
    metrics["truncated"] = sum(entry.truncated for entry in tallies) / graded if graded else 0.0
    metrics["no_answer"] = sum(entry.no_answer for entry in tallies) / graded if graded else 0.0
    metrics["errors"] = float(wanted - graded)
    same = same_problems_interval(sum(entry.correct for entry in tallies), graded)
    intervals = {name: _records(interval) for name, (_, interval) in parts.items()}
    if "mean@1" in intervals:
        intervals["mean@1"] += _records(same)
    record = {
        "intervals": intervals,
        "groups": _groups(answered, n, ks, votes),
        "counts": {
            "problems": len(tallies),
            "answers": graded,
            "correct": sum(entry.correct for entry in tallies),
            "truncated": sum(entry.truncated for entry in tallies),
            "no_answer": sum(entry.no_answer for entry in tallies),
            "errors": wanted - graded,
            "unanswered_problems": len(tallies) - len(answered),
            "short": {
                f"pass@{k}": sum(entry.graded < k for entry in tallies)
                for k in ks
                if any(entry.graded < k for entry in tallies)
            },
        },
        "problems": [
            {
                "id": entry.problem,
                "group": entry.groups[0],
                "answers": entry.graded,
                "correct": entry.correct,
                "truncated": entry.truncated,
            }
            for entry in tallies
        ],
    }
    return metrics, record


def score_samples(
    benchmark: str,
    step: int,
    problems: Sequence[Problem],
    samples: Mapping[str, Mapping[int, Sample]],
    *,
    n: int,
    ks: Sequence[int],
    votes: bool,
    config: Mapping[str, Any],
) -> tuple[dict[str, float], dict[str, Any]] | None:
    """The metrics and scores.json of stored answers (problem -> index -> sample).

    None where not one answer is graded: that is an error, never a score of 0.
    """
    tallies = [tally(problem, list(samples.get(problem.id, {}).values())) for problem in problems]
    if not any(entry.graded for entry in tallies):
        return None
    metrics, details = score(tallies, n=n, ks=ks, votes=votes)
    tokens = sum(sample.tokens for by_index in samples.values() for sample in by_index.values())
    record = {
        "benchmark": benchmark,
        "step": step,
        "metrics": metrics,
        **details,
        "tokens": tokens,
        "config": dict(config),
    }
    return metrics, record


def running_metrics(tallies: Mapping[str, Tally], errors: int) -> dict[str, float]:
    """The score so far, for a live view: mean@1 with its interval, truncated, errors."""
    answered = [entry for entry in tallies.values() if entry.graded]
    if not answered:
        return {"errors": float(errors)}
    means = [entry.mean for entry in answered]
    metrics = {"mean@1": sum(means) / len(means)}
    if interval := mean_interval(means):
        metrics |= {"mean@1/low": interval.low, "mean@1/high": interval.high}
    graded = sum(entry.graded for entry in answered)
    metrics["truncated"] = sum(entry.truncated for entry in answered) / graded
    metrics["errors"] = float(errors)
    return metrics


def _scores(
    answered: Sequence[Tally], n: int, ks: Sequence[int], votes: bool
) -> dict[str, tuple[float, Interval | None]]:
    columns: dict[str, list[float]] = {"mean@1": [entry.mean for entry in answered]}
    for k in ks:
        columns[f"pass@{k}"] = [
            pass_at_k(entry.graded, entry.correct, k) for entry in answered if entry.graded >= k
        ]
    if votes and n > 1:
        columns[f"maj@{n}"] = [float(entry.vote) for entry in answered if entry.graded >= n]
    return {
        name: (sum(values) / len(values), mean_interval(values))
        for name, values in columns.items()
        if values
    }


def _groups(
    answered: Sequence[Tally], n: int, ks: Sequence[int], votes: bool
) -> dict[str, dict[str, Any]]:
    names = sorted({name for entry in answered for name in entry.groups})
    if names in ([], [""]):
        return {}
    groups: dict[str, dict[str, Any]] = {}
    for name in names:
        members = [entry for entry in answered if name in entry.groups]
        parts = _scores(members, n, ks, votes)
        groups[name or "(none)"] = {
            "problems": len(members),
            "metrics": {metric: value for metric, (value, _) in parts.items()},
            "intervals": {metric: _records(interval) for metric, (_, interval) in parts.items()},
        }
    return groups


def _records(interval: Interval | None) -> list[dict[str, Any]]:
    return [] if interval is None else [interval.as_record()]
