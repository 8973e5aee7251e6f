"""Every trap of grading one letter is a case here (shared facts: grading-and-sandbox, GPQA)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openthoughts_cli.evals.choice_answer import find_choice, grade_choice
from tests.growth import NEARLY_LINEAR, growth


@pytest.mark.parametrize(
    "text",
    [
        r"\boxed{C}",
        r"\boxed{c}",
        r"\boxed{\text{C}}",
        r"\boxed{\mathrm{C}}",
        r"\boxed{(C)}",
        r"\boxed{\text{(C)}}",
        r"\boxed{C)}",
        r"\boxed{C.}",
        r"\boxed{**C**}",
        r"\boxed{$C$}",
        r"\boxed{C) 3.2 eV}",
        r"\boxed{(C) A and B together}",
        r"\boxed{\text{Option C}}",
        r"\boxed{A} no, \boxed{C}",
        r"\boxed{C} and then \boxed{",
        r"<think>\boxed{A}</think>\boxed{C}",
        r"A is wrong</think>\boxed{C}",
        "Answer: C",
        "ANSWER: (C)",
        "Answer: c",
        "Answer: C)",
        "**Answer: C**",
        "**Answer:** **C**",
        "Answer: \\text{C}",
        "The correct answer is C.",
        "The answer is option C.",
        "The answer is (C), since A is too small.",
        "The answer is C because B is false.",
        "Answer: C) it doubles",
        "Answer: A\nOn second thought,\nAnswer: C",
        "Answer: C\n\nThis answer is based on the text.",
    ],
)
def test_a_stated_choice_is_read(text: str):
    assert find_choice(text) == ("C", "")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "C",
        "Compound C reacts with A, so B it is.",
        "I think it is C.",
        "The answer is a molecule.",
        "Answer: A proton is emitted",
        "The answer is Carbon",
        "The answer is not clear to me; option B looks fine.",
        r"\boxed{A or B}",
        r"\boxed{AC}",
        r"\boxed{A, C}",
        r"\boxed{A molecule}",
        r"\boxed{Carbon}",
        r"\boxed{E}",
        r"\boxed{}",
        r"\boxed{12}",
        r"\boxed{A} or \boxed{C}",
        r"\boxed{none}. Answer: C",
        "Answer: A or C",
        "Answer: (A) or (C)",
        "Answer: A, C",
        "Answer: B\nBut really,\nAnswer: A or C",
        r"<think>\boxed{C}",
        r"<think>\boxed{C}</think> done",
        "What is the answer? C",
    ],
)
def test_what_states_no_single_choice_has_no_answer(text: str):
    letter, why = find_choice(text)
    assert letter is None
    assert why


def test_the_grade_compares_letters():
    assert grade_choice(r"\boxed{c}", "C").correct is True
    wrong = grade_choice(r"\boxed{A}", "C")
    assert (wrong.parsed, wrong.correct, wrong.verdict) == ("A", False, "wrong")
    none = grade_choice("C", "C")
    assert (none.parsed, none.correct, none.verdict) == (None, False, "no-answer")


@given(st.text())
def test_any_text_is_graded_without_an_error(text: str):
    assert grade_choice(text, "A").correct in (True, False)


@pytest.mark.parametrize(
    ("opening", "repeated"),
    [("", "\\boxed{"), ("", "answer is A "), ("answer: the ", "the ")],
)
def test_hostile_text_costs_as_much_as_it_is_long(opening: str, repeated: str):
    def grade(size: int) -> None:
        assert grade_choice(opening + repeated * size, "C").correct is False

    assert growth(grade, 25_000) < NEARLY_LINEAR
