"""The sample's math rows are right: answers recomputed from the questions, equations checked."""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from operator import add, mul, sub
from typing import Any

import pyarrow.parquet as pq
import pytest

from openthoughts_cli.data.sample import sample_path
from openthoughts_cli.data.sample.math_rows import math_questions, math_stories
from openthoughts_cli.problems.stories import side_of

EQUATION = re.compile(r"(?<![\w.])((?:\d+ [-+*/] )+\d+) = (\d+)(?![\w])")
BOXED = re.compile(r"\\boxed\{(-?\d+)\}")


def value(expression: str) -> Fraction:
    """The value of `3 * 703 + 1`: products and quotients first, then sums, left to right."""
    terms: list[Fraction] = []
    sign = 1
    numbers_and_signs = iter(expression.split())
    terms.append(Fraction(next(numbers_and_signs)))
    for op in numbers_and_signs:
        number = Fraction(next(numbers_and_signs))
        match op:
            case "*":
                terms[-1] *= number
            case "/":
                terms[-1] /= number
            case _:
                sign = 1 if op == "+" else -1
                terms.append(sign * number)
    return sum(terms, Fraction(0))


def divisor_count(number: int) -> int:
    count, prime = 1, 2
    while number > 1:
        power = 0
        while number % prime == 0:
            number, power = number // prime, power + 1
        count, prime = count * (power + 1), prime + 1
    return count


def collatz_steps(number: int) -> int:
    return 0 if number == 1 else 1 + collatz_steps(3 * number + 1 if number % 2 else number // 2)


def term(start: int, factor: int, shift: int, modulus: int, index: int) -> int:
    """The closed form of a linear recurrence modulo a prime."""
    powers = pow(factor, index - 1, modulus)
    return (powers * start + shift * (powers - 1) * pow(factor - 1, -1, modulus)) % modulus


ANSWERS: dict[str, Callable[..., int]] = {
    "purchase": mul,
    "giving": sub,
    "gathering": add,
    "sharing": lambda whole, parts: whole // parts,
    "rows": mul,
    "journey": mul,
    "packs": lambda boxes, each, more: boxes * each + more,
    "change": lambda money, count, price: money - count * price,
    "ages": lambda age, times, years: age * times + years,
    "pooling": lambda first, second, parts: (first + second) // parts,
    "divisors": divisor_count,
    "collatz": lambda start, _three, _one, _end: collatz_steps(start),
    "sequence": term,
}


@pytest.fixture(scope="module")
def rows() -> list[tuple[str, str]]:
    table = pq.read_table(sample_path()).to_pylist()
    turns: list[list[dict[str, Any]]] = [
        row["conversations"] for row in table if row["domain"] == "math"
    ]
    return [(human["value"], gpt["value"]) for human, gpt in turns]


def test_every_closed_answer_is_what_the_question_asks_for(rows: list[tuple[str, str]]) -> None:
    kinds = {question.text: question.kind for question in math_questions()}
    closed = 0
    for text, answer in rows:
        numbers = [int(number) for number in re.findall(r"\d+", text)]
        expected = ANSWERS[kinds[text]](*numbers)
        if "</think>" in answer:
            closed += 1
            assert [int(found) for found in BOXED.findall(answer)] == [expected], text
            assert "\\boxed" in answer.partition("</think>")[2]
    assert closed >= 1_400


def test_every_kind_is_told_often_enough(rows: list[tuple[str, str]]) -> None:
    kinds = {question.text: question.kind for question in math_questions()}
    told = [kinds[text] for text, _ in rows]
    assert {kind: told.count(kind) for kind in ANSWERS if told.count(kind) != 144} == {
        "divisors": 8,
        "collatz": 8,
        "sequence": 8,
    }


def test_every_equation_is_true(rows: list[tuple[str, str]]) -> None:
    for text, answer in rows:
        equations = EQUATION.findall(answer)
        assert equations, text
        for left, right in equations:
            assert value(left) == int(right), f"{left} = {right} in {text}"


def test_no_equation_escapes_the_check(rows: list[tuple[str, str]]) -> None:
    for text, answer in rows:
        thinking = answer.partition("</think>")[0]
        written = len(re.findall(r"= \d", thinking))
        assert len(EQUATION.findall(thinking)) == written, text


def test_short_traces_end_their_equations_with_the_answer(rows: list[tuple[str, str]]) -> None:
    for _, answer in rows:
        if len(answer) > 2_000 or "</think>" not in answer:
            continue
        results = [right for _, right in EQUATION.findall(answer.partition(" Check: ")[0])]
        assert results[-1] == BOXED.findall(answer)[-1]


def test_most_rows_fit_a_laptop(rows: list[tuple[str, str]]) -> None:
    """About 3.8 characters are one SmolLM2 token here; its template adds about 34."""
    lengths = sorted(len(text) + len(answer) for text, answer in rows)
    assert lengths[len(lengths) // 2] < 300
    assert lengths[len(lengths) * 95 // 100] < 380


def test_the_stories_are_on_the_sample_side() -> None:
    stories = math_stories()
    assert {side_of(story.kind, story.numbers) for story in stories} == {"sample"}
    assert len({(story.kind, story.numbers) for story in stories}) == len(stories) == 360


def test_the_checker_notices_a_wrong_equation() -> None:
    assert value("3 * 703 + 1") == 2110
    assert value("20 - 2 * 7 - 1") == 5
    assert value("84 / 12") == 7
    assert EQUATION.findall("So 6 * 4 = 25.") == [("6 * 4", "25")]
    assert value("6 * 4") != 25
