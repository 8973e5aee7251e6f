"""`ot push` against a hub over HTTP that takes commits; each push is a process of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from openthoughts_cli.config.subset import SubsetConfig
from openthoughts_cli.data.card_header import split_header
from openthoughts_cli.data.subset import Subset, build_subset
from tests.doubles.dataset_hub import DatasetHub, Fault
from tests.doubles.pushing import Push, hub, push
from tests.doubles.rows import many, write
from tests.doubles.tokenizer import byte_model

pytestmark = pytest.mark.slow

__all__ = ["hub", "push"]


@pytest.fixture
def cut(tmp_path: Path) -> Callable[..., Subset]:
    data = write(tmp_path / "rows.parquet", many(60))
    model = byte_model(tmp_path / "model")

    def subset(name: str, **values: Any) -> Subset:
        base: dict[str, Any] = {"dataset": str(data), "tokenizer": str(model), "name": name}
        config = {**base, "output_dir": tmp_path / "subsets", "limit": 20, **values}
        return build_subset(SubsetConfig.model_validate(config))

    return subset


def test_a_subset_becomes_a_config_of_a_private_repository(
    hub: DatasetHub, push: Push, cut: Callable[..., Subset], tmp_path: Path
) -> None:
    subset = cut("first")
    code, pushed, err = push(subset.path, "me/rows")
    assert code == 0, err
    assert pushed["private"] and hub.private == {"me/rows"} and not pushed["reused"]
    assert pushed["commit"] == hub.commits["me/rows"]
    folder = hub.folders["me/rows"]
    header, body = split_header((folder / "README.md").read_text())
    assert header["configs"] == [
        {
            "config_name": "first",
            "data_files": [{"split": "train", "path": "first/train.parquet"}],
        }
    ]
    assert subset.digest in body and 'load_dataset("me/rows", "first")' in body
    assert json.loads((folder / "first" / "metadata.json").read_text())["digest"] == subset.digest
    assert "first/lengths.png" in pushed["files"] and "first/train.parquet" in pushed["files"]
    assert hub.strangers == []  # the store saw no token
    for file in folder.rglob("*"):  # and nobody sees where things lie on this machine
        assert not file.is_file() or str(tmp_path).encode() not in file.read_bytes()
    import pyarrow.parquet as pq

    found = pq.read_table(folder / "first" / "train.parquet").column("row_id").to_pylist()
    assert found == [row.row_id for row in subset.rows()]


def test_a_repository_holds_many_and_keeps_what_is_not_ours(
    hub: DatasetHub, push: Push, cut: Callable[..., Subset]
) -> None:
    push(cut("b").path, "me/rows")
    readme = hub.folders["me/rows"] / "README.md"
    header_end = readme.read_text().index("---\n", 4)
    mine = "license: mit\n---\nWords of my own.\n"
    readme.write_text(readme.read_text()[:header_end] + mine + readme.read_text()[header_end + 4 :])
    hub.commits["me/rows"] = "1" * 40
    code, _, err = push(cut("a", seed=1).path, "me/rows")
    assert code == 0, err
    header, body = split_header(readme.read_text())
    assert [entry["config_name"] for entry in header["configs"]] == ["a", "b"]
    assert header["license"] == "mit" and "Words of my own." in body
    assert body.count("ot: begin") == 2


def test_the_same_rows_are_sent_once_and_others_need_force(
    hub: DatasetHub, push: Push, cut: Callable[..., Subset], tmp_path: Path
) -> None:
    path = cut("it").path
    push(path, "me/rows")
    commit = hub.commits["me/rows"]
    code, again, _ = push(path, "me/rows")
    assert code == 0 and again["reused"] and hub.commits["me/rows"] == commit
    other = cut("it", seed=9, output_dir=tmp_path / "others")
    code, _, err = push(other.path, "me/rows")
    assert code == 1 and "other rows" in err and "--force" in err
    assert push(other.path, "me/rows", "--force")[0] == 0
    _, body = split_header((hub.folders["me/rows"] / "README.md").read_text())
    assert other.digest in body and body.count("ot: begin it") == 1


def test_a_token_is_needed_and_must_be_allowed(
    hub: DatasetHub, push: Push, cut: Callable[..., Subset]
) -> None:
    path = cut("it").path
    code, _, err = push(path, "me/rows", token="")
    assert code == 1 and "needs a token" in err and "write access" in err and hub.requests == []
    code, _, err = push(path, "me/rows", token="hf_wrong")
    assert code == 1 and "does not let this token write" in err
    assert hub.folders == {}


def test_nothing_is_put_where_everyone_can_read_it_unasked(
    hub: DatasetHub, push: Push, cut: Callable[..., Subset]
) -> None:
    path = cut("it").path
    assert push(path, "me/open", "--public")[1]["private"] is False
    code, _, err = push(cut("more", seed=2).path, "me/open")
    assert code == 1 and "public" in err and "--public" in err
    assert not (hub.folders["me/open"] / "more").exists()


def test_what_the_hub_holds_is_compared(
    hub: DatasetHub, push: Push, cut: Callable[..., Subset]
) -> None:
    hub.spoil = lambda path, content: content + b"!" if path.endswith("config.json") else content
    code, _, err = push(cut("it").path, "me/rows")
    assert code == 1 and "other bytes than were sent: it/config.json" in err


def test_a_hub_in_trouble_is_said(hub: DatasetHub, push: Push, cut: Callable[..., Subset]) -> None:
    path = cut("it").path
    hub.faults = [Fault("/commit/", status=412)]
    code, _, err = push(path, "me/rows")
    assert code == 1 and "meanwhile" in err
    code, _, err = push(path, "me/rows", url="http://127.0.0.1:9")
    assert code == 1 and "cannot be reached" in err and "Traceback" not in err
    code, _, err = push(path, "no-repository")
    assert code == 2 and "owner/name" in err


def test_what_was_pushed_loads_with_datasets(
    hub: DatasetHub, push: Push, cut: Callable[..., Subset], tmp_path: Path
) -> None:
    subset = cut("first")
    push(subset.path, "me/rows")
    from datasets import load_dataset

    ids = [row.row_id for row in subset.rows()]
    for folder, config in ((hub.folders["me/rows"], "first"), (subset.path, "default")):
        loaded: Any = load_dataset(str(folder), config, cache_dir=str(tmp_path / "datasets"))
        assert loaded["train"]["row_id"][:] == ids
