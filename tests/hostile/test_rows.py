"""Rows of a data set that mean harm. None of them runs anything, and each is refused by name."""

from __future__ import annotations

import base64
import json
import os
import pickle
import zlib
from pathlib import Path
from typing import Any

import pytest

from openthoughts_cli.errors import SchemaError
from openthoughts_cli.problems.aime25 import read_aime_row
from openthoughts_cli.problems.files import read_file
from openthoughts_cli.problems.gpqa import read_gpqa_row
from openthoughts_cli.problems.livecodebench import read_lcb_row
from openthoughts_cli.problems.livecodebench_tests import decode_private

_TEST = {"input": "1\n", "output": "1\n", "testtype": "stdin"}


def _row(**changes: Any) -> dict[str, Any]:
    return {
        "question_content": "Print the number.",
        "starter_code": "",
        "public_test_cases": json.dumps([_TEST]),
        "private_test_cases": json.dumps([_TEST]),
        "metadata": "{}",
        "difficulty": "easy",
        "platform": "atcoder",
        "question_id": "abc_1",
        "contest_date": "2024-07-01T00:00:00",
    } | changes


def _encoded(pickled: bytes) -> str:
    return base64.b64encode(zlib.compress(pickled)).decode()


class _Touch:
    """Unpickled, it would make a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.path),))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_that_runs_code_is_refused_and_not_run(tmp_path: Path, protocol: int) -> None:
    mark = tmp_path / "ran"
    harm = pickle.dumps(_Touch(mark), protocol)

    with pytest.raises(SchemaError, match=r"line 3.*private_test_cases.*only a text"):
        read_lcb_row(_row(private_test_cases=_encoded(harm)), "line 3")
    assert not mark.exists()


@pytest.mark.parametrize(
    "pickled",
    [
        b"\x80\x04r\xff\xff\xff\x7f.",
        b"\x80\x04X\x01\x00\x00\x00ar\xff\xff\xff\x7f.",
        pickle.dumps(["a list"]),
        pickle.dumps(7),
        pickle.dumps(b"bytes"),
        b"\x80\x04X\x01\x00\x00\x00a" + b"2" * 1000 + b".",
        b"\x80\x04.",
        b"",
        b"\x80\x04X\xff\xff\xff\xffa.",
        b"cos\nsystem\n(S'true'\ntR.",
        b"\x80\x02\x82\x01.",
    ],
    ids=[
        *("memo alone", "huge memo", "list", "number", "bytes", "duplicates", "no value", "empty"),
        *("cut off", "global", "extension"),
    ],
)
def test_a_pickle_of_anything_but_one_text_is_refused(pickled: bytes) -> None:
    if pickled.startswith(b"\x80\x04X\x01\x00\x00\x00ar"):
        # Loading it would ask for sixteen gigabytes; reading it costs nothing and finds the text.
        assert decode_private(_encoded(pickled), "row") == "a"
        return
    with pytest.raises(SchemaError, match=r"row: .*pickle"):
        decode_private(_encoded(pickled), "row")


def test_a_real_rows_encoding_is_read() -> None:
    text = json.dumps([_TEST, _TEST])

    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        packed = _encoded(pickle.dumps(text, protocol))
        problem = read_lcb_row(_row(private_test_cases=packed), "row")
        assert len(problem.answer) == 3


def test_a_zip_bomb_is_refused_at_the_limit() -> None:
    bomb = base64.b64encode(zlib.compress(b"\0" * (64 << 20), 9)).decode()
    assert len(bomb) < 100_000

    with pytest.raises(SchemaError, match="grow beyond 1,048,576 bytes"):
        decode_private(bomb, "row", max_bytes=1 << 20)


@pytest.mark.parametrize(
    ("private", "message"),
    [
        ("not base64 at all!", "neither JSON nor base64"),
        (base64.b64encode(b"not zlib").decode(), "not compressed by zlib"),
        (base64.b64encode(zlib.compress(os.urandom(1000))[:500]).decode(), "cut off"),
        ("[" * 200_000, "not JSON"),
        ('{"a": 1}', "expected a list"),
        ("[1]", "expected a JSON object"),
        ('[{"input": 1, "output": "", "testtype": "stdin"}]', "must be text"),
        ('[{"input": "", "output": "", "testtype": "shell"}]', "testtype"),
        ('[{"input": "\\ud800", "output": "", "testtype": "stdin"}]', "surrogate"),
    ],
)
def test_malformed_private_tests_are_refused_by_name(private: str, message: str) -> None:
    with pytest.raises(SchemaError, match=f"line 3: private_test_cases.*{message}"):
        read_lcb_row(_row(private_test_cases=private), "line 3")


def test_a_question_of_ten_megabytes_is_refused() -> None:
    with pytest.raises(SchemaError, match="10,000,000 characters"):
        read_lcb_row(_row(question_content="x" * 10_000_000), "row")


def test_control_characters_are_taken_out_of_the_question() -> None:
    problem = read_lcb_row(_row(question_content="a\x1b[2Jb\x00c\u202ed\ud800e\r\nf\tg"), "row")

    assert problem.question == "a[2Jbc\u202ede\nf\tg"


def test_a_problem_without_tests_is_refused() -> None:
    with pytest.raises(SchemaError, match="no tests"):
        read_lcb_row(_row(public_test_cases="[]", private_test_cases=""), "row")


@pytest.mark.parametrize(
    "metadata",
    ["{}", "", "[]", "nope", '{"func_name": "a.b"}', '{"func_name": "x()"}', "[" * 99999],
)
def test_a_functional_test_needs_a_name_that_is_one(metadata: str) -> None:
    tests = json.dumps([{"input": "1", "output": "1", "testtype": "functional"}])

    with pytest.raises(SchemaError, match="metadata"):
        read_lcb_row(_row(public_test_cases=tests, private_test_cases="", metadata=metadata), "row")


@pytest.mark.parametrize(("given", "expected"), [("1\nnope", "1"), ("1", "nope"), ("1\n", "1")])
def test_functional_tests_must_be_json_values(given: str, expected: str) -> None:
    tests = json.dumps([{"input": given, "output": expected, "testtype": "functional"}])

    with pytest.raises(
        SchemaError, match="test 1: a functional test holds one JSON value on each line"
    ):
        read_lcb_row(
            _row(public_test_cases=tests, private_test_cases="", metadata='{"func_name": "solve"}'),
            "row",
        )


def test_mixed_kinds_of_tests_are_refused() -> None:
    functional = json.dumps([{"input": "1", "output": "1", "testtype": "functional"}])

    with pytest.raises(SchemaError, match="mixed"):
        read_lcb_row(_row(private_test_cases=functional), "row")


def _gpqa(**changes: Any) -> dict[str, Any]:
    wrong = {f"Incorrect Answer {i}": f"wrong {i}" for i in (1, 2, 3)}
    return {"Question": "Which?", "Correct Answer": "right", "Record ID": "rec1", **wrong} | changes


@pytest.mark.parametrize(
    "text", ["a\x00b", "a\x1b[2Jb", "a\x7fb", "a\x9bb", "a\ud800b", "x" * 10_000_000]
)
def test_questions_with_control_characters_or_of_ten_megabytes_are_refused(text: str) -> None:
    message = r"line 3: '\w+( \w+)*' (holds the control character|has 10,000,000 characters)"
    with pytest.raises(SchemaError, match=message):
        read_aime_row({"problem": text, "answer": "1"}, "line 3")
    for column in ("Question", "Correct Answer", "Incorrect Answer 2"):
        with pytest.raises(SchemaError, match=message):
            read_gpqa_row(_gpqa(**{column: text}), "line 3")


@pytest.mark.parametrize("identity", ["a\x1b[2J", "a\nb", "\u202e", "x" * 201, 1.5, True, ["x"]])
def test_an_id_is_a_short_printable_text(identity: Any) -> None:
    with pytest.raises(SchemaError, match="line 3: 'id'"):
        read_aime_row({"problem": "p", "answer": "1", "id": identity}, "line 3")
    with pytest.raises(SchemaError, match="line 3: 'Record ID'"):
        read_gpqa_row(_gpqa(**{"Record ID": identity}), "line 3")
    with pytest.raises(SchemaError, match="line 3: 'question_id'"):
        read_lcb_row(_row(question_id=identity), "line 3")


@pytest.mark.parametrize(
    "answer", ["9" * 5000, "1e999999999", "9**9**9", "\u0665", "-1", "", None, [1]]
)
def test_an_answer_that_is_no_integer_in_range_is_refused_at_once(answer: Any) -> None:
    with pytest.raises(SchemaError, match="line 3: 'answer'"):
        read_aime_row({"problem": "p", "answer": answer}, "line 3")


@pytest.mark.parametrize(
    "line", [b"[" * 500_000, b'{"problem": ' * 200_000, b"\xff\xfe", b'{"a": NaN', b"\x80\x04."]
)
def test_a_line_that_is_no_row_is_named(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"problem": "p", "answer": 1}\n' + line + b"\n")
    with pytest.raises(SchemaError, match=r"rows\.jsonl:2: this line is not JSON"):
        list(read_file(path))


def test_a_pickle_or_archive_in_place_of_a_file_is_refused(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    for suffix in (".jsonl", ".json", ".csv", ".parquet", ".pkl"):
        path = tmp_path / f"rows{suffix}"
        path.write_bytes(pickle.dumps(_Touch(mark)))
        with pytest.raises(SchemaError):
            [read_aime_row(row, where) for where, row in read_file(path)]
    assert not mark.exists()
