"""Looking into a subset and into rows that are none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from openthoughts_cli.config.subset import SubsetConfig
from openthoughts_cli.data.inspect import inspect_rows, mask_rows
from openthoughts_cli.data.subset import Subset, build_subset
from openthoughts_cli.errors import DataError, NotFoundError
from tests.doubles.rows import MATH, PHYSICS, many, record, write
from tests.doubles.tokenizer import byte_model


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return byte_model(tmp_path / "model")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rows = [*many(60), *many(20, source=PHYSICS, domain="science"), record("q", "\\boxed{1}")]
    return write(tmp_path / "rows.parquet", [*rows, record("q", "\\boxed{1}")])


@pytest.fixture
def subset(data: Path, model: Path, tmp_path: Path) -> Subset:
    config = SubsetConfig(
        dataset=str(data), tokenizer=str(model), name="it", output_dir=tmp_path / "subsets"
    )
    return build_subset(config)


def test_a_subset_is_described_by_its_own_rows(subset: Subset) -> None:
    seen = inspect_rows("it", root=subset.path.parent, samples=4)
    assert seen.kind == "subset" and seen.problem is None and seen.digest == subset.digest
    assert seen.num_rows == seen.figures["rows"] == 82
    assert seen.figures["copies"] == 1
    assert seen.figures["shares"] == {"closed": 80 / 82, "boxed": 2 / 82}
    assert seen.figures["composition"]["source"] == {MATH: 62, PHYSICS: 20}
    lengths = [row.tokens for _, row in seen.shown]
    percentiles = seen.figures["percentiles"]["tokens"]
    assert lengths == sorted(lengths) and len(lengths) == 4
    assert (lengths[0], lengths[-1]) == (percentiles["min"], percentiles["max"])
    assert sum(bar["rows"] for bar in seen.figures["token_bars"]) == 82
    json.dumps(seen.record())


def test_a_row_is_shown_by_its_number(subset: Subset, data: Path, model: Path) -> None:
    seen = inspect_rows(str(subset.path), row=5)
    assert [(index, row) for index, row in seen.shown] == [(5, subset.rows()[5])]
    with pytest.raises(NotFoundError, match="rows 0 to 81"):
        inspect_rows(str(subset.path), row=82)
    raw = inspect_rows(str(data), row=61, tokenizer=str(model))
    ((index, row),) = raw.shown
    assert index == 61 and row.source == PHYSICS and row.tokens > 20
    with pytest.raises(NotFoundError, match="rows 0 to 81"):
        inspect_rows(str(data), row=82, tokenizer=str(model))


def test_rows_that_are_no_subset_are_described_too(data: Path, model: Path) -> None:
    seen = inspect_rows(str(data), tokenizer=str(model), samples=5)
    assert seen.kind == "rows" and seen.num_rows == 82 and seen.digest is None
    assert seen.labels == {(MATH, "math"): 62, (PHYSICS, "science"): 20}
    for index, row in seen.shown:
        ((_, same),) = inspect_rows(str(data), row=index, tokenizer=str(model)).shown
        assert same.answer == row.answer and same.tokens == row.tokens


def test_a_malformed_row_says_why(tmp_path: Path, model: Path) -> None:
    bad = record() | {"conversations": []}
    data = write(tmp_path / "bad.parquet", [record(), bad])
    with pytest.raises(DataError, match=r"row 1 of .* is malformed: empty conversation"):
        inspect_rows(str(data), row=1, tokenizer=str(model))
    assert inspect_rows(str(data), tokenizer=str(model)).funnel["malformed"] == 1


def test_rows_changed_on_disk_are_shown_with_the_problem(subset: Subset) -> None:
    file = next((subset.path / "dataset").glob("*.arrow"))
    file.write_bytes(file.read_bytes().replace(b"it is", b"it iz", 1))
    seen = inspect_rows(str(subset.path))
    assert seen.problem is not None and "another content" in seen.problem
    assert seen.num_rows == 82


def test_the_mask_covers_the_answer_and_its_end_alone(subset: Subset, model: Path) -> None:
    seen = inspect_rows(str(subset.path), samples=3)
    for masked, (index, row) in zip(mask_rows(seen), seen.shown, strict=True):
        loss = "".join(text for text, carries in masked.pieces if carries)
        free = "".join(text for text, carries in masked.pieces if not carries)
        assert masked.index == index
        assert loss == row.answer + "<|im_end|>"
        assert free.endswith(row.question + "<|im_end|>\n<|im_start|>assistant\n")
        assert masked.prompt_tokens + masked.loss_tokens == row.tokens


def test_an_unknown_name_names_the_subsets(subset: Subset) -> None:
    with pytest.raises(NotFoundError, match=r"those in .*: it"):
        inspect_rows("itt", root=subset.path.parent)
