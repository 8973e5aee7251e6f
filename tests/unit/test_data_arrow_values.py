"""Arrow arrays made and read without pandas: the same as pyarrow's own."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openthoughts_cli.data.arrow_values import (
    flags_of,
    int_column,
    name_column,
    numbers_of,
    take_rows,
    text_column,
)

TEXTS = st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"])), max_size=12)
NAMES = pa.dictionary(pa.int32(), pa.string())


@settings(deadline=None)
@given(TEXTS)
def test_texts_are_those_of_pyarrow(values: list[str | None]) -> None:
    for kind in (pa.large_string(), pa.string()):
        made = text_column(values, kind)
        made.validate(full=True)
        assert made.equals(pa.array(values, kind))
        assert text_column([value and value.encode() for value in values], kind).equals(made)


@pytest.mark.parametrize("kind", [pa.int64(), pa.int32(), pa.uint64()])
@settings(deadline=None)
@given(values=st.lists(st.none() | st.integers(0, 2**31 - 1), max_size=20))
def test_numbers_go_there_and_back(kind: Any, values: list[int | None]) -> None:
    made = int_column(values, kind)
    made.validate(full=True)
    assert made.equals(pa.array(values, kind))
    wanted = [7 if value is None else value for value in values]
    assert numbers_of(made, 7).tolist() == wanted
    half = len(values) // 2
    assert numbers_of(made[half:], 7).tolist() == wanted[half:]
    assert numbers_of(pa.chunked_array([made[:half], made[half:]]), 7).tolist() == wanted


@settings(deadline=None)
@given(st.lists(st.none() | st.booleans(), max_size=20))
def test_flags_go_there_and_back(values: list[bool | None]) -> None:
    made = int_column(values, pa.bool_())
    made.validate(full=True)
    assert made.equals(pa.array(values, pa.bool_()))
    wanted = [bool(value) for value in values]
    assert flags_of(made).tolist() == wanted
    assert flags_of(made[1:]).tolist() == wanted[1:]


@settings(deadline=None)
@given(st.lists(st.none() | st.sampled_from(["math", "code", "", "é"]), max_size=20))
def test_names_are_stored_once(values: list[str | None]) -> None:
    made = name_column(values, NAMES)
    made.validate(full=True)
    assert made.equals(pa.array(values, NAMES))


def test_rows_are_taken_by_number() -> None:
    column = pa.array(["a", "b", "c"], pa.large_string())
    assert take_rows(column, np.array([2, 0])).to_pylist() == ["c", "a"]
    assert take_rows(column, []).to_pylist() == []


def test_more_text_than_offsets_count_is_refused() -> None:
    long = b"x" * (1 << 20)
    with pytest.raises(OverflowError, match="2,147,483,648 bytes"):
        text_column([long] * 2048, pa.string())


def test_an_array_of_no_chunks_has_no_rows() -> None:
    assert numbers_of(pa.chunked_array([], pa.int64())).tolist() == []
    assert flags_of(pa.chunked_array([], pa.bool_())).tolist() == []


def test_nothing_here_imports_pandas() -> None:
    pytest.importorskip("pandas")
    code = (
        "import sys, pyarrow as pa\n"
        "from openthoughts_cli.data.arrow_values import *\n"
        "column = text_column(['a', 'b'])\n"
        "take_rows(column, [1]); numbers_of(int_column([1, None], pa.int32()))\n"
        "flags_of(int_column([True, None], pa.bool_()))\n"
        "name_column(['a', None], pa.dictionary(pa.int32(), pa.string()))\n"
        "assert 'pandas' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
