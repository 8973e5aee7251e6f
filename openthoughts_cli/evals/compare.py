"""Two stored evaluations, problem by problem: is the difference more than chance?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openthoughts_cli.config.benchmark import NLL
from openthoughts_cli.errors import DataError, UsageError
from openthoughts_cli.evals.estimators import pass_at_k
from openthoughts_cli.evals.paired import PairedResult, paired_difference
from openthoughts_cli.evals.records import EvalDirectory
from openthoughts_cli.evals.shapes import held_out_lines

__all__ = ["Comparison", "compare_evals"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """B against A on the problems that both have.

    `differences` are by metric, B - A (for nll, in nats: below 0 is better). `newly_solved` are the
    problems with no right answer in A and at least one in B; `newly_failed` the reverse (both are
    empty for nll). `warnings` say what makes the two less comparable.
    """

    benchmark: str
    a: Mapping[str, float]
    b: Mapping[str, float]
    differences: Mapping[str, PairedResult]
    newly_solved: tuple[str, ...]
    newly_failed: tuple[str, ...]
    only_in_a: int
    only_in_b: int
    warnings: tuple[str, ...]

    def as_record(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "benchmark": self.benchmark,
            "a": dict(self.a),
            "b": dict(self.b),
            "differences": {
                name: {
                    "difference": result.difference,
                    "interval": None if result.interval is None else result.interval.as_record(),
                    "p_value": result.p_value,
                    "problems": result.problems,
                }
                for name, result in self.differences.items()
            },
            "newly_solved": list(self.newly_solved),
            "newly_failed": list(self.newly_failed),
            "only_in_a": self.only_in_a,
            "only_in_b": self.only_in_b,
            "warnings": list(self.warnings),
        }


def compare_evals(a: Path, b: Path, *, seed: int = 0) -> Comparison:
    """Compare two finished evaluations of one benchmark, given their directories.

    Raises:
        NotFoundError: no scores are stored there.
        UsageError: two different benchmarks.
        DataError: no problem in common.
    """
    first, second = EvalDirectory(a).scores(), EvalDirectory(b).scores()
    names = (str(first.get("benchmark")), str(second.get("benchmark")))
    if names[0] != names[1]:
        raise UsageError(
            f"{a} is of {names[0]} and {b} of {names[1]}: they cannot be compared",
            hint="give two evaluations of one benchmark",
        )
    warnings = _warnings(first.get("config") or {}, second.get("config") or {})
    if names[0] == NLL:
        return _compare_nll(a, b, first, second, warnings, seed)
    return _compare_sampled(first, second, warnings, seed)


def _compare_sampled(
    a: Mapping[str, Any], b: Mapping[str, Any], warnings: tuple[str, ...], seed: int
) -> Comparison:
    left, right = _answered(a), _answered(b)
    common = [name for name in left if name in right]
    if not common:
        raise DataError(
            "the two evaluations have no answered problem in common",
            hint="evaluate both on the same problems",
        )
    scorers: dict[str, Callable[[tuple[int, int]], float]] = {
        "mean@1": lambda counts: counts[1] / counts[0]
    }
    most = min(min(left[name][0], right[name][0]) for name in common)
    for k in sorted(
        {_k_of(name) for name in a.get("metrics", {})}
        & {_k_of(name) for name in b.get("metrics", {})}
    ):
        if 1 < k <= most:
            scorers[f"pass@{k}"] = lambda counts, k=k: pass_at_k(counts[0], counts[1], k)
    return Comparison(
        benchmark=str(a.get("benchmark")),
        a=a.get("metrics", {}),
        b=b.get("metrics", {}),
        differences={
            metric: paired_difference(
                [scorer(left[name]) for name in common],
                [scorer(right[name]) for name in common],
                seed=seed,
            )
            for metric, scorer in scorers.items()
        },
        newly_solved=tuple(n for n in common if not left[n][1] and right[n][1]),
        newly_failed=tuple(n for n in common if left[n][1] and not right[n][1]),
        only_in_a=len(left) - len(common),
        only_in_b=len(right) - len(common),
        warnings=warnings,
    )


def _compare_nll(
    a: Path,
    b: Path,
    first: Mapping[str, Any],
    second: Mapping[str, Any],
    warnings: tuple[str, ...],
    seed: int,
) -> Comparison:
    """Each question's difference in nats, per byte of text where the tokens differ, else per token."""
    left, right = _rows(a), _rows(b)
    common = [name for name in left if name in right]
    if not common:
        raise DataError(
            "the two evaluations have no held-out row in common",
            hint="evaluate both on the held-out rows of one subset: ot eval -b nll --subset NAME",
        )
    same_tokens = all(left[name]["tokens"] == right[name]["tokens"] for name in common)
    metric, size = ("mean", "tokens") if same_tokens else ("per_byte", "bytes")
    questions: dict[str, list[str]] = {}
    for name in common:
        questions.setdefault(left[name]["question_id"], []).append(name)
    # Weighted by size, so that the mean of the differences is the difference of the pooled means.
    mean_size = sum(left[name][size] for name in common) / len(questions)
    return Comparison(
        benchmark=NLL,
        a=first.get("metrics", {}),
        b=second.get("metrics", {}),
        differences={
            metric: paired_difference(
                [sum(left[n]["nats"] for n in names) / mean_size for names in questions.values()],
                [sum(right[n]["nats"] for n in names) / mean_size for names in questions.values()],
                bound=None,
                seed=seed,
            )
        },
        newly_solved=(),
        newly_failed=(),
        only_in_a=len(left) - len(common),
        only_in_b=len(right) - len(common),
        warnings=warnings,
    )


def _answered(scores: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    """Problem -> (graded answers, right ones), of the problems that have any."""
    return {
        entry["id"]: (entry["answers"], entry["correct"])
        for entry in scores.get("problems", [])
        if entry["answers"]
    }


def _rows(directory: Path) -> dict[str, dict[str, Any]]:
    return held_out_lines(EvalDirectory(directory).rows_path)


def _k_of(metric: str) -> int:
    kind, _, number = metric.partition("@")
    return int(number) if kind == "pass" and number.isdecimal() else 0


def _part(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = config.get(name)
    return part if isinstance(part, dict) else {}


def _warnings(a: Mapping[str, Any], b: Mapping[str, Any]) -> tuple[str, ...]:
    """Settings that should agree and do not (the weights are meant to differ)."""
    words = {
        "prompt": "the prompts differ",
        "renderer": "the renderers differ",
        "sampling": "the sampling settings differ",
    }
    found = [text for key, text in words.items() if a.get(key) != b.get(key)]
    if len({bool(_part(config, "sandbox").get("unsafe")) for config in (a, b)}) > 1:
        found.append("one of them ran programs without a sandbox")
    digests = [_part(config, "data").get("digest") for config in (a, b)]
    if digests[0] != digests[1]:
        found.append("the problems differ: only the common ones are compared")
    return tuple(found)
