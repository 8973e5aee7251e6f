"""The official rules of equality, and the values that try to be equal to everything."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openthoughts_cli.evals.lcb_compare import (
    compare_outputs,
    compare_values,
    read_arguments,
    read_value,
)
from openthoughts_cli.evals.lcb_inside import _plain  # pyright: ignore[reportPrivateUsage]


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        ("3", "3"),
        ("3\n", "3"),
        ("\n\n 3 \n\n", "3"),
        ("1 2\r\n3\r\n", "1 2\n3"),
        ("  a b\nc  ", "a b\nc"),
        ("3.0", "3"),
        ("0.50 1e2", "0.5 100"),
        ("1   2", "1 2.0"),
        ("007", "7"),
        ("+5", "5"),
        ("-0", "0"),
        ("Yes\n\nNo", "Yes\n\nNo"),
        ("", ""),
        ("\n", ""),
    ],
)
def test_outputs_that_are_equal(printed: str, expected: str) -> None:
    assert compare_outputs(printed, expected) is None


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        ("4", "3"),
        ("3.0000001", "3"),
        ("1 2", "1 2 3"),
        ("1 2 3", "1 2"),
        ("1\n2", "1 2"),
        ("1 2", "1\n2"),
        ("yes", "Yes"),
        ("a  b", "a b"),
        ("1 a", "1.0 a"),
        ("", "0"),
        ("nan", "NaN"),
        ("sNaN", "sNaN1"),
        ("sNaN", "1"),
        ("1e99999999999999999999", "1"),
        ("3\n\n4", "3\n4"),
        ("\ufffd", "x"),
    ],
)
def test_outputs_that_differ(printed: str, expected: str) -> None:
    difference = compare_outputs(printed, expected)

    assert difference is not None
    assert difference.text.isprintable()


def test_the_first_line_that_differs_is_named() -> None:
    difference = compare_outputs("1\n2\n9\n8", "1\n2\n3\n4")

    assert difference is not None
    assert difference.text == "line 3: '9' where '3' is expected"


def test_numbers_of_many_digits_are_compared_exactly() -> None:
    digits = "1" + "0" * 300_000

    assert compare_outputs(digits + ".0", digits) is None
    assert compare_outputs(digits + "1", digits) is not None


def test_long_differences_are_shown_short() -> None:
    difference = compare_outputs("x" * 10_000_000, "y" * 10_000_000)

    assert difference is not None
    assert len(difference.text) < 200


_json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(_json_values)
def test_a_value_equals_itself_through_the_channel(value: Any) -> None:
    assert compare_values(json.dumps(_plain(value)).encode(), value) is None


@given(_json_values, _json_values)
def test_the_channel_keeps_apart_what_python_keeps_apart(one: Any, other: Any) -> None:
    equal = compare_values(json.dumps(_plain(one)).encode(), other) is None

    assert equal == (one == other)


class _EqualToAll:
    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0


class _EqualList(list[int], _EqualToAll):
    pass


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (_EqualToAll(), 3),
        ([_EqualToAll()], [3]),
        (_EqualList([1]), [3]),
        ({1: 2}, {"1": 2}),
        ([(1, 2)], [[1, 2]]),
        ({1, 2}, [1, 2]),
        (b"a", "a"),
        (None, []),
        ("1", 1),
        ([10**5000], [3]),
        (float("nan"), float("nan")),
        (object, "object"),
    ],
)
def test_values_that_differ(value: Any, expected: Any) -> None:
    difference = compare_values(json.dumps(_plain(value)).encode(), expected)

    assert difference is not None
    assert difference.text.isprintable()


def test_values_that_are_equal_though_of_another_kind() -> None:
    import collections
    import decimal
    import fractions

    import numpy as np

    for value, expected in [
        (1.0, 1),
        (True, 1),
        (np.int64(3), 3),
        ([np.float64(0.5), np.bool_(True)], [0.5, True]),
        (fractions.Fraction(1, 2), 0.5),
        (decimal.Decimal(7), 7),
        (collections.Counter("aab"), {"a": 2, "b": 1}),
        (10**5000, 10**5000),
    ]:
        assert compare_values(json.dumps(_plain(value)).encode(), expected) is None


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"{",
        b'{"dict": 1}',
        b'{"x": {}}',
        b"[" * 100_000,
        b'{"hex": "zz"}',
        b"\xff\xfe",
        b"9" * 9999,
    ],
)
def test_a_forged_reply_equals_nothing(reply: bytes) -> None:
    assert compare_values(reply, 3) is not None


def test_arguments_are_one_json_value_a_line() -> None:
    assert read_arguments('[1, 2]\n"a"\nnull') == [[1, 2], "a", None]
    with pytest.raises(ValueError, match="Expecting value"):
        read_arguments("1\n")
    with pytest.raises(ValueError, match="too deeply"):
        read_value("[" * 100_000)
