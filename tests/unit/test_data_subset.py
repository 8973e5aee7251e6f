"""The subset directory: whole or not there, found again, checked."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from openthoughts_cli.config.subset import SubsetConfig
from openthoughts_cli.data.card import fenced, spread_over_lengths
from openthoughts_cli.data.figures import percentiles, token_bars
from openthoughts_cli.data.subset import (
    Subset,
    build_subset,
    load_subset,
    preview_subset,
    subset_names,
)
from openthoughts_cli.errors import (
    ConflictError,
    DataError,
    EmptyResultError,
    IntegrityError,
    NotFoundError,
)
from openthoughts_cli.events import Event, Notice, StageDone
from tests.doubles.rows import MATH, PHYSICS, many, record, write
from tests.doubles.tokenizer import byte_model

Make = Callable[..., SubsetConfig]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A config over 120 rows of two sources with a tiny tokenizer of its own."""
    rows = [*many(80), *many(40, source=PHYSICS, domain="science")]
    data = write(tmp_path / "data" / "rows.parquet", rows)
    model = byte_model(tmp_path / "model")

    def config(**values: Any) -> SubsetConfig:
        base: dict[str, Any] = {
            "dataset": str(data),
            "tokenizer": str(model),
            "output_dir": tmp_path / "subsets",
        }
        return SubsetConfig.model_validate({**base, "name": "it", "limit": 20, **values})

    return config


