"""What stands in a subset's directory: the card, the picture, what was left out, and that it is whole."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from openthoughts_cli.config.subset import SubsetConfig
from openthoughts_cli.data.card_header import header_text, merged_header, split_header
from openthoughts_cli.data.corpus import Corpus, Part
from openthoughts_cli.data.subset import build_subset, default_name, load_subset
from openthoughts_cli.data.subset_files import changed_files
from openthoughts_cli.errors import (
    BrokenFileError,
    ConflictError,
    DataError,
    IntegrityError,
    SchemaError,
)
from openthoughts_cli.events import Event
from tests.doubles.rows import PHYSICS, many, write
from tests.doubles.tokenizer import byte_model

Make = Callable[..., SubsetConfig]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    for i in range(3):
        write(tmp_path / "rows" / f"part-{i}.parquet", many(20, source=PHYSICS, domain="science"))
    model = byte_model(tmp_path / "model")

    def config(**values: Any) -> SubsetConfig:
        base: dict[str, Any] = {
            "dataset": str(tmp_path / "rows"),
            "tokenizer": str(model),
            "output_dir": tmp_path / "subsets",
            "name": "it",
            "limit": 50,
        }
        return SubsetConfig.model_validate({**base, **values})

    return config


def test_the_cards_header_is_what_the_hub_reads(make: Make) -> None:
    text = (build_subset(make()).path / "README.md").read_text()
    header, body = split_header(text)
    assert header["configs"] == [
        {
            "config_name": "default",
            "data_files": [{"split": "train", "path": "dataset/*.arrow"}],
        }
    ]
    assert header["size_categories"] == ["n<1K"] and "science" in header["tags"]
    assert "license" not in header  # of rows from anywhere nobody can say
    assert body.lstrip().startswith("# it") and "lengths.png" in body


def test_the_card_is_valid_for_the_hub_library(make: Make) -> None:
    from huggingface_hub import DatasetCard

    card = DatasetCard.load(build_subset(make()).path / "README.md")
    assert card.data.to_dict()["pretty_name"] == "it"


def test_headers_of_several_subsets_are_joined() -> None:
    theirs: dict[str, Any] = {
        "license": "mit",
        "tags": ["mine"],
        "size_categories": ["10K<n<100K"],
        "configs": [{"config_name": "b", "data_files": "x"}],
    }
    ours: dict[str, Any] = {
        "license": "apache-2.0",
        "tags": ["openthoughts"],
        "size_categories": ["n<1K"],
        "configs": [{"config_name": "a", "data_files": "y"}],
    }
    merged = merged_header(theirs, ours)
    assert merged["license"] == "mit" and merged["tags"] == ["mine", "openthoughts"]
    assert merged["size_categories"] == ["10K<n<100K"]
    assert [entry["config_name"] for entry in merged["configs"]] == ["a", "b"]
    assert split_header(header_text(merged) + "text") == (merged, "text")
    assert split_header("no header") == ({}, "no header")
    with pytest.raises(ValueError, match="no mapping"):
        split_header("---\n- a\n---\n")


def test_the_files_written_are_those_found_when_it_is_loaded(make: Make) -> None:
    path = build_subset(make()).path
    subset = load_subset(str(path))
    assert changed_files(path, subset.metadata) == []
    assert set(subset.metadata["files"]) >= {"lengths.png", "config.json", "samples/01.md"}
    (path / "samples" / "01.md").write_text("other")
    assert changed_files(path, subset.metadata) == ["samples/01.md"]
    file = next((path / "dataset").glob("*.arrow"))
    file.write_bytes(file.read_bytes().replace(b"it is", b"it iz", 1))
    with pytest.raises(IntegrityError, match="not those that were written"):
        subset.frame()
    with pytest.raises(IntegrityError):
        subset.rows()


@pytest.mark.parametrize("damage", ["half", "empty", "text", "page", "columns"])
def test_a_bad_file_is_named_and_refused_or_left_out_and_recorded(
    make: Make, tmp_path: Path, damage: str
) -> None:
    bad = tmp_path / "rows" / "part-1.parquet"
    whole = bad.read_bytes()
    if damage == "columns":
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.table({"text": ["a"]}), bad)
    else:
        middle = bytearray(whole)
        middle[len(whole) // 8 : len(whole) // 2] = bytes(len(whole) // 2 - len(whole) // 8)
        bad.write_bytes(
            {
                "half": whole[: len(whole) // 2],
                "empty": b"",
                "text": b"not parquet at all",
                "page": bytes(middle),
            }[damage]
        )
    expected = SchemaError if damage == "columns" else BrokenFileError
    with pytest.raises(expected, match=r"part-1\.parquet"):
        build_subset(make())
    assert not (tmp_path / "subsets").exists()
    heard: list[Event] = []
    subset = build_subset(make(skip_bad_files=True), listener=heard.append)
    assert len(subset.rows()) == 40
    (record,) = subset.metadata["dataset"]["bad_files"]
    assert record["name"] == "part-1.parquet" and "part-1.parquet" in record["reason"]
    assert "part-1.parquet" in (subset.path / "README.md").read_text()
    assert any("left out: part-1.parquet" in getattr(event, "text", "") for event in heard)
    again = build_subset(make(skip_bad_files=True))
    assert again.reused and again.digest == subset.digest
    bad.unlink()  # the rows that were chosen are those of the other files
    assert build_subset(make(name="other")).digest == subset.digest


def test_bad_files_alone_are_no_data(make: Make, tmp_path: Path) -> None:
    for file in (tmp_path / "rows").iterdir():
        file.write_bytes(b"bad")
    with pytest.raises(DataError, match="no rows") as caught:
        build_subset(make(skip_bad_files=True))
    assert "not a whole parquet file" in str(caught.value.hint)


def test_a_first_look_stands_in_the_default_name(make: Make) -> None:
    from collections import Counter

    config = make(name=None)
    parts = (Part("a", Path("a"), 1, 1), Part("b", Path("b"), 1, 1))
    whole = Corpus("x/y", "hub", parts, "c" * 40)
    looked = Corpus("x/y", "hub", parts, "c" * 40, Counter({"first look": 83}))
    assert default_name(config, whole) == config.default_name()
    assert default_name(config, looked) == f"{config.default_name()}_look2of85"
    assert looked.describe()["first_look"] == {"files_read": 2, "files_holding": 85}


CUT = """
import json, sys, time
from openthoughts_cli.config.subset import SubsetConfig
from openthoughts_cli.data import subset
from openthoughts_cli.errors import ConflictError
config = SubsetConfig.model_validate_json(sys.argv[1])
print("ready", flush=True)
time.sleep(max(float(sys.argv[2]) - time.time(), 0))
try:
    made = subset.build_subset(config)
    print(json.dumps({"digest": made.digest, "reused": made.reused}))
