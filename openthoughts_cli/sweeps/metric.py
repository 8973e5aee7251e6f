"""The metric that ranks a sweep, and one stored evaluation's score on each of its problems."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openthoughts_cli.config.benchmark import NLL
from openthoughts_cli.errors import DataError, UsageError
from openthoughts_cli.evals.estimators import pass_at_k, vote_rate
from openthoughts_cli.evals.records import EvalDirectory
from openthoughts_cli.store import read_lines

__all__ = ["Metric", "ProblemScores", "parse_metric", "problem_scores"]

_OF_NLL = ("mean", "per_byte", "thinking", "answer")
_FORMS = (
    "write eval/<benchmark>/<metric>, such as eval/nll/mean or eval/aime25/pass@7; metrics are "
    "mean@1, pass@K, maj@K and truncated, and of nll mean, per_byte, thinking and answer"
)
# A stored score that its own problems do not give was edited, or belongs to other problems.
_MOST_APART = 1e-6


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric with a value for each problem, so that runs can be compared problem by problem."""

    benchmark: str
    name: str

    @property
    def key(self) -> str:
        """As in metrics.jsonl: `eval/nll/mean`."""
        return f"eval/{self.benchmark}/{self.name}"

    @property
    def higher_is_better(self) -> bool:
        return self.benchmark != NLL and self.name != "truncated"

    @property
    def bounded(self) -> bool:
        """Whether a problem's score lies in [0, 1]."""
        return self.benchmark != NLL

    @property
    def k(self) -> int:
        """The k of pass@k and maj@k, else 1."""
        return int(self.name.partition("@")[2] or 1)


@dataclass(frozen=True, slots=True)
class ProblemScores:
    """One evaluation, problem by problem (of nll: question by question).

    `totals` over `sizes` is the score: for sampled benchmarks each size is 1. `data` and `renderer`
    are the digests of what was asked and of how it was put; `settings` the digestible rest that
    should agree between runs.
    """

    totals: Mapping[str, float]
    sizes: Mapping[str, float]
    data: str
    renderer: str
    settings: Mapping[str, Any]

    @property
    def score(self) -> float:
        return sum(self.totals.values()) / sum(self.sizes.values())


def parse_metric(text: str) -> Metric:
    """Read `eval/nll/mean`, `aime25/pass@7`, or a benchmark alone (mean@1; of nll: mean).

    Raises:
        UsageError: it is not a metric that can rank.
    """
    parts = text.strip().removeprefix("eval/").split("/")
    benchmark = parts[0]
    name = "/".join(parts[1:]) or ("mean" if benchmark == NLL else "mean@1")
    kind, at, number = name.partition("@")
    if benchmark == NLL:
        known = name in _OF_NLL
    elif at:
        whole = number.isdecimal() and int(number) >= 1
        known = whole and (kind in ("pass", "maj") or name == "mean@1")
    else:
        known = name == "truncated"
    if not benchmark or not known:
        raise UsageError(f"{text!r} is not a metric that can rank a sweep", hint=_FORMS)
    return Metric(benchmark, "mean@1" if name == "pass@1" else name)


def problem_scores(directory: Path, metric: Metric) -> ProblemScores:
    """The scores of one stored evaluation, checked against the total that is stored with them.

    Raises:
        NotFoundError: nothing is stored there.
        DataError: the files are damaged, hold no such metric, or say two different things.
    """
    files = EvalDirectory(directory)
    record = files.scores()
    config = _mapping(record.get("config"))
    totals, sizes = (
        _nll(files, metric) if metric.benchmark == NLL else (_sampled(files, record, metric), None)
    )
    if not totals:
        raise DataError(
            f"{files.scores_path} has no problem with a {metric.name}",
            hint="rank by another --metric, or evaluate with more answers a problem (--n)",
        )
    scores = ProblemScores(
        totals=totals,
        sizes=sizes if sizes is not None else dict.fromkeys(totals, 1.0),
        data=str(_mapping(config.get("data")).get("digest") or ""),
        renderer=str(_mapping(config.get("renderer")).get("digest") or ""),
        settings={key: config.get(key) for key in ("prompt", "sampling")},
    )
    stored = _mapping(record.get("metrics")).get(metric.name)
    # maj@k of fewer answers than were drawn, and truncated, are means of another kind there.
    same_kind = metric.name != "truncated" and not metric.name.startswith("maj@")
    if same_kind and isinstance(stored, (int, float)) and not _agree(float(stored), scores.score):
        raise DataError(
            f"{files.scores_path} says {metric.name} {stored:g} and its "
            f"{'rows' if metric.benchmark == NLL else 'problems'} say {scores.score:.6g}",
            hint="one of them was edited: "
            + (
                "remove the folder of that evaluation, and the same `ot sweep` measures it again"
                if metric.benchmark == NLL
                else "`ot runs regrade` works the scores out from the answers"
            ),
        )
    return scores


