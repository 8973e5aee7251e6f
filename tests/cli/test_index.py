"""`ot index` as a person calls it, and `ot subset` with every filter from the outside."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import CommandResult
from tests.doubles.rows import PHYSICS, many, record, write
from tests.doubles.tokenizer import byte_model

Ot = Callable[..., CommandResult]


@pytest.fixture
def base(tmp_path: Path) -> list[Any]:
    """The options that name small data in four files and a small tokenizer."""
    rows = [*many(60), *many(20, source=PHYSICS, domain="science")]
    rows += [record(f"hard {i}", difficulty=i % 5 + 6) for i in range(20)]
    for i in range(4):
        write(tmp_path / "data" / f"{i}.parquet", rows[i::4])
    return ["--dataset", tmp_path / "data", "--tokenizer", byte_model(tmp_path / "model")]


def test_an_index_is_built_shown_and_dropped(ot: Ot, base: list[Any]) -> None:
    assert "no index is stored" in ot("index", "status").err
    before = json.loads(ot("index", "status", *base, "--json").out)
    assert {part["state"] for part in before["parts"]} == {"missing"}
    built = json.loads(ot("index", "build", *base, "--workers", 1, "--json").out)
    assert [part["state"] for part in built["parts"]] == ["whole"] * 4
    assert json.loads(ot("index", "status", *base, "--json").out) == built
    shown = ot("index", "status", *base)
    assert "4 of 4 whole, 100 of 100 rows" in shown.out
    assert max(map(len, shown.out.splitlines())) <= 80
    stored = json.loads(ot("index", "status", "--json").out)["indexes"]
    assert [(row["parts"], row["rows"]) for row in stored] == [(4, 100)]
    assert str(base[1])[:30] in ot("index", "status").out
    refused = ot("index", "drop")
    assert refused.code == 1 and "agree with --yes" in refused.err
    wrong = ot("index", "drop", "--dataset", "nothing", "--yes")
    assert wrong.code == 2 and str(base[1]) in wrong.err
    dropped = json.loads(ot("index", "drop", "--dataset", base[1], "--yes", "--json").out)
    assert dropped["parts"] == 4
    assert ot("index", "drop", "--yes").code == 2


def test_a_subset_uses_the_index_and_says_so(ot: Ot, base: list[Any]) -> None:
    streamed = json.loads(ot("subset", *base, "-n", 9, "--name", "a", "--json").out)
    ot("index", "build", *base)
    by_index = ot("subset", *base, "-n", 9, "--name", "b", "--json")
    assert "by the index" in by_index.err
    assert json.loads(by_index.out)["record"]["digest"] == streamed["record"]["digest"]


def test_every_filter_from_the_command_line(ot: Ot, base: list[Any], tmp_path: Path) -> None:
    ranking = tmp_path / "ranking.yaml"
    ranking.write_text("- physics\n- openmath\n- codegolf\n")
    for options, funnel in (
        (["--difficulty", "7..9", "--difficulty", "none"], {"difficulty": 8}),
        (["--closed", "--boxed"], {"not_boxed": 100}),
        (["--max-assistant-tokens", 60], {}),
        (["--max-thinking-tokens", 15], {}),
        (["--answers-per-question", 1], {"other_answers": 40}),
        (["--dedup", "exact"], {"duplicates": 40}),
        (["--where", "source = 'stackexchange-physics'"], {"where": 80}),
        (["--mix", "top2", "--ranking", ranking, "--allow-short"], {}),
    ):
        done = ot("subset", *base, "--dry-run", "-n", 100, "--json", *options)
        assert done.code == 0, done.err
        found = json.loads(done.out)["funnel"]
        assert found["chosen"] < 100
        assert {name: found[name] for name in funnel} == funnel, options


def test_a_resolved_ranking_can_be_repeated(ot: Ot, base: list[Any], tmp_path: Path) -> None:
    ranking = tmp_path / "ranking.json"
    ranking.write_text('["physics", "openmath"]')
    made = ot("subset", *base, "--mix", "top2", "--ranking", ranking, "-n", 20, "--json")
    assert made.code == 0, made.err
    record_ = json.loads(made.out)["record"]
    assert record_["config"]["mix"] == {"ai2-adapt-dev/openmath-2-math": 0.5, PHYSICS: 0.5}
    assert record_["figures"]["composition"]["source"] == {
        "ai2-adapt-dev/openmath-2-math": 10,
        PHYSICS: 10,
    }
    ranking.unlink()
    saved = Path(json.loads(made.out)["path"]) / "config.json"
    again = json.loads(ot("subset", "--config", saved, "--name", "again", "--json").out)
    assert again["record"]["digest"] == record_["digest"]


def test_removed_rows_are_listed_with_the_reason(ot: Ot, base: list[Any], tmp_path: Path) -> None:
    questions = tmp_path / "exam.jsonl"
    questions.write_text('{"id": "7", "question": "HARD  3"}\n')
    made = ot("subset", *base, "-n", 100, "--decontaminate", questions, "--name", "it", "--json")
    assert made.code == 0, made.err
    place = Path(json.loads(made.out)["path"])
    (line,) = (place / "removed.jsonl").read_text().splitlines()
    removed = json.loads(line)
    assert removed["reason"] == "its question is that of exam.jsonl 7"
    assert removed["row_id"] not in (place / "dataset" / "data-00000-of-00001.arrow").read_text(
        errors="replace"
    )
    assert json.loads(made.out)["record"]["funnel"]["contaminated"] == 1


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--limit", 5, "--questions", 5], 2, "limit counts rows and questions counts questions"),
        (["--difficulty", "9..7"], 2, "write the lower one first, 7..9"),
        (["--difficulty", "hard"], 2, "'hard' is not a level"),
        (["--mix", "top2"], 2, "needs a ranking"),
        (["--ranking", "none.json"], 2, "a ranking alone chooses nothing"),
        (["--mix", "openmath"], 2, "write SOURCE=SHARE"),
        (["--mix", "openmath=0"], 2, "a share is above 0"),
        (["--mix", "openmath=1,openmath=2"], 2, "stands twice"),
        (["--mix", "openmath=1", "--source", "openmath"], 2, "leave out source"),
        (["--mix", "openmath=1,nothing=1"], 2, "of the source nothing"),
        (["--mix", "openmath=1,physics=1"], 1, "its share of 100 is 50"),
        (["--allow-short"], 2, "are for a mixture"),
        (["--where", "tokns > 3"], 2, "its columns"),
        (["--where", "tokens > avg(tokens)"], 2, "one row alone"),
        (["--decontaminate", "none.jsonl"], 2, "neither a benchmark"),
        (["--decontaminate", "aime25"], 1, "cannot be fetched"),
        (["--ngram", 9], 2, "expected one of 8, 13"),
        (["--order", "hard"], 2, "did you mean hardest?"),
        (["--boxed"], 1, "not boxed 100"),
        (["--answers-per-question", 0], 2, "answers_per_question"),
    ],
)
def test_a_wrong_choice_is_one_clear_message(
    ot: Ot, base: list[Any], arguments: list[Any], code: int, said: str, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = ot("subset", *base, "-o", out, *arguments)
    assert (done.code, done.out) == (code, ""), done.err
    assert said in done.err and "Traceback" not in done.err
    assert not out.exists()
