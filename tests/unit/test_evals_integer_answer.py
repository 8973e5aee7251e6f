"""Every trap of grading one integer is a case here (shared facts: grading-and-sandbox, AIME)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openthoughts_cli.evals.integer_answer import find_integer, grade_integer
from tests.growth import NEARLY_LINEAR, growth

AIME = range(1000)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r"\boxed{25}", 25),
        (r"\boxed{025}", 25),
        (r"\boxed{000}", 0),
        (r"\boxed{25.0}", 25),
        (r"\boxed{25.}", 25),
        (r"\boxed {25}", 25),
        (r"\boxed{ 25 }", 25),
        (r"\boxed{$25$}", 25),
        (r"\boxed{\(25\)}", 25),
        (r"$$\boxed{\text{25}}$$", 25),
        (r"\boxed{\mathrm{25}}", 25),
        (r"\boxed{\mathbf{\text{25}}}", 25),
        (r"\boxed{25\,}", 25),
        ("\\boxed{25\u2009}", 25),
        (r"\boxed{25\text{ cm}}", 25),
        (r"\boxed{25\text{ m}}", 25),
        (r"\boxed{25 \text{ square units}}", 25),
        (r"\boxed{25\text{ cm}^2}", 25),
        (r"\boxed{25^\circ}", 25),
        (r"\boxed{25^{\circ}}", 25),
        (r"\boxed{25°}", 25),
        (r"\boxed{25\%}", 25),
        (r"\boxed{\$25}", 25),
        (r"\boxed{x = 25}", 25),
        (r"\boxed{m+n=25}", 25),
        (r"\boxed{25},", 25),
        (r"\boxed{25.}.", 25),
        (r"\boxed{\boxed{25}}", 25),
        (r"\fboxed{3} \boxed{25}", 25),
        (r"first \boxed{7}, then finally \boxed{25}", 25),
        (r"\boxed{7} and the end is cut: \boxed{2", 7),
        (r"<think>maybe \boxed{7}</think> It is \boxed{25}.", 25),
        (r"maybe \boxed{7}</think> It is \boxed{25}.", 25),
        ("ANSWER: 25", 25),
        ("Answer: 025.", 25),
        ("**Answer:** 25", 25),
        ("**Final Answer**: $25$", 25),
        ("## Answer\nANSWER:\n25", 25),
        ("So the answer is 25.", 25),
        ("The final answer is: **25**", 25),
        ("The answer is 25 apples. I hope that helps.", 25),
        ("The answer is 7. No, wait.\nThe answer is 25.", 25),
        ("ANSWER: 25\n\nI hope this answer is helpful.", 25),
        ("The answer is 25. Check: 3 + 22 = 25.", 25),
    ],
)
def test_a_stated_integer_is_read(text: str, value: int):
    assert find_integer(text, AIME) == (value, "")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "25",
        "The sum is 25",
        "We get 3 apples and 4 pears, so 7.",
        r"\boxed{70 or 71}",
        r"\boxed{70 \text{ or } 71}",
        r"\boxed{70, 71}",
        r"\boxed{a=70, b=71}",
        r"\boxed{70} or \boxed{71}",
        "ANSWER: 70 or 71",
        "The answer is 70 or 71.",
        "The answer is not 25",
        r"\boxed{25.5}",
        r"\boxed{25000.0}",
        r"\boxed{1{,}000}",
        r"\boxed{1,000}",
        r"\boxed{1\,000}",
        r"\boxed{-25}",
        r"\boxed{1000}",
        r"\boxed{}",
        r"\boxed{x}",
        r"\boxed{25x}",
        r"\boxed{25!}",
        r"\boxed{25\pi}",
        r"\boxed{25\sqrt{2}}",
        r"\boxed{\frac{50}{2}}",
        r"\boxed{50/2}",
        r"\boxed{5^2}",
        r"\boxed{2 \cdot 5}",
        r"\boxed{2 hundred}",
        r"\boxed{\approx 25}",
        r"\boxed{x \neq 25}",
        r"\boxed{n \le 25}",
        r"\boxed{N \equiv 25 \pmod{1000}}",
        r"\boxed{25 mod 1000}",
        r"\boxed{2.5e1}",
        "\\boxed{\u0662\u0665}",
        r"\boxed{25²}",
        r"\boxed{7} then \boxed{unknown}",
        r"\boxed{unknown}. ANSWER: 25",
        r"<think>the answer is \boxed{25}",
        r"<think>a</think> \boxed{25} <think>but",
        r"<think>\boxed{25}</think> I am done.",
        "The answer is C",
        "What is the answer? 25",
        r"\boxed{" + "9" * 5000 + "}",
    ],
)
def test_what_states_no_single_integer_has_no_answer(text: str):
    value, why = find_integer(text, AIME)
    assert value is None
    assert why


def test_no_answer_is_not_correct_and_says_why():
    grade = grade_integer("no idea", 25, AIME)
    assert (grade.parsed, grade.correct, grade.verdict) == (None, False, "no-answer")
    assert "no box" in grade.diagnosis
    assert "never ends" in grade_integer("<think>\\boxed{25}", 25).diagnosis
    assert "1000, outside 0..999" in grade_integer(r"\boxed{1{,}000}", 25, AIME).diagnosis


def test_a_wrong_answer_names_the_right_one():
    grade = grade_integer(r"\boxed{2500}", 25)
    assert (grade.parsed, grade.correct, grade.verdict) == ("2500", False, "wrong")
    assert "expected 25" in grade.diagnosis


def test_without_a_range_any_integer_counts():
    assert grade_integer(r"\boxed{1{,}234}", 1234).correct
    assert grade_integer(r"\boxed{1\,234\text{ coins}}", 1234).correct
    assert grade_integer(r"\boxed{-12}", -12).correct


@given(st.integers(0, 999), st.sampled_from(["{}", "0{}", "{}.0", "${}$", r"\text{{{}}}", "{}."]))
def test_every_notation_of_a_value_reads_back(value: int, form: str):
    assert find_integer(f"so \\boxed{{{form.format(value)}}}", AIME) == (value, "")


@given(st.text())
def test_any_text_is_graded_without_an_error(text: str):
    assert grade_integer(text, 1).correct in (True, False)


@given(st.text(alphabet="\\boxed{}<think/>0123456789 answer:is.\n", max_size=300))
def test_text_made_of_the_marks_is_graded_without_an_error(text: str):
    value, _ = find_integer(text, AIME)
    assert value is None or value in AIME


@pytest.mark.parametrize(
    ("opening", "repeated", "size"),
    [
        ("", "\\boxed{", 25_000),
        ("", "<think>", 25_000),
        ("", "answer is ", 25_000),
        ("answer: ", "a", 250_000),
        ("", " ", 250_000),
    ],
)
def test_hostile_text_costs_as_much_as_it_is_long(opening: str, repeated: str, size: int):
    def grade(size: int) -> None:
        assert grade_integer(opening + repeated * size, 25).correct is False

    assert growth(grade, size) < NEARLY_LINEAR


@pytest.mark.parametrize(
    "text",
    [
        "\\boxed{25" + "a" * 190 + "!}",
        "\\boxed{" + "\\text{" * 30 + "}" * 31,
        "\\boxed{" + "1,000" * 39 + "}",
    ],
)
def test_text_that_could_be_split_in_very_many_ways_is_graded_at_all(text: str):
    assert grade_integer(text, 25).correct is False  # trying all of them would never end
