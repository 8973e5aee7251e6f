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
from tests.doubles.rows import MATH, PHYSICS, many, record, write
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


def test_bars_leave_room_for_long_reasons(ot: Ot, tmp_path: Path) -> None:
    data = write(tmp_path / "rows.parquet", [record(f"q {i}", role="system") for i in range(1200)])
    write(tmp_path / "more.parquet", many(30))
    base = ["--dataset", data.parent / "*.parquet", "--tokenizer", byte_model(tmp_path / "model")]
    made = ot("subset", *base, "-n", 5, "--name", "it")
    assert made.code == 0, made.err
    assert "  other roles than human and gpt" in made.out and _widest(made.out) <= 80
    assert not [
        line for line in made.out.splitlines() if line.strip() and not line.strip("\u2588 ")
    ]


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
    without, loss = mask.out.split("[no loss]")[1].split("[loss]")  # also where there is no colour
    assert "<|im_start|>assistant" in without and "<|im_end|>" in loss


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


def test_overlap_with_a_benchmark_is_found(ot: Ot, base: list[Any], tmp_path: Path) -> None:
    asked = tmp_path / "bench.jsonl"
    asked.write_text(json.dumps({"id": "b7", "question": f"Question {MATH} 3?"}) + "\n")
    ot("subset", *base, "--name", "it")
    seen = json.loads(ot("inspect", "it", "--overlap", asked, "--json").out)
    assert {each["problem"] for each in seen["overlaps"]} == {"b7"}
    assert len(seen["overlaps"]) == 2 and seen["answers_per_question"] == {"2": 40}
    shown = ot("inspect", "it", "--overlap", asked).out
    assert (
        "bench.jsonl" in shown and "2 rows in all" in shown and "40 questions with 2 rows" in shown
    )
    raw = json.loads(ot("inspect", base[1], "--model", base[3], "--overlap", asked, "--json").out)
    assert [each["index"] for each in raw["overlaps"]] == [6, 7]
    assert json.loads(ot("inspect", "it", "--json").out)["overlaps"] is None
    unknown = ot("inspect", "it", "--overlap", "aime24")
    assert unknown.code == 2 and "neither a benchmark" in unknown.err


def test_rows_that_never_close_their_thinking_are_said(ot: Ot, tmp_path: Path) -> None:
    rows = [record(f"q{i}?", "<think>on and on" if i else "<think>a</think>b") for i in range(4)]
    data = write(tmp_path / "rows.parquet", rows)
    model = byte_model(tmp_path / "model")
    ot("subset", "--dataset", data, "--tokenizer", model, "--name", "it")
    assert "75.0% never close their thinking" in ot("inspect", "it").out


@pytest.mark.slow
def test_a_long_report_goes_through_the_pager_on_a_terminal(
    ot: Ot, base: list[Any], tmp_path: Path
) -> None:
    import os
    import pty
    import subprocess
    import sys

    ot("subset", *base, "--name", "it", "-o", tmp_path)

    def on_a_terminal(*more: str, pager: str) -> str:
        ours, theirs = pty.openpty()
        child = subprocess.Popen(
            [sys.executable, "-m", "openthoughts_cli", "inspect", str(tmp_path / "it"), *more],
            stdin=theirs,
            stdout=theirs,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PAGER": pager, "TERM": "xterm", "LINES": "24", "COLUMNS": "80"},
            cwd=Path(__file__).parents[2],
        )
        os.close(theirs)
        shown = b""
        while True:
            try:
                part = os.read(ours, 4096)
            except OSError:  # the terminal ends with its last user
                break
            if not part:
                break
            shown += part
        assert child.wait(timeout=60) == 0
        os.close(ours)
        return shown.decode()

    assert on_a_terminal(pager="sed -e s/^/paged:/").count("paged:") > 24
    assert "paged:" not in on_a_terminal("--plain", pager="sed -e s/^/paged:/")
    for pager in ("", "cat", "no-such-pager"):
        assert "Tokens a row" in on_a_terminal(pager=pager)