def _tree(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_a_subset_is_written_with_all_its_parts(make: Make) -> None:
    subset = build_subset(make(source="openmath"))
    assert sorted(path.name for path in subset.path.iterdir()) == [
        "README.md",
        "config.json",
        "dataset",
        "lengths.png",
        "metadata.json",
        "samples",
    ]
    assert len(list((subset.path / "samples").iterdir())) == 10
    rows = subset.rows()
    assert len(rows) == 20 and {row.source for row in rows} == {MATH}
    assert subset.metadata["figures"]["rows"] == 20
    assert subset.metadata["funnel"]["source"] == 40
    assert subset.digest in (subset.path / "README.md").read_text()
    assert subset.frame().columns[:4] == ["difficulty", "source", "domain", "conversations"]
    assert subset.frame()["tokens"].to_list() == [row.tokens for row in rows]


def test_the_saved_config_repeats_the_cut(make: Make, tmp_path: Path) -> None:
    first = build_subset(make(max_tokens=110, seed=3))
    saved: dict[str, Any] = json.loads((first.path / "config.json").read_text())
    again = build_subset(
        SubsetConfig.model_validate({**saved, "output_dir": tmp_path / "elsewhere"})
    )
    assert again.digest == first.digest
    assert _tree(again.path / "dataset") == _tree(first.path / "dataset")
    assert _tree(again.path / "samples") == _tree(first.path / "samples")


def test_the_same_digest_comes_from_one_file_and_from_many(make: Make, tmp_path: Path) -> None:
    rows = [*many(80), *many(40, source=PHYSICS, domain="science")]
    for i in range(4):
        write(tmp_path / "parts" / f"{i}.parquet", rows[i::4])
    one = build_subset(make())
    events: list[Event] = []
    four = build_subset(make(dataset=str(tmp_path / "parts")), listener=events.append)
    assert four.digest == one.digest and four.reused
    assert any(isinstance(event, Notice) and "holds these rows" in event.text for event in events)


def test_an_equal_subset_is_used_without_reading_the_rows_again(make: Make) -> None:
    first = build_subset(make())
    before = _tree(first.path)
    events: list[Event] = []
    again = build_subset(make(), listener=events.append)
    assert again.reused and again.digest == first.digest and _tree(first.path) == before
    assert not any(isinstance(event, StageDone) for event in events)


def test_another_subset_of_that_name_is_refused_and_can_be_replaced(make: Make) -> None:
    first = build_subset(make(limit=20))
    with pytest.raises(ConflictError, match=r"limit 20 -> 30") as caught:
        build_subset(make(limit=30))
    assert "--force" in (caught.value.hint or "")
    assert load_subset(str(first.path)).digest == first.digest
    assert len(build_subset(make(limit=30), force=True).rows()) == 30
    assert [path.name for path in first.path.parent.iterdir()] == ["it"]


def _aged(subset: Subset, *keys: str) -> None:
    """Make a subset look as if it had been cut before these keys of the config came."""
    path = subset.path / "metadata.json"
    record: dict[str, Any] = json.loads(path.read_text())
    for key in keys:
        del record["choice"][key]
        record["config"].pop(key, None)
    path.write_text(json.dumps({**record, "request": "of a format that is gone"}))


def test_a_subset_from_before_a_key_came_was_cut_as_its_default_says(make: Make) -> None:
    first = build_subset(make())
    _aged(first, "where", "dedup", "mix", "mix_by", "order")
    again = build_subset(make())
    assert again.reused and again.digest == first.digest
    with pytest.raises(ConflictError, match=r"another subset: dedup none -> exact$"):
        build_subset(make(dedup="exact"))


def test_a_subset_of_unknown_tokens_is_another_one(make: Make) -> None:
    _aged(build_subset(make()), "tokenizer_digest")
    with pytest.raises(ConflictError, match="another subset: tokenizer_digest None -> "):
        build_subset(make())


def test_changed_data_is_refused(make: Make, tmp_path: Path) -> None:
    build_subset(make())
    write(tmp_path / "data" / "rows.parquet", many(90))
    with pytest.raises(ConflictError, match="whose rows were others"):
        build_subset(make())


def test_a_directory_that_is_no_subset_is_never_replaced(make: Make, tmp_path: Path) -> None:
    mine = tmp_path / "subsets" / "it" / "thesis.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("years of work")
    for force in (False, True):
        with pytest.raises(ConflictError, match="is not a subset"):
            build_subset(make(), force=force)
    assert mine.read_text() == "years of work"


def test_an_empty_result_shows_the_funnel_and_writes_nothing(make: Make, tmp_path: Path) -> None:
    with pytest.raises(EmptyResultError, match=r"120 rows read; too long 120") as caught:
        build_subset(make(max_tokens=2))
    assert "raise --max-tokens" in (caught.value.hint or "")
    with pytest.raises(EmptyResultError, match="other domain 120") as caught:
        build_subset(make(domain="code"))
    assert MATH in (caught.value.hint or "")
    assert not (tmp_path / "subsets").exists()


def test_fewer_rows_than_asked_for_is_a_warning(make: Make) -> None:
    events: list[Event] = []
    subset = build_subset(make(limit=500), listener=events.append)
    (warning,) = [e for e in events if isinstance(e, Notice) and e.level == "warning"]
    assert warning.text.startswith("120 rows passed, 500 were asked for")
    assert len(subset.rows()) == 120


def test_an_unknown_source_names_those_there_are(make: Make) -> None:
    with pytest.raises(NotFoundError, match=PHYSICS) as caught:
        build_subset(make(source="openmaht"))
    assert "did you mean openmath?" in (caught.value.hint or "")


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_an_interrupt_at_any_event_leaves_nothing(
    make: Make, tmp_path: Path, error: type[BaseException]
) -> None:
    heard: list[Event] = []
    preview_subset(make(), listener=heard.append)
    for stop_at in range(len(heard)):
        countdown = iter([*[None] * stop_at, error()])

        def stop(event: Event, countdown: Any = countdown) -> None:
            if (raised := next(countdown, None)) is not None:
                raise raised

        with pytest.raises(error):
            build_subset(make(), listener=stop)
        assert not (tmp_path / "subsets").exists()


def test_rows_changed_on_disk_are_noticed(make: Make) -> None:
    subset = build_subset(make())
    file = next((subset.path / "dataset").glob("*.arrow"))
    data = file.read_bytes()
    file.write_bytes(data.replace(b"it is", b"it iz", 1))
    with pytest.raises(IntegrityError, match="another content than its id says"):
        load_subset(str(subset.path)).rows()
    with pytest.raises(IntegrityError):
        build_subset(make())
    assert len(build_subset(make(), force=True).rows()) == 20
    metadata = subset.path / "metadata.json"
    metadata.write_text(metadata.read_text().replace(subset.digest, "0" * 32))
    with pytest.raises(IntegrityError, match="the digest differs"):
        load_subset(str(subset.path)).rows()


def test_a_damaged_subset_says_which_file(make: Make) -> None:
    subset = build_subset(make())
    file = next((subset.path / "dataset").glob("*.arrow"))
    whole = file.read_bytes()
    for damage in (b"", whole[:100], whole[: len(whole) // 2]):
        file.write_bytes(damage)
        with pytest.raises(DataError, match=r"\.arrow is not a whole Arrow file"):
            load_subset(str(subset.path)).rows()
    file.unlink()
    with pytest.raises(DataError, match="is missing"):
        load_subset(str(subset.path)).rows()
    (subset.path / "metadata.json").write_text('{"format": 1')
    with pytest.raises(DataError, match="is not the record of a subset"):
        load_subset(str(subset.path))
    (subset.path / "metadata.json").write_text('{"format": 99, "digest": ""}')
    with pytest.raises(DataError, match="of format 99"):
        load_subset(str(subset.path))


def test_a_name_that_does_not_exist_names_those_that_do(make: Make, tmp_path: Path) -> None:
    root = tmp_path / "subsets"
    with pytest.raises(NotFoundError, match="holds none yet"):
        load_subset("it", root=root)
    build_subset(make(name="first"))
    build_subset(make(name="second"))
    assert subset_names(root) == ["first", "second"]
    with pytest.raises(NotFoundError, match="first, second") as caught:
        load_subset("frist", root=root)
    assert "did you mean first?" in (caught.value.hint or "")
    assert load_subset("first", root=root) == load_subset(str(root / "first"))


def test_a_moved_and_renamed_subset_is_the_same(make: Make, tmp_path: Path) -> None:
    subset = build_subset(make())
    shutil.move(subset.path, tmp_path / "another_name_t1_n1")
    moved = load_subset(str(tmp_path / "another_name_t1_n1"))
    assert moved.digest == subset.digest and len(moved.rows()) == 20


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_datasets_loads_what_was_written(make: Make) -> None:
    import datasets

    subset = build_subset(make(limit=110))
    loaded: Any = datasets.load_from_disk(str(subset.path / "dataset"))
    assert loaded.num_rows == 110
    text = datasets.Value("string")
    assert loaded.features["conversations"] == datasets.List({"from": text, "value": text})
    assert loaded.features["difficulty"] == datasets.Value("int64")
    assert loaded.data.schema.field("row_id").type == pa.string()
    row = subset.rows()[7]
    assert loaded[7]["row_id"] == row.row_id
    assert loaded[7]["conversations"] == [
        {"from": "human", "value": row.question},
        {"from": "gpt", "value": row.answer},
    ]
    mapped = loaded.map(lambda r: {"more": r["tokens"] + 1}).filter(lambda r: r["more"] > 5)
    assert mapped.num_rows > 0


def test_text_in_a_sample_page_cannot_leave_its_fence() -> None:
    text = "see:\n```python\nprint()\n```\n````\nend"
    page = fenced(text)
    fence = page.split("text", 1)[0]
    assert fence == "`" * 5
    assert page == f"{fence}text\n{text}\n{fence}\n"


def test_samples_run_from_the_shortest_to_the_longest() -> None:
    tokens = [5, 3, 9, 1, 7, 8, 2, 6, 4, 0, 10, 11]
    indices = spread_over_lengths(tokens, 4)
    assert [tokens[i] for i in indices] == [0, 4, 7, 11]
    assert spread_over_lengths(tokens[:3], 4) == [1, 0, 2]
    assert spread_over_lengths([], 4) == []
    assert spread_over_lengths(tokens, 0) == []


def test_percentiles_are_lengths_of_real_rows() -> None:
    assert percentiles([4, 1, 3, 2]) == {
        "min": 1, "p5": 1, "p25": 1, "p50": 2, "p75": 3, "p95": 4, "max": 4
    }  # fmt: skip
    assert percentiles([]) == {}


def test_the_histogram_holds_every_value_in_round_bars() -> None:
    values = [0, 49, 50, 120, 999]
    bars = token_bars(values)
    assert sum(bar.rows for bar in bars) == 5 and len(bars) <= 12
    assert bars[0].low == 0 and bars[-1].high > 999
    assert token_bars([7]) == [(7, 8, 1)]
    assert token_bars([]) == []


def test_a_role_name_is_stored_as_it_was(make: Make, tmp_path: Path) -> None:
    data = write(tmp_path / "roles.parquet", [record(role="assistant")])
    subset = build_subset(make(dataset=str(data)))
    turns = subset.frame()["conversations"][0].to_list()
    assert [turn["from"] for turn in turns] == ["human", "assistant"]
