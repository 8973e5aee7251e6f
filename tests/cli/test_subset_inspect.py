"""`ot subset` and `ot inspect` as a person calls them."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from openthoughts_cli.cli.render.subset import row_view, visible
from openthoughts_cli.data.rows import Row
from tests.conftest import CommandResult
from tests.doubles.rows import MATH, PHYSICS, many, write
from tests.doubles.tokenizer import byte_model

Ot = Callable[..., CommandResult]


@pytest.fixture
def base(tmp_path: Path) -> list[Any]:
    """The options that name small data and a small tokenizer."""
    rows = [*many(60), *many(20, source=PHYSICS, domain="science")]
    data = write(tmp_path / "rows.parquet", rows)
    return ["--dataset", data, "--tokenizer", byte_model(tmp_path / "model")]


def _widest(text: str) -> int:
    return max(len(line) for line in text.splitlines())


def test_a_subset_is_cut_and_looked_into(ot: Ot, base: list[Any]) -> None:
    made = ot("subset", *base, "--source", "openmath", "-n", 12, "--name", "it")
    assert made.code == 0, made.err
    assert "12 rows of" in made.out and "other source" in made.out
    assert "Next: ot inspect it" in made.out
    assert _widest(made.out) <= 80
    seen = ot("inspect", "it")
    assert seen.code == 0, seen.err
    assert "(checked)" in seen.out and "Tokens a row" in seen.out
    assert seen.out.count("question, ") == 3
    assert _widest(seen.out) <= 80


def test_the_default_name_is_the_references(ot: Ot, base: list[Any]) -> None:
    made = ot("subset", *base, "--domain", "science", "--max-tokens", 900, "--limit", 5, "--json")
    name = json.loads(made.out)["name"]
    assert name == "openthoughts_science_all_sources_t900_n5"


def test_records_alone_stand_on_stdout(ot: Ot, base: list[Any]) -> None:
    made = json.loads(ot("subset", *base, "--name", "it", "--json").out)
    assert made["kind"] == "subset" and made["record"]["figures"]["rows"] == 80
    again = json.loads(ot("subset", *base, "--name", "it", "--json").out)
    assert again["reused"] and again["record"] == made["record"]
    seen = json.loads(ot("inspect", "it", "--json", "--samples", 2, "--mask").out)
    assert seen["kind"] == "inspection" and seen["digest"] == made["record"]["digest"]
    assert len(seen["shown"]) == len(seen["masked"]) == 2


def test_a_dry_run_shows_the_funnel_and_writes_nothing(
    ot: Ot, base: list[Any], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = ot("subset", *base, "--dry-run", "--max-tokens", 100, "-o", out)
    assert done.code == 0 and "too long" in done.out and "nothing was written" in done.out
    assert not out.exists()
    nothing = ot("subset", *base, "--dry-run", "--max-tokens", 1, "--json")
    assert json.loads(nothing.out)["funnel"]["too_long"] == 80


def test_sources_are_counted(ot: Ot, base: list[Any]) -> None:
    done = ot("subset", *base, "--list-sources", "--json")
    assert json.loads(done.out)["sources"] == [
        {"source": MATH, "domain": "math", "rows": 60},
        {"source": PHYSICS, "domain": "science", "rows": 20},
    ]
    assert "openmath" in ot("subset", *base, "--list-sources").out


def test_a_config_file_and_set(ot: Ot, base: list[Any], tmp_path: Path) -> None:
    file = tmp_path / "subset.yaml"
    file.write_text(f"dataset: {base[1]}\ntokenizer: {base[3]}\nlimit: 3\nname: from_file\n")
    done = ot("subset", "--config", file, "--set", "seed=9", "--json")
    config = json.loads(done.out)["record"]["config"]
    assert (config["limit"], config["seed"], config["name"]) == (3, 9, "from_file")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--source", "opnmath", "--dataset", "sample"], 2, "did you mean openmath?"),
        (["--source", "nothing"], 2, "its sources"),
        (["--domain", "maths"], 2, "did you mean math?"),
        (["--max-tokens", "1"], 1, "too long 80"),
        (["--limit", "0"], 2, "limit"),
        (["--min-tokens", "9", "--max-tokens", "8"], 2, "no row can pass both"),
        (["--dataset", "./none.parquet"], 2, "./none.parquet does not exist"),
        (["--name", "../it"], 2, "not a usable name"),
    ],
)
def test_a_mistake_is_one_clear_message(
    ot: Ot, base: list[Any], arguments: list[str], code: int, said: str
) -> None:
    done = ot("subset", *base, *arguments)
    assert (done.code, done.out) == (code, "")
    assert said in done.err and "Traceback" not in done.err


def test_without_a_network_the_same_command_is_given_with_the_sample(
    ot: Ot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["ot", "subset", "--source", "openmath", "-n", "7"])
    done = ot("subset", "--source", "openmath", "-n", 7)
    assert done.code == 1
    assert "ot subset --source openmath -n 7 --dataset sample" in done.err


def test_an_unknown_subset_names_those_there_are(ot: Ot, base: list[Any]) -> None:
    ot("subset", *base, "--name", "first")
    done = ot("inspect", "frist")
    assert done.code == 2 and "first" in done.err and "did you mean first?" in done.err


def test_damaged_rows_end_with_a_failure(ot: Ot, base: list[Any], tmp_path: Path) -> None:
    ot("subset", *base, "--name", "it", "-o", tmp_path)
    file = next((tmp_path / "it" / "dataset").glob("*.arrow"))
    file.write_bytes(file.read_bytes().replace(b"it is", b"it iz", 1))
    done = ot("inspect", tmp_path / "it")
    assert done.code == 1 and "NOT THESE ROWS" in done.out


def test_one_row_and_its_mask(ot: Ot, base: list[Any]) -> None:
    ot("subset", *base, "--name", "it")
    row = ot("inspect", "it", "--row", 3)
    assert row.out.lstrip().startswith("row 3:") and "Tokens a row" not in row.out
    mask = ot("inspect", "it", "--row", 3, "--mask")
    assert "carry loss" in mask.out and "<|im_start|>assistant" in mask.out


def test_a_long_trace_is_folded_in_the_middle() -> None:
    from rich.console import Console

    lines = "\n".join(f"step {i}" for i in range(100))
    row = Row("a-0", "q", MATH, "math", 7, "why?", f"<think>{lines}</think>so", 999, 3, 900, 2)
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(row_view(0, row))
    folded = console.export_text()
    assert "step 0" in folded and "step 99" in folded and "step 50" not in folded
    assert "93 lines, about" in folded
    console.print(row_view(0, row, whole=True))
    assert "step 50" in console.export_text()


def test_no_row_can_move_the_cursor() -> None:
    assert visible("a\x1b[31mb\x07\x9b\n\tc\r") == "a␛[31mb␇\ufffd\n\tc␍"
