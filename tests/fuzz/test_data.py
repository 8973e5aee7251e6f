"""Parquet with spoilt bytes, conversations of any shape, and any text as an answer to be graded."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from openthoughts_cli.data.where import Where
from openthoughts_cli.evals.benchmark import Grade, benchmark
from openthoughts_cli.evals.final_answer import final_answer
from openthoughts_cli.evals.lcb_code import code_in
from openthoughts_cli.problems.problem import Problem
from tests.doubles.rows import many, write
from tests.doubles.tokenizer import byte_model
from tests.fuzz.support import fuzz, only_ot_errors, run_ot, spoil_json
from tests.tools.tally import tally

pytestmark = pytest.mark.slow

seeds = st.integers(0, 2**32 - 1)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small parquet file and a tokenizer."""
    root = tmp_path_factory.mktemp("data")
    write(root / "rows.parquet", many(20))
    byte_model(root / "model")
    return root


def _cut(place: Path, data: Path, kind: str, home: Path) -> None:
    """Look at the rows, cut a subset of them and index them; a second time, over what is there."""
    common = ("--dataset", data, "--tokenizer", place / "model")
    for command in (
        ("subset", *common, "--limit", 3, "--name", "x", "-o", home / "subsets"),
        ("subset", *common, "--limit", 3, "--name", "y", "-o", home / "subsets", "--skip-bad-files"),
        ("inspect", data, "--tokenizer", place / "model"),
        ("index", "build", *common, "--workers", 1),
    ):  # fmt: skip
        assert run_ot(kind, *command, cache=home / "cache").code in (0, 1, 2)


def _spoilt_parquet(rng: Random, data: bytes) -> bytes:
    """Bytes changed in the footer (most of the time), or in the pages, or the end cut off."""
    footer = int.from_bytes(data[-8:-4], "little")
    changed = bytearray(data)
    low = len(data) - footer - 8 if rng.random() < 0.7 else 0
    for _ in range(rng.choice([1, 1, 2, 8])):
        changed[rng.randrange(low, len(data))] = rng.randrange(256)
    if rng.random() < 0.15:
        del changed[rng.randrange(len(changed)) :]
    return bytes(changed)


@fuzz(25)
@given(seed=seeds)
def test_a_spoilt_parquet_file_is_read_or_refused(
    place: Path, tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    home = tmp_path_factory.mktemp("parquet")
    data = home / "rows.parquet"
    data.write_bytes(_spoilt_parquet(Random(seed), (place / "rows.parquet").read_bytes()))
    _cut(place, data, "parquet bytes", home)
    shutil.rmtree(home)


_WORDS = st.sampled_from(
    ["", " ", "<think>", "</think>", "<|im_end|>", "<|endoftext|>", "\\boxed{", "}", "```python\n",
     "\0", "\ufffd", "\u202e", "é", "\U0001f600", "x" * 3000, "1", "\n", "<script>"]
)  # fmt: skip
_TEXT = st.none() | st.lists(_WORDS | st.text(max_size=5), max_size=6).map("".join)
_TURN = st.none() | st.fixed_dictionaries(
    {"from": st.sampled_from(["human", "gpt", "assistant", "system", "", None]), "value": _TEXT}
)
_GOOD = st.tuples(_TEXT, _TEXT).map(
    lambda pair: [{"from": "human", "value": pair[0]}, {"from": "gpt", "value": pair[1]}]
)
_ROW = st.fixed_dictionaries(
    {
        "difficulty": st.none() | st.integers(-(2**63), 2**63 - 1),
        "source": st.sampled_from(["openmath", "", None, "../x", "a\0b", "é" * 200]),
        "domain": st.sampled_from(["math", "", None, "<b>"]),
        "conversations": st.none() | st.lists(_TURN, max_size=4) | _GOOD,
    }
)
_KINDS = {
    "difficulty": [pa.int64(), pa.int32(), pa.float64(), pa.string()],
    "text": [pa.string(), pa.large_string(), pa.binary(), pa.dictionary(pa.int32(), pa.string())],
}


@fuzz(20)
@given(rows=st.lists(_ROW, max_size=6), seed=seeds)
def test_conversations_of_any_shape_are_rows_or_are_counted_or_refused(
    place: Path, tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]], seed: int
) -> None:
    rng = Random(seed)
    text = rng.choice(_KINDS["text"]) if rng.random() < 0.4 else pa.string()
    level = rng.choice(_KINDS["difficulty"]) if rng.random() < 0.3 else pa.int64()
    turn = pa.struct(
        [("from", pa.string()), ("value", text if text != _KINDS["text"][3] else pa.string())]
    )
    schema = pa.schema(
        [("difficulty", level), ("source", text), ("domain", pa.string()), ("conversations", pa.list_(turn))]
    )  # fmt: skip
    try:
        table = pa.Table.from_pylist(rows, schema)
    except (pa.ArrowInvalid, pa.ArrowTypeError, TypeError, ValueError):
        return  # no such file can be written
    if rng.random() < 0.15:
        table = table.drop_columns([rng.choice(table.column_names)])
    home = tmp_path_factory.mktemp("rows")
    pq.write_table(table, home / "rows.parquet", row_group_size=2)
    _cut(place, home / "rows.parquet", "conversations", home)
    shutil.rmtree(home)


