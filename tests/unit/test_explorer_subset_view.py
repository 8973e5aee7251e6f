"""A subset as the explorer shows it."""

from __future__ import annotations

from pathlib import Path

import pytest

from openthoughts_cli.config.subset import SubsetConfig
from openthoughts_cli.data.subset import build_subset
from openthoughts_cli.data.subset_view import SubsetView, compare_subsets
from openthoughts_cli.errors import NotFoundError
from tests.doubles.rows import PHYSICS, many, record, write
from tests.doubles.tokenizer import byte_model


def _view(tmp_path: Path, name: str, **options: object) -> SubsetView:
    data, model = tmp_path / "data.parquet", tmp_path / "model"
    if not data.exists():
        rows = [*many(60, answers=3), *many(20, source=PHYSICS, domain="science")]
        write(data, [*rows, record("hard", difficulty=7)])
        byte_model(model)
    base = {"dataset": str(data), "tokenizer": str(model), "name": name, "limit": 40}
    return SubsetView(build_subset(SubsetConfig.model_validate({**base, **options})))


def test_rows_lengths_and_composition_are_those_on_disk(tmp_path: Path) -> None:
    view = _view(tmp_path, "a")
    rows = view.subset.rows()
    assert len(view) == 40 and [view.row(i) for i in range(40)] == rows
    assert sum(bar.rows for bar in view.bars("tokens")) == 40
    assert view.percentiles("tokens") == view.subset.metadata["figures"]["percentiles"]["tokens"]
    assert view.composition() == view.subset.metadata["figures"]["composition"]
    assert view.removed() == [] and view.changed_files() == []
    with pytest.raises(NotFoundError, match="rows 0 to 39"):
        view.row(40)


def test_the_split_keeps_questions_together(tmp_path: Path) -> None:
    view = _view(tmp_path, "a")
    train, held_out = view.split(train_fraction=0.75, seed=3)
    assert train.rows + held_out.rows == 40
    assert train.tokens + held_out.tokens == sum(view.columns["tokens"])
    assert train.questions + held_out.questions == len(set(view.columns["question_id"]))


def test_two_subsets_are_compared_by_rows_and_questions(tmp_path: Path) -> None:
    small, large = _view(tmp_path, "small", limit=20), _view(tmp_path, "large", limit=50)
    found = compare_subsets(small, large)
    # A larger limit of the same seed contains the smaller one.
    assert (found.rows, found.rows_in_both) == ((20, 50), 20)
    assert found.questions_in_both == found.questions[0] <= found.questions[1]
    assert found.rows_jaccard == pytest.approx(20 / 50)
    assert sum(pair[0] for pair in found.sources.values()) == 20
    other = _view(tmp_path, "other", source=[PHYSICS])
    apart = compare_subsets(_view(tmp_path, "math", domain=["math"]), other)
    assert apart.rows_in_both == apart.questions_in_both == 0 and apart.rows_jaccard == 0


def test_rows_that_a_benchmark_has_are_listed_with_the_reason(tmp_path: Path) -> None:
    bench = tmp_path / "bench.jsonl"
    bench.write_text('{"question": "Question stackexchange-physics 3?"}\n')
    view = _view(tmp_path, "clean", decontaminate=[str(bench)], limit=80)
    assert view.removed() and all("its question is" in line["reason"] for line in view.removed())


def test_a_changed_file_is_named(tmp_path: Path) -> None:
    view = _view(tmp_path, "a")
    (view.subset.path / "README.md").write_text("other")
    assert view.changed_files() == ["README.md"]
