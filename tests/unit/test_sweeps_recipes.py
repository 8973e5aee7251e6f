"""The sweeps under configs/sweeps/: each one expands, has a small form, and is spoken of in the docs."""

from __future__ import annotations

from pathlib import Path

import pytest

from openthoughts_cli.cli.docs_recipes import recipes_page, with_tables
from openthoughts_cli.config.load import load_config
from openthoughts_cli.config.sweep import SweepConfig
from openthoughts_cli.sweeps.cells import Cell, draft_cells
from openthoughts_cli.sweeps.metric import parse_metric

REPO = Path(__file__).parents[2]
FILES = sorted((REPO / "configs" / "sweeps").glob("*.yaml"))
LOCAL = [file for file in FILES if file.name.endswith(".local.yaml")]
FULL = [file for file in FILES if file not in LOCAL]


def name_of(file: Path) -> str:
    return file.stem


def cells_of(file: Path) -> tuple[SweepConfig, tuple[Cell, ...]]:
    config = load_config(SweepConfig, file=file).config
    return config, draft_cells(config, [file]).cells


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_a_sweep_expands_into_cells_that_differ(file: Path) -> None:
    config, cells = cells_of(file)
    recipes = {cell.recipe for cell in cells}
    assert len(recipes) >= 3
    assert len(cells) == len(recipes) * len(config.seeds)
    assert len({(cell.train.model_dump_json(), cell.subset.name) for cell in cells}) == len(cells)
    assert {cell.recipe for cell in cells if cell.baseline} < recipes
    metric = parse_metric(config.metric)
    assert all(metric.benchmark in cell.train.evals for cell in cells)
    assert draft_cells(config, [file]).held_out is not None  # NLL on common ground
    assert len(config.seeds) >= 2  # the ranking can tell recipes from seeds


@pytest.mark.parametrize("file", LOCAL, ids=name_of)
def test_a_small_form_needs_no_network_and_no_money(file: Path) -> None:
    _, cells = cells_of(file)
    for cell in cells:
        assert cell.train.engine.kind == "local"
        assert cell.train.model == "smollm2-135m"
        assert cell.subset.config is not None
        assert cell.subset.config.dataset == "sample"
        rows = (cell.subset.config.limit or 0) + 4 * (cell.subset.config.questions or 0)
        assert rows * cell.train.epochs <= 256


def test_every_sweep_has_a_small_form_and_its_axes() -> None:
    assert [file.stem for file in FULL] == [file.name.removesuffix(".local.yaml") for file in LOCAL]
    assert [file.stem[0] for file in FULL] == list("12345678")
    for full, local in zip(FULL, LOCAL, strict=True):
        configs = [load_config(SweepConfig, file=file).config for file in (full, local)]
        axes = [{*config.axes, *config.zip} for config in configs]
        assert axes[0] == axes[1], full.stem


def test_the_rows_of_all_cells_of_7_are_equally_many() -> None:
    for file in (FULL[6], LOCAL[6]):
        _, cells = cells_of(file)
        rows = {
            cell.axes["subset.questions"] * cell.axes["subset.answers_per_question"]
            for cell in cells
        }
        assert len(rows) == 1


def test_the_page_speaks_of_every_sweep_and_its_tables_are_fresh() -> None:
    page = (REPO / "docs" / "recipes.md").read_text(encoding="utf-8")
    for file in FULL:
        assert f"`{file.stem}`" in page.split("power: end")[1], file.stem
    assert page == recipes_page(), "run `python -m openthoughts_cli.cli.docs`"
    assert with_tables(page.replace("| 5 |", "| 6 |", 1)) == page