except ConflictError as error:
    print(json.dumps({"conflict": error.message}))
"""


def _at_once(configs: list[SubsetConfig]) -> list[dict[str, Any]]:
    start = str(time.time() + 4)
    children = [
        subprocess.Popen(
            [sys.executable, "-c", CUT, config.model_dump_json(), start],
            stdout=subprocess.PIPE,
            text=True,
        )
        for config in configs
    ]
    return [json.loads(child.communicate(timeout=120)[0].splitlines()[-1]) for child in children]


@pytest.mark.slow
def test_two_processes_with_one_name_have_one_winner(make: Make, tmp_path: Path) -> None:
    equal = _at_once([make(name="equal")] * 3)
    assert len({each["digest"] for each in equal}) == 1
    assert [each["reused"] for each in equal].count(False) == 1
    other = _at_once([make(name="other", seed=1), make(name="other", seed=2)])
    assert sum("conflict" in each for each in other) == 1
    (won,) = [each for each in other if "digest" in each]
    assert load_subset("other", root=tmp_path / "subsets").digest == won["digest"]
    assert sorted(path.name for path in (tmp_path / "subsets").iterdir()) == ["equal", "other"]


def test_what_another_process_put_there_meanwhile_is_used_or_refused(
    make: Make, tmp_path: Path
) -> None:
    def meanwhile(**values: Any) -> Callable[[Event], None]:
        done: list[int] = []

        def hear(event: Event) -> None:
            if not done:  # the first stage of reading: the place was free when it was looked at
                done.append(1)
                build_subset(make(**values))

        return hear

    first = build_subset(make(name="a"), listener=meanwhile(name="a"))
    assert first.reused
    with pytest.raises(ConflictError, match=r"meanwhile|another subset"):
        build_subset(make(name="b", seed=1), listener=meanwhile(name="b", seed=2))
    assert len(list((tmp_path / "subsets").iterdir())) == 2
