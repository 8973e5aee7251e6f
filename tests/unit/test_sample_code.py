"""The sample's code rows are right: every solution is run and compared with an oracle."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from itertools import product
from typing import Any

import pyarrow.parquet as pq
import pytest

from openthoughts_cli.data.sample import sample_path
from openthoughts_cli.data.sample.code_rows import code_questions

BLOCK = re.compile(r"```python\n(.*?)\n```", re.DOTALL)
EXAMPLE = re.compile(r"^    solve\((.*)\) == (.*)$", re.MULTILINE)


def in_base(number: int, base: int) -> list[int]:
    return [number // base**place % base for place in range(12)]


def runs_of(digits: list[int], wanted: int) -> int:
    text = "".join("x" if digit == wanted else " " for digit in digits)
    return max((len(run) for run in text.split()), default=0)


def fewest_coins(amount: int, small: int, large: int) -> int:
    return min(
        amount - small * s - large * b + s + b
        for s, b in product(range(amount + 1), repeat=2)
        if small * s + large * b <= amount
    )


def climbs(steps: int, most: int) -> int:
    if steps <= 0:
        return int(steps == 0)
    return sum(climbs(steps - move, most) for move in range(1, most + 1))


def last_person(people: int, count: int) -> int:
    circle, place = list(range(1, people + 1)), 0
    while len(circle) > 1:
        place = (place + count - 1) % len(circle)
        del circle[place]
    return circle[0]


def grid_paths(rows: int, columns: int) -> int:
    if rows == 1 or columns == 1:
        return 1
    return grid_paths(rows - 1, columns) + grid_paths(rows, columns - 1)


def caesar(text: str, shift: int) -> str:
    letters = "abcdefghijklmnopqrstuvwxyz"
    return "".join(
        letters[(letters.index(char) + shift) % 26] if char in letters else char for char in text
    )


def bubble_swaps(values: list[int]) -> int:
    return sum(a > b for i, a in enumerate(values) for b in values[i:])


# Which number of the statement is the parameter, and what the function must return.
ORACLES: dict[str, tuple[int, Callable[[int, Any], Any]]] = {
    "sum of multiples": (0, lambda k, x: sum(v for v in x if v / k == v // k)),
    "count above": (0, lambda k, x: len([v for v in x if v > k])),
    "rotate": (0, lambda k, x: (x * (k + 1))[k : k + len(x)]),
    "caesar": (0, lambda k, x: caesar(x, k)),
    "base digits": (0, lambda k, x: sum(in_base(x, k))),
    "longest run": (0, lambda k, x: runs_of(x, k)),
    "pairs with sum": (0, lambda k, x: sum(a + b == k for a in x for b in x if a < b)),
    "window": (
        0,
        lambda k, x: max((sum(x[i : i + k]) for i in range(len(x) - k + 1)), default=0),
    ),
    "stairs": (1, lambda k, x: climbs(x, k)),
    "josephus": (2, lambda k, x: last_person(x, k)),
    "grid paths": (0, grid_paths),
    "every kth": (1, lambda k, x: "".join(c for i, c in enumerate(x) if i % k == 0)),
    "power sum": (0, lambda k, x: sum(i**k for i in range(x + 1))),
    "drop digits": (0, lambda k, x: "".join(c for c in str(x) if int(c) != k)),
    "divisible count": (1, lambda k, x: sum(i % k == 0 for i in range(1, x + 1))),
    "chunks": (0, lambda k, x: [x[i * k : i * k + k] for i in range(-(-len(x) // k))]),
    "largest values": (0, lambda k, x: sorted(x, reverse=True)[:k]),
    "modular power": (1, lambda k, x: 2**x % k),
    "repeated letters": (0, lambda k, x: "".join(c for c in x for _ in range(k))),
}


@pytest.fixture(scope="module")
def rows() -> list[tuple[str, str, str]]:
    """(kind, question, answer) of the closed code rows."""
    kinds = {question.text: question.kind for question in code_questions()}
    table = pq.read_table(sample_path()).to_pylist()
    turns = [row["conversations"] for row in table if row["domain"] == "code"]
    pairs = [(human["value"], gpt["value"]) for human, gpt in turns]
    return [(kinds[text], text, answer) for text, answer in pairs if "</think>" in answer]


def solver(answer: str) -> Callable[[Any], Any]:
    (code,) = BLOCK.findall(answer)
    scope: dict[str, Any] = {}
    exec(compile(code, "solution", "exec"), scope)
    return scope["solve"]


def expected(kind: str, question: str, argument: Any) -> Any:
    numbers = [int(n) for n in re.findall(r"\d+", question.partition("Examples")[0])]
    if kind == "coins":
        return fewest_coins(argument, numbers[1], numbers[2])
    if kind == "bubble swaps":
        return bubble_swaps(argument)
    at, oracle = ORACLES[kind]
    return oracle(numbers[at], argument)


def more_inputs(kind: str, example: Any) -> list[Any]:
    if isinstance(example, str):
        return ["", "a", "xyz abc", "Mixed Case 42", example[::-1]]
    if isinstance(example, list):
        return [[], example[:1], example[::-1], example[1:], example[2:5]]
    return list(range(1 if kind in ("josephus", "grid paths") else 0, 11))


def test_every_solution_returns_what_the_question_asks_for(
    rows: list[tuple[str, str, str]],
) -> None:
    assert len(rows) >= 400
    for kind, question, answer in rows:
        solve = solver(answer)
        if kind == "bubble swaps":
            inputs = [ast.literal_eval(f"[{found}]") for found in re.findall(r"\[(.*)\]", question)]
            inputs += [[], [1], [2, 1], [3, 1, 2]]
        else:
            examples = [ast.literal_eval(given) for given, _ in EXAMPLE.findall(question)]
            assert len(examples) == 2
            inputs = examples + more_inputs(kind, examples[0])
        for argument in inputs:
            assert solve(argument) == expected(kind, question, argument), (question, argument)


def test_the_examples_of_the_questions_are_true(rows: list[tuple[str, str, str]]) -> None:
    for kind, question, _ in rows:
        for given, result in EXAMPLE.findall(question):
            assert ast.literal_eval(result) == expected(kind, question, ast.literal_eval(given))


def test_what_the_traces_say_about_calls_is_true(rows: list[tuple[str, str, str]]) -> None:
    checked = 0
    for kind, question, answer in rows:
        prose = BLOCK.sub("", answer)
        for call in re.finditer(r"solve\((.*?)\) (?:==|is|gives) ", prose):
            result = repr(expected(kind, question, ast.literal_eval(call[1])))
            assert prose.startswith(result, call.end()), (question, call[1])
            checked += 1
    assert checked >= 800


def test_byte_counts_are_counted(rows: list[tuple[str, str, str]]) -> None:
    claims = 0
    for _, question, answer in rows:
        for size in re.findall(r"(\d+) bytes", answer):
            (code,) = BLOCK.findall(answer)
            assert int(size) == len(code.encode()), question
            claims += 1
    assert claims >= 190


def test_the_long_traces_count_the_swaps(rows: list[tuple[str, str, str]]) -> None:
    long = [(question, answer) for kind, question, answer in rows if kind == "bubble swaps"]
    assert len(long) >= 10
    for question, answer in long:
        values = ast.literal_eval(re.findall(r"\[.*\]", question)[0])
        assert f"In all there are {bubble_swaps(values)} swaps." in answer
        for left, sign, right in re.findall(r"(\d+) ([<>]) (\d+) at place", answer):
            assert (int(left) > int(right)) == (sign == ">")
        for left, right, verdict in re.findall(r"Is (\d+) > (\d+)\? (Yes|No)", answer):
            assert (int(left) > int(right)) == (verdict == "Yes")
        for left, verdict, right in re.findall(r"(\d+) is (smaller|larger) than (\d+)", answer):
            assert (int(left) < int(right)) == (verdict == "smaller")