def _agree(one: float, other: float) -> bool:
    return math.isfinite(one) and abs(one - other) <= _MOST_APART * max(1.0, abs(other))


def _sampled(files: EvalDirectory, record: Mapping[str, Any], metric: Metric) -> dict[str, float]:
    if metric.name.startswith("maj@"):
        return _votes(files, metric.k)
    scorers: dict[str, Callable[[int, Mapping[str, Any]], float]] = {
        "truncated": lambda answers, entry: _count(entry, "truncated") / answers,
    }

    def right(answers: int, entry: Mapping[str, Any]) -> float:
        return pass_at_k(answers, _count(entry, "correct"), metric.k)

    scorer = scorers.get(metric.name, right)
    found: dict[str, float] = {}
    try:
        for entry in record["problems"]:
            answers = _count(entry, "answers")
            if answers >= metric.k:
                found[str(entry["id"])] = scorer(answers, entry)
    except (KeyError, TypeError, ValueError, UsageError) as error:
        raise DataError(
            f"{files.scores_path} is damaged: its problems: {error}",
            hint="`ot runs regrade` works the scores out again from the answers",
        ) from error
    if any(not 0 <= value <= 1 for value in found.values()):
        raise DataError(
            f"{files.scores_path} is damaged: more answers counted than there are",
            hint="`ot runs regrade` works the scores out again from the answers",
        )
    return found


def _count(entry: Mapping[str, Any], key: str) -> int:
    value = entry[key]
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{key} is {value!r}")
    return value


def _votes(files: EvalDirectory, k: int) -> dict[str, float]:
    found: dict[str, float] = {}
    for problem, by_index in files.samples().items():
        grades = [by_index[index].grade for index in sorted(by_index)]
        votes = [(g.parsed, g.correct) for g in grades if g is not None and g.correct is not None]
        if len(votes) >= k:
            found[problem] = vote_rate(votes, k)
    return found


def _nll(files: EvalDirectory, metric: Metric) -> tuple[dict[str, float], dict[str, float]]:
    """Nats and sizes (tokens or bytes) of each question."""
    totals: dict[str, float] = {}
    sizes: dict[str, float] = {}
    lines = {line.get("row_id"): line for line in read_lines(files.rows_path)}
    for line in lines.values():
        try:
            nats, size = _part(line, metric.name)
            question = str(line["question_id"])
        except (KeyError, TypeError) as error:
            raise DataError(
                f"{files.rows_path} is damaged: a row without {error}",
                hint="remove the folder of that evaluation, and run it again with `ot eval`",
            ) from error
        if size > 0 and math.isfinite(nats):
            totals[question] = totals.get(question, 0.0) + nats
            sizes[question] = sizes.get(question, 0.0) + size
    return totals, sizes


def _part(line: Mapping[str, Any], name: str) -> tuple[float, float]:
    if name == "per_byte":
        return float(line["nats"]), float(line["bytes"])
    if name == "mean":
        return float(line["nats"]), float(line["tokens"])
    thinking = float(line["thinking_nats"] or 0.0), float(line["thinking_tokens"] or 0)
    if name == "thinking" or not thinking[1]:
        return thinking
    return float(line["nats"]) - thinking[0], float(line["tokens"]) - thinking[1]


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