_LCB = {
    "question_content": "Print the number.",
    "starter_code": "",
    "public_test_cases": json.dumps([{"input": "1", "output": "1", "testtype": "stdin"}]),
    "private_test_cases": json.dumps([{"input": "1", "output": "1", "testtype": "stdin"}]),
    "metadata": "{}",
    "difficulty": "easy",
    "platform": "atcoder",
    "question_id": "abc_1",
    "contest_date": "2024-07-01T00:00:00",
}
ROWS: dict[str, dict[str, Any]] = {
    "arithmetic": {"id": "a", "problem": "1 + 1?", "answer": "2", "difficulty": "easy"},
    "aime25": {"id": "a", "problem": "1 + 1?", "answer": 2},
    "gpqa": {
        "Question": "Which?",
        "Record ID": "rec1",
        "Subdomain": "Physics",
        "Correct Answer": "right",
        **{f"Incorrect Answer {i}": f"wrong {i}" for i in (1, 2, 3)},
    },
    "livecodebench": _LCB,
}
_ANSWERS = st.lists(
    st.sampled_from(
        ["\\boxed{", "}", "{", "2", "-", "٢", "1e999", "9" * 5000, "answer is ", "**", "$", "\\frac{4}{2}",
         "(A)", "B.", "```python\n", "```\n", "~~~", "print(1)", "<think>", "</think>", "\n", ",", ".5", "\\text{",
         "\0", "\u2028", "= 2", "x" * 4000, "\\left(", "\\degree", "{" * 600, "\\boxed{\\boxed{2}}"]
    )
    | st.text(max_size=8),
    max_size=12,
).map("".join)  # fmt: skip


def _problem(name: str) -> Problem:
    return benchmark(name).read(ROWS[name], "test")


@fuzz(150)
@given(text=_ANSWERS, name=st.sampled_from(["arithmetic", "aime25", "gpqa"]))
@example(text="{" * 50_000 + "\\boxed{" * 5_000, name="aime25")
@example(text="(A" * 50_000, name="gpqa")
@example(text="answer: " * 20_000, name="gpqa")
def test_any_answer_gets_a_verdict(text: str, name: str) -> None:
    tally("bad inputs: answers")
    grade = benchmark(name).grade(_problem(name), text)
    assert isinstance(grade, Grade) and isinstance(grade.correct, bool) and grade.verdict
    assert grade.parsed is None or isinstance(grade.parsed, str)
    final_answer(text)


@fuzz(100)
@given(text=_ANSWERS)
@example(text="```" * 30_000)
@example(text="~" * 100_000)
def test_code_is_found_in_any_answer_or_not(text: str) -> None:
    tally("bad inputs: answers")
    assert code_in(text) is None or isinstance(code_in(text), str)


@fuzz(60)
@given(name=st.sampled_from(sorted(ROWS)), seed=seeds)
def test_a_spoilt_problem_is_a_problem_or_is_refused(name: str, seed: int) -> None:
    rng = Random(seed)
    row = spoil_json(rng, ROWS[name])
    if name == "livecodebench" and rng.random() < 0.5:
        key = rng.choice(["public_test_cases", "private_test_cases", "metadata"])
        row = ROWS[name] | {key: json.dumps(spoil_json(rng, json.loads(ROWS[name][key])))}
    with only_ot_errors("problems"):
        kind = benchmark(name)
        if isinstance(row, dict):
            problem = kind.read(row, "test:1")
            assert isinstance(kind.prompt(problem), str)


@fuzz(6)
@given(seed=seeds, text=_ANSWERS)
def test_any_file_of_answers_is_graded_or_refused(
    tmp_path_factory: pytest.TempPathFactory, seed: int, text: str
) -> None:
    rng = Random(seed)
    home = tmp_path_factory.mktemp("answers")
    file = home / "answers.jsonl"
    for name in ("aime25", "gpqa"):
        line = {"problem": ROWS[name], "completion": text}
        lines = [line, spoil_json(rng, line), line]
        file.write_text("".join(json.dumps(value) + "\n" for value in lines))
        said = run_ot("files of answers", "grade", name, "--answers", file, "--json", cache=home)
        assert said.code in (0, 1, 2)


@fuzz(80)
@given(text=st.lists(
    st.sampled_from(["tokens", "source", " > ", "5", "'", "math", " AND ", " OR ", "NOT ", "(", ")", "--", ";",
                     "SELECT ", "COUNT(", " LIKE ", "NULL", "difficulty", "CAST(", " AS INT)", "1e999", ",", "."])
    | st.text(max_size=4), max_size=10).map("".join))  # fmt: skip
def test_any_where_is_a_predicate_or_is_refused(text: str) -> None:
    with only_ot_errors("--where"):
        Where(text)
