"""The committed sample: schema, composition, and that the generator still writes it."""

from __future__ import annotations

import re
from collections import Counter
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from openthoughts_cli.config.sources import SOURCES
from openthoughts_cli.data.sample import sample_path
from openthoughts_cli.data.sample.generate import main, sample_table

DOMAIN_OF = {source.full: source.domain for source in SOURCES}

# Qwen's pre-tokenizer cuts a text into these pieces (for ASCII); every piece is one token or more,
# so their number is a lower bound of the tokens that needs no tokenizer.
PIECE = re.compile(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\nA-Za-z0-9]?[A-Za-z]+|[0-9]| ?[^\sA-Za-z0-9]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
LOOK_ALIKE = re.compile(r"<\|[^|]*\|>|<s>|</s>|\[INST\]")


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    return pq.read_table(sample_path()).to_pylist()


def asked(row: dict[str, Any]) -> str:
    return row["conversations"][0]["value"]


def told(row: dict[str, Any]) -> str:
    return row["conversations"][1]["value"]


def test_the_schema_is_that_of_openthoughts3() -> None:
    schema = pq.read_schema(sample_path())
    assert schema.names == ["difficulty", "source", "domain", "conversations"]
    assert schema.field("difficulty").type == pa.int64()
    assert schema.field("source").type == schema.field("domain").type == pa.string()
    turn = schema.field("conversations").type.value_type
    assert [(field.name, field.type) for field in turn] == [
        ("from", pa.string()),
        ("value", pa.string()),
    ]


def test_the_generator_writes_what_is_committed(rows: list[dict[str, Any]]) -> None:
    assert sample_table().to_pylist() == rows


def test_the_generator_writes_the_same_bytes_twice(tmp_path: Path) -> None:
    for name in ("first", "second"):
        main(["--output", str(tmp_path / name)])
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()
    assert pq.read_table(tmp_path / "first").equals(sample_table())


def test_the_file_is_small() -> None:
    assert sample_path().stat().st_size < 2_000_000
    compression = pq.ParquetFile(sample_path()).metadata.row_group(0).column(0).compression
    assert compression == "ZSTD"


def test_every_row_is_one_question_and_one_answer(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        assert [turn["from"] for turn in row["conversations"]] == ["human", "gpt"]
        assert asked(row).strip() == asked(row) != ""
        assert told(row).startswith("<think>\n")
        assert (asked(row) + told(row)).isascii()


def test_all_sources_and_domains_are_there(rows: list[dict[str, Any]]) -> None:
    assert len(rows) >= 1_600
    counts = Counter(row["source"] for row in rows)
    assert set(counts) == set(DOMAIN_OF)
    assert min(counts.values()) >= 100
    assert all(row["domain"] == DOMAIN_OF[row["source"]] for row in rows)
    assert [domain for domain, _ in groupby(rows, key=lambda row: row["domain"])] == [
        "code",
        "math",
        "science",
    ]


def test_difficulty_is_a_number_on_code_and_null_elsewhere(rows: list[dict[str, Any]]) -> None:
    code = {row["difficulty"] for row in rows if row["domain"] == "code"}
    assert code == {6, 7, 8, 9, 10}
    assert {row["difficulty"] for row in rows if row["domain"] != "code"} == {None}


def test_each_question_has_four_different_answers_side_by_side(rows: list[dict[str, Any]]) -> None:
    runs = [(text, [told(row) for row in run]) for text, run in groupby(rows, key=asked)]
    assert len({text for text, _ in runs}) == len(runs) == len(rows) // 4
    for text, answers in runs:
        assert len(answers) == 4, text
        assert len({answer.partition("</think>")[0] for answer in answers}) == 4, text


def test_some_traces_are_unclosed_in_every_domain(rows: list[dict[str, Any]]) -> None:
    unclosed = [row for row in rows if "</think>" not in told(row)]
    assert 30 <= len(unclosed) <= 60
    assert {row["domain"] for row in unclosed} == {"code", "math", "science"}
    for row in unclosed:
        assert "boxed" not in told(row)
        assert "```" not in told(row)
    assert all(told(row).count("</think>") == 1 for row in rows if row not in unclosed)


def test_some_rows_are_longer_than_4096_qwen3_tokens(rows: list[dict[str, Any]]) -> None:
    long = [row for row in rows if len(PIECE.findall(told(row))) > 4096]
    assert len(long) >= 30
    assert {row["domain"] for row in long} == {"code", "math", "science"}


def test_the_long_rows_do_not_repeat_themselves(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        lines = told(row).splitlines()
        if len(lines) > 60:
            assert len(set(lines)) > 0.7 * len(lines), asked(row)


def test_no_text_spells_a_control_token(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        assert LOOK_ALIKE.search(asked(row) + told(row)) is None


def test_the_lower_bound_of_tokens_is_one() -> None:
    tokenizer_file = Path(__file__).parents[2].parent / "shared" / "data" / "qwen3_tokenizer.json"
    if not tokenizer_file.exists():
        pytest.skip("the Qwen3 tokenizer is not on this machine")
    tokenizers = pytest.importorskip("tokenizers")
    tokenizer = tokenizers.Tokenizer.from_file(str(tokenizer_file))
    texts = [told(row) for row in pq.read_table(sample_path()).to_pylist()[::97]]
    for text in texts:
        assert len(PIECE.findall(text)) <= len(tokenizer.encode(text).ids) + 3 * text.count(
            "think>"
        )
