"""One ranking that one can defend: which recipe is better, by how much, and what cannot be told."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

import numpy as np

from openthoughts_cli.config.benchmark import NLL
from openthoughts_cli.errors import NotFoundError, UsageError
from openthoughts_cli.sweeps.effects import main_effects
from openthoughts_cli.sweeps.ground import Ground, common_ground
from openthoughts_cli.sweeps.layout import Sweep
from openthoughts_cli.sweeps.leaderboard import Entry, Leaderboard, Pairs, Versus
from openthoughts_cli.sweeps.max_test import ALPHA, MaxTest, max_test, rank_ranges
from openthoughts_cli.sweeps.metric import Metric, parse_metric
from openthoughts_cli.sweeps.results import At, CellResult, measured, read_cell
from openthoughts_cli.sweeps.seeds import (
    FloatArray,
    SeedNoise,
    difference_interval,
    estimand_of,
    recipe_interval,
    seed_noise,
)
from openthoughts_cli.words import AFTER_SENTENCE, did_you_mean

__all__ = ["rank_sweep"]


def rank_sweep(
    sweep: Sweep,
    *,
    metric: str | None = None,
    at: At = "final",
    baseline: str | None = None,
    seed: int = 0,
) -> Leaderboard:
    """Rank the recipes of a sweep as it stands now.

    Args:
        metric: such as `eval/aime25/pass@7`; unset, the sweep's own.
        at: "final": the last weights of each run; "best": those of its best checkpoint, chosen by
            held-out NLL alone.
        baseline: the recipe that the others are compared with; unset, the sweep's own, or its
            first one.
        seed: of the permutation test.

    Raises:
        UsageError: the metric cannot rank, or --at best with a metric of the held-out rows.
        NotFoundError: there is no such recipe, or no cell was measured by the metric.
    """
    wanted = parse_metric(metric or sweep.metric or f"eval/{NLL}/mean")
    _check_rule(wanted, at)
    results = _read(sweep, wanted, at)
    _check_measured(results, wanted)
    ground = common_ground(results, wanted)
    entries = _entries(ground.results)
    named = _baseline(entries, baseline or sweep.baseline)
    warnings = [*ground.warnings, *_missing(ground.results)]
    chosen = [entry for entry in entries if entry.ranked]
    if not ground.comparable or not chosen:
        return Leaderboard(
            sweep.name, wanted, at, named, tuple(entries), (), 0, None, (), tuple(warnings)
        )
    return _ranked(sweep.name, wanted, at, named, entries, chosen, ground, warnings, seed)


def _read(sweep: Sweep, metric: Metric, at: At) -> list[CellResult]:
    """All cells' results; polars parses logs without holding the interpreter, so several at once."""
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1), "ot-read") as pool:
        return list(pool.map(partial(read_cell, metric=metric, at=at), sweep.cells))


class _Table(NamedTuple):
    """Scores of the recipes that are ranked: each (seeds, problems), weighted to a plain mean."""

    recipes: list[FloatArray]
    sizes: FloatArray | None
    noise: SeedNoise | None


def _ranked(
    name: str,
    metric: Metric,
    at: At,
    baseline: str,
    entries: Sequence[Entry],
    chosen: Sequence[Entry],
    ground: Ground,
    warnings: list[str],
    seed: int,
) -> Leaderboard:
    table = _table(chosen, ground, metric)
    test = max_test(table.recipes, table.noise, seed=seed)
    ranges = rank_ranges(test, higher_is_better=metric.higher_is_better)
    means = [float(scores.mean()) for scores in table.recipes]
    order = sorted(
        range(len(chosen)), key=lambda i: -means[i] if metric.higher_is_better else means[i]
    )
    base = next((i for i, entry in enumerate(chosen) if entry.recipe == baseline), None)
    if base is None:
        warnings.append(f"the baseline {baseline} has no score: nothing is compared with it")
    best = order[0]
    ranked = [
        Entry(
            chosen[i].recipe,
            chosen[i].axes,
            chosen[i].results,
            score=means[i],
            interval=recipe_interval(table.recipes[i], table.noise, sizes=table.sizes),
            rank=ranges[i],
            tied=i != best and bool(test.p_value[best, i] > ALPHA),
            versus=None
            if base is None or base == i
            else _versus(table, base, i, float(test.p_value[base, i]), metric),
        )
        for i in order
    ]
    effects = main_effects(
        [entry.axes for entry in chosen], table.recipes, table.noise, bounded=metric.bounded
    )
    rest = [entry for entry in entries if not entry.ranked]
    return Leaderboard(
        sweep=name,
        metric=metric,
        at=at,
        baseline=baseline,
        entries=(*ranked, *rest),
        effects=tuple(effects),
        problems=len(ground.problems),
        winner=next((e.recipe for e in ranked if e.rank == (1, 1)), None)
        if len(ranked) > 1
        else None,
        notes=_notes(metric, at, ground, table, test.draws),
        warnings=tuple(warnings),
        pairs=_pairs([chosen[i].recipe for i in order], order, test),
    )


