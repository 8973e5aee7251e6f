"""Row and question identity, and the two parts of an answer."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from openthoughts_cli.data.rows import (
    Row,
    canonical_digest,
    content_hash,
    normal_question,
    question_hash,
    row_id,
)
from openthoughts_cli.data.trace import split_trace


def test_ids_are_the_same_for_ever() -> None:
    content = content_hash("s", "math", 7, b"q", "añ".encode())
    assert row_id(content, 3) == "644848744dcc0717fc94baa9e3952096-3"
    assert question_hash("What is 2?") == "599f9dc8f55d7dc00ef4103233b1bb98"


@given(st.tuples(*[st.binary(max_size=6)] * 2), st.tuples(*[st.binary(max_size=6)] * 2))
def test_different_contents_have_different_hashes(
    one: tuple[bytes, bytes], two: tuple[bytes, bytes]
) -> None:
    same = content_hash("s", "d", None, *one) == content_hash("s", "d", None, *two)
    assert same == (one == two)


def test_a_missing_difficulty_is_no_number() -> None:
    assert len({content_hash("s", "d", level, b"q", b"a") for level in (None, 0, -1, 6)}) == 4


def test_questions_that_differ_in_form_alone_are_one() -> None:
    assert question_hash("Caf\u00e9  is\n open?") == question_hash("cafe\u0301 is open? ")
    assert question_hash("is it 1?") != question_hash("is it 2?")


@given(st.text())
def test_normalising_twice_changes_nothing(text: str) -> None:
    once = normal_question(text)
    assert question_hash(once) == question_hash(text)


def test_the_digest_sees_order_and_counts() -> None:
    a = Row("a-0", "qa", "s", "d", None, "", "", 5, 1, 2, 2)
    b = Row("b-0", "qb", "s", "d", None, "", "", 5, 1, 2, 2)
    digests = {canonical_digest(rows) for rows in ([a, b], [b, a], [a], [a._replace(tokens=6), b])}
    assert len(digests) == 4


@given(st.text(), st.sampled_from(["", "<think>", "</think>"]), st.text())
def test_a_trace_is_cut_without_loss(before: str, middle: str, after: str) -> None:
    text = before + middle + after
    trace = split_trace(text)
    assert trace.thinking + trace.answer == text
    assert trace.closed == ("</think>" in text)


def test_a_trace_that_is_never_closed_is_all_thinking() -> None:
    assert split_trace("<think>on and on") == ("<think>on and on", "", False)
    assert split_trace("a plain answer") == ("", "a plain answer", False)
    assert split_trace("<think>a</think>b</think>c") == ("<think>a</think>", "b</think>c", True)
