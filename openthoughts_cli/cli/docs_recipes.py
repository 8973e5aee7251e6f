"""The tables of docs/recipes.md: what each sweep under configs/sweeps/ can tell, at its size.

They stand between two comments in the page; `openthoughts_cli.cli.docs` writes them anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from openthoughts_cli.config.benchmark import NLL, BenchmarkConfig
from openthoughts_cli.config.load import load_config
from openthoughts_cli.config.sweep import SweepConfig
from openthoughts_cli.sweeps.cells import draft_cells
from openthoughts_cli.sweeps.metric import Metric, parse_metric
from openthoughts_cli.sweeps.power import Setting, detectable_difference, problems_needed

__all__ = ["recipes_page", "with_tables"]

_REPOSITORY = Path(__file__).parents[2]
_BEGIN, _END = "<!-- power: begin -->", "<!-- power: end -->"
_SEED_SDS = (0.0, 0.01, 0.02)
_DIFFERENCES = (0.02, 0.05, 0.10, 0.20)
# Problems in a benchmark where a config takes all of them.
_ALL = {"aime25": 30, "gpqa": 198, "livecodebench": 279}


def recipes_page() -> str | None:
    """docs/recipes.md with its tables made anew; None where this is no checkout."""
    page = _REPOSITORY / "docs" / "recipes.md"
    return with_tables(page.read_text(encoding="utf-8")) if page.is_file() else None


def with_tables(page: str) -> str:
    """The page with the tables between its two comments replaced.

    Raises:
        ValueError: it has no such comments.
    """
    head, rest = page.split(_BEGIN)
    _, tail = rest.split(_END)
    return f"{head}{_BEGIN}\n\n{_tables()}\n\n{_END}{tail}"


def _tables() -> str:
    files = sorted((_REPOSITORY / "configs" / "sweeps").glob("*.yaml"))
    rows = [row for file in files if not file.name.endswith(".local.yaml") for row in _sweep(file)]
    sds = [f"seeds' SD {100 * sd:g}" for sd in _SEED_SDS]
    sizes = _table(["sweep", "recipes", "seeds", "by", "problems", "answers", *sds], rows)
    needed = _table(
        ["recipes", "seeds", *(f"{100 * difference:g} points" for difference in _DIFFERENCES)],
        list(_needed()),
    )
    return "\n\n".join(
        [
            "The smallest difference between two recipes, in points, that the ranking claims four "
            "times out of five. SD: how far runs of one recipe scatter over training seeds, in "
            "points; the ranking measures it.",
            sizes,
            "Problems it takes to claim a difference four times out of five, with 4 answers a "
            "problem and runs that scatter by 1 point (SD) over seeds. -: no number of problems is "
            "enough, more seeds are needed.",
            needed,
        ]
    )


def _sweep(file: Path) -> Iterator[list[str]]:
    config = load_config(SweepConfig, file=file).config
    cells = draft_cells(config, [file]).cells
    metric = parse_metric(config.metric)
    metrics = [metric] if metric.benchmark != NLL else [parse_metric("aime25")]
    evals: Mapping[str, BenchmarkConfig] = cells[0].train.evals
    for one in metrics:
        problems, answers = _size(evals[one.benchmark], one)
        settings: dict[str, Any] = {
            "cells": len({cell.recipe for cell in cells}),
            "seeds": len(config.seeds),
            "answers": answers,
        }
        seen = [
            f"{100 * detectable_difference(Setting(**settings, seed_sd=sd), problems):.1f}"
            for sd in _SEED_SDS
        ]
        counts = [settings["cells"], settings["seeds"], one.key, problems, answers]
        yield [f"`{file.stem}`", *map(str, counts), *seen]


def _size(settings: BenchmarkConfig, metric: Metric) -> tuple[int, int]:
    whole = _ALL[metric.benchmark]
    return min(settings.limit or whole, whole), settings.n


def _needed() -> Iterator[list[str]]:
    for cells in (2, 5, 8):
        for seeds in (1, 3, 5):
            setting = Setting(cells=cells, seeds=seeds, answers=4, seed_sd=0.01)
            found = [problems_needed(setting, difference) for difference in _DIFFERENCES]
            shown = ["-" if count is None else f"{count:,}" for count in found]
            yield [str(cells), str(seeds), *shown]


def _table(columns: list[str], rows: list[list[str]]) -> str:
    rule = ["---" if name in ("sweep", "by") else "---:" for name in columns]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [columns, rule, *rows])