def _pairs(recipes: Sequence[str], order: Sequence[int], test: MaxTest) -> Pairs:
    def ordered(values: FloatArray) -> tuple[tuple[float, ...], ...]:
        rows: list[list[float]] = values[np.ix_(order, order)].tolist()
        return tuple(map(tuple, rows))

    return Pairs(tuple(recipes), ordered(test.difference), ordered(test.p_value))


def _table(chosen: Sequence[Entry], ground: Ground, metric: Metric) -> _Table:
    names = ground.problems
    first = chosen[0].ranked[0].scores
    assert first is not None
    sizes = None
    mean_size = 1.0
    if not metric.bounded:
        weights = np.asarray([first.sizes[name] for name in names])
        mean_size = float(weights.mean())
        sizes = weights / mean_size
    recipes = [
        np.asarray(
            [
                [result.scores.totals[name] / mean_size for name in names]
                for result in entry.ranked
                if result.scores is not None
            ]
        )
        for entry in chosen
    ]
    return _Table(recipes, sizes, seed_noise(recipes))


def _versus(table: _Table, base: int, i: int, p_value: float, metric: Metric) -> Versus:
    one, other = table.recipes[base], table.recipes[i]
    differences = other.mean(axis=0) - one.mean(axis=0)
    interval = difference_interval(
        differences, table.noise, 1 / len(one) + 1 / len(other), bounded=metric.bounded
    )
    return Versus(float(differences.mean()), interval, p_value)


def _entries(results: Sequence[CellResult]) -> list[Entry]:
    grouped: dict[str, list[CellResult]] = {}
    for result in results:
        grouped.setdefault(result.cell.recipe, []).append(result)
    return [Entry(name, some[0].cell.axes, tuple(some)) for name, some in grouped.items()]


def _baseline(entries: Sequence[Entry], name: str | None) -> str:
    recipes = [entry.recipe for entry in entries]
    if name is None:
        return recipes[0] if recipes else ""
    name = name if name in recipes else name.replace(", ", ",")  # as tables show it
    if name not in recipes:
        raise NotFoundError(
            f"the sweep has no recipe {name!r}{did_you_mean(name, recipes, AFTER_SENTENCE)}",
            hint=f"recipes: {', '.join(recipes[:12])}",
        )
    return name


def _check_rule(metric: Metric, at: At) -> None:
    if at == "best" and metric.benchmark == NLL:
        raise UsageError(
            "the best checkpoint is chosen by held-out NLL, so its held-out NLL cannot rank it: "
            "the choice would flatter whoever was measured most often",
            hint="rank the final weights (--at final), or by a benchmark: --metric",
        )


def _check_measured(results: Sequence[CellResult], metric: Metric) -> None:
    """Refuse a metric of a benchmark that no finished cell has, naming those that there are."""
    runs = [r.cell.run for r in results if r.cell.state == "done" and r.cell.run is not None]
    if not runs or any((run.path / "evals" / metric.benchmark).is_dir() for run in runs):
        return
    there = sorted(
        {f"eval/{name}/{key}" for run in runs[:8] for name, m in measured(run).items() for key in m}
    )
    raise NotFoundError(
        f"no cell of the sweep was measured by {metric.key}"
        f"{did_you_mean(metric.key, there, AFTER_SENTENCE)}",
        hint=f"measured: {', '.join(there) or 'nothing'}",
    )


def _missing(results: Sequence[CellResult]) -> list[str]:
    left = sum(result.scores is None for result in results)
    return (
        [f"{left} of {len(results)} cells have no score here; why is listed with them"]
        if left
        else []
    )


def _notes(metric: Metric, at: At, ground: Ground, table: _Table, draws: int) -> tuple[str, ...]:
    noise = table.noise
    units = "questions" if metric.benchmark == NLL else "problems"
    better = "higher" if metric.higher_is_better else "lower"
    of = "the final weights" if at == "final" else "the best checkpoint by held-out NLL"
    notes = [
        f"{metric.key} of {of}, {better} is better; the mean over {len(ground.problems):,} {units} "
        "that all cells share"
        + ("" if noise is None else ", and over seeds")
        + f". Intervals: 95%, for {estimand_of(noise, bounded=metric.bounded)}."
    ]
    if noise is None:
        notes.append(
            "One seed a recipe: what is claimed is of these weights; another seed may rank "
            "otherwise (seeds: [0, 1, 2] in the grid measures it)."
        )
    else:
        scale, unit = (100, " points") if metric.bounded else (1, "")
        notes.append(
            f"Runs of one recipe differ by a standard deviation of "
            f"{scale * math.sqrt(noise.variance):.3g}{unit} over seeds "
            f"({noise.degrees} degrees of freedom, pooled over recipes)."
        )
    if len(table.recipes) > 1:
        pairs = len(table.recipes) * (len(table.recipes) - 1) // 2
        notes.append(
            f"Ranks are ranges: recipes that cannot be told apart at {ALPHA:.0%} in all {pairs:,} "
            f"pairs together (max-statistic permutation test, {draws:,} draws) are ties. p is adjusted "
            "in the same way; each interval is of its own difference alone."
        )
    return tuple(notes)
