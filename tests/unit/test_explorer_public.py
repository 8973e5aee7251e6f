"""A public app shows no folder of the machine it runs on."""

from __future__ import annotations

from pathlib import Path

import pytest

from openthoughts_cli.explorer.public import name_shown, without_folders
from openthoughts_cli.explorer.settings import Settings


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/home/alice/rows.parquet is damaged", "…/rows.parquet is damaged"),
        ("/home/My Data/rows.parquet is damaged", "…/rows.parquet is damaged"),
        ("/home/My Data (old)/Bob's rows/a b.parquet: torn", "…/a b.parquet: torn"),
        ("~/My Data/x.parquet", "…/x.parquet"),
        ("use '/home/My Data/x' or \"/mnt/a b/y\"", "use '…/x' or \"…/y\""),
        ("/home/a:b/x: no column", "…/x: no column"),
        ("see https://huggingface.co/datasets/a/b", "see https://huggingface.co/datasets/a/b"),
        ("open-thoughts/OpenThoughts3-1.2M has 1/2 of 3", None),
        ("tokens / answer", None),
    ],
)
def test_folders_are_taken_out(text: str, shown: str | None) -> None:
    assert without_folders(text, Settings(public=True)) == (text if shown is None else shown)


def test_the_folders_that_are_known_go_whole(tmp_path: Path) -> None:
    rows = tmp_path / "Bob' s: rows" / "part one"
    rows.mkdir(parents=True)
    settings = Settings(str(rows), public=True)
    assert without_folders(f"no row in {rows}", settings) == "no row in …/part one"
    said = without_folders(f"{rows}/deep er/x.parquet is torn", settings)
    assert said == "…/x.parquet is torn"
    assert str(tmp_path) not in without_folders(f"{tmp_path} and {tmp_path}/a", settings)


def test_a_local_name_is_its_last_part_on_a_public_app(tmp_path: Path) -> None:
    place = tmp_path / "My Data"
    place.mkdir()
    assert name_shown(str(place), public=True) == "My Data"
    assert name_shown(str(place), public=False) == str(place)
    assert name_shown("open-thoughts/x", public=True) == "open-thoughts/x"
