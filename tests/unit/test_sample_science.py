"""The sample's science rows are right: values recomputed from the questions alone."""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pyarrow.parquet as pq
import pytest

from openthoughts_cli.data.sample import sample_path
from openthoughts_cli.data.sample.science_rows import science_questions

EQUATION = re.compile(r"(?<![\w.])((?:\d+ [-+*/] )+\d+) = (\d+)(?![\w])")
BOXED = re.compile(r"\\boxed\{(-?\d+)\}")
MASS = {"C": 12, "H": 1, "N": 14, "O": 16}

PHYSICS: dict[str, Callable[..., Fraction | int]] = {
    "final speed": lambda u, a, t: u + a * t,
    "distance from rest": lambda a, t: Fraction(1, 2) * a * t**2,
    "ohm": lambda i, r: r * i,
    "electric power": lambda u, i: u * i,
    "kinetic energy": lambda m, v: Fraction(m * v**2, 2),
    "potential energy": lambda m, h, g: m * g * h,
    "force": lambda m, a: m * a,
    "sticking together": lambda m, v, n: Fraction(m * v, m + n),
    "heat": lambda m, t, c: m * t * c,
    "cart": lambda u, a, n: sum(u + a * second for second in range(n)),
}


def atoms(question: str) -> dict[str, int]:
    found = re.search(r", ((?:[CHNO]\d*)+)(?=[,?])", question)
    assert found, question
    counts = dict.fromkeys(MASS, 0)
    for symbol, count in re.findall(r"([CHNO])(\d*)", found[1]):
        counts[symbol] += int(count or 1)
    return counts


def oxygen_to_burn(counts: dict[str, int]) -> Fraction:
    """The coefficient of O2 for the smallest amount of fuel that makes all of them whole."""
    for fuel in range(1, 9):
        water = Fraction(fuel * counts["H"], 2)
        oxygen = fuel * counts["C"] + (water - fuel * counts["O"]) / 2
        if water.denominator == oxygen.denominator == 1:
            return oxygen
    raise AssertionError(counts)


def chemistry(kind: str, question: str) -> Fraction | int:
    if kind == "alkanes":
        return sum(12 * n + 2 * n + 2 for n in range(1, int(re.findall(r"\d+", question)[-1]) + 1))
    counts = atoms(question)
    molar = sum(MASS[symbol] * count for symbol, count in counts.items())
    first = re.search(r"\d+", question)
    amount = int(first[0]) if first else 0
    match kind:
        case "molar mass":
            return molar
        case "mass of an amount":
            return amount * molar
        case "amount of a mass":
            return Fraction(amount, molar)
        case "unsaturation":
            return 1 + counts["C"] - Fraction(counts["H"], 2) + Fraction(counts["N"], 2)
        case _:
            assert kind == "combustion"
            return oxygen_to_burn(counts)


def physics(kind: str, question: str) -> Fraction | int:
    plain = question.replace("s^2", "")
    return PHYSICS[kind](*(int(number) for number in re.findall(r"\d+", plain)))


@pytest.fixture(scope="module")
def rows() -> list[tuple[str, str, str, str]]:
    """(source, kind, question, answer) of all science rows."""
    known = {question.text: (question.source, question.kind) for question in science_questions()}
    table = pq.read_table(sample_path()).to_pylist()
    turns: list[list[dict[str, Any]]] = [
        row["conversations"] for row in table if row["domain"] == "science"
    ]
    return [(*known[human["value"]], human["value"], gpt["value"]) for human, gpt in turns]


def test_every_closed_answer_is_what_the_question_asks_for(
    rows: list[tuple[str, str, str, str]],
) -> None:
    closed = [row for row in rows if "</think>" in row[3]]
    assert len(closed) >= 480
    for source, kind, question, answer in closed:
        expected = (chemistry if source == "chemistry" else physics)(kind, question)
        assert [int(found) for found in BOXED.findall(answer)] == [expected], question


def test_every_equation_is_true(rows: list[tuple[str, str, str, str]]) -> None:
    for _, _, question, answer in rows:
        for left, right in EQUATION.findall(answer):
            numbers = re.sub(r"(\d+)", r"Fraction(\1)", left)
            assert eval(numbers, {"Fraction": Fraction}) == int(right), f"{left} in {question}"


def test_every_closed_trace_works_out_its_answer(rows: list[tuple[str, str, str, str]]) -> None:
    for _, _, question, answer in rows:
        thinking, closed, _ = answer.partition("</think>")
        if closed:
            results = {right for _, right in EQUATION.findall(thinking)}
            assert BOXED.findall(answer)[0] in results, question


def test_the_kinds_are_many(rows: list[tuple[str, str, str, str]]) -> None:
    assert {kind for source, kind, _, _ in rows if source == "physics"} == set(PHYSICS)
    assert len({kind for source, kind, _, _ in rows if source == "chemistry"}) == 6
