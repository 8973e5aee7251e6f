"""Common ground: what must agree before the cells of a sweep can be compared at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from openthoughts_cli.sweeps.metric import Metric, ProblemScores
from openthoughts_cli.sweeps.results import CellResult

__all__ = ["Ground", "common_ground"]

# A cell with fewer of the problems than this share would shrink what all others are compared on.
_LEAST_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Ground:
    """The problems that all scored cells share, in a fixed order; those that could not join have
    lost their scores and say why. `comparable` is False where no ranking can be made."""

    results: tuple[CellResult, ...]
    problems: tuple[str, ...]
    comparable: bool
    warnings: tuple[str, ...]


def common_ground(results: Sequence[CellResult], metric: Metric) -> Ground:
    """Find the ground that the scored cells stand on together.

    Held-out NLL is comparable only on the very same rows, and per token only with the same
    renderer. Benchmarks are compared on the problems that all have; a cell with less than half of
    the problems of the others is left out.
    """
    scored = [result.scores for result in results if result.scores is not None]
    if not scored:
        return Ground(tuple(results), (), False, ())
    if not metric.bounded and (reason := _different_rows(scored, metric)):
        return Ground(tuple(results), (), False, (reason,))
    most = max(len(scores.totals) for scores in scored)
    kept = tuple(_with_enough(result, most) for result in results)
    scored = [result.scores for result in kept if result.scores is not None]
    shared = set(scored[0].totals).intersection(*(scores.totals for scores in scored[1:]))
    problems = tuple(sorted(shared))
    warnings = _warnings(scored, metric)
    if not problems:
        text = f"the cells share no problem of {metric.benchmark}: they are not ranked"
        return Ground(kept, (), False, (*warnings, text))
    if len(problems) < most:
        warnings.append(
            f"compared on {len(problems):,} problems that all cells answered, of up to {most:,}"
        )
    return Ground(kept, problems, True, tuple(warnings))


def _with_enough(result: CellResult, most: int) -> CellResult:
    if result.scores is None or len(result.scores.totals) >= _LEAST_SHARE * most:
        return result
    reason = f"it answered {len(result.scores.totals):,} problems, others up to {most:,}"
    return replace(result, scores=None, reason=reason)


def _different_rows(scored: Sequence[ProblemScores], metric: Metric) -> str:
    """Why held-out NLL cannot be compared, or empty text."""
    sets = len({scores.data for scores in scored})
    if sets > 1:
        return (
            f"held-out NLL is not ranked: the cells were measured on {sets} different sets of "
            "held-out rows; name one for all with `held_out:` in the grid, or rank by a benchmark: "
            "--metric"
        )
    if metric.name != "per_byte" and len({scores.renderer for scores in scored}) > 1:
        return (
            "NLL per token is not ranked: the cells cut text into different tokens; "
            "--metric eval/nll/per_byte compares them"
        )
    if any(dict(scores.sizes) != dict(scored[0].sizes) for scores in scored[1:]):
        return (
            "held-out NLL is not ranked: the cells' records differ in which rows they hold, or in "
            "their sizes"
        )
    return ""


def _warnings(scored: Sequence[ProblemScores], metric: Metric) -> list[str]:
    found: list[str] = []
    if len({scores.data for scores in scored}) > 1:
        found.append(
            f"the cells were asked different problems of {metric.benchmark}: only those they share "
            "are compared"
        )
    if len({scores.renderer for scores in scored}) > 1:
        found.append("the renderers differ between cells")
    for key, words in (("prompt", "the prompts differ"), ("sampling", "the sampling differs")):
        if any(scores.settings.get(key) != scored[0].settings.get(key) for scores in scored[1:]):
            found.append(f"{words} between cells: part of a difference may be the evaluation's")
    return found
