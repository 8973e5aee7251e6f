"""Long code questions of the sample: what a sort does, followed comparison by comparison."""

from __future__ import annotations

from openthoughts_cli.data.sample.rows import LABEL, Question, thought
from openthoughts_cli.problems.dice import Dice

__all__ = ["long_code_questions"]

_LENGTHS = (20, 21, 22)

_SORTING = """\
def solve(values):
    values = list(values)
    swaps = 0
    for end in range(len(values) - 1, 0, -1):
        for i in range(end):
            if values[i] > values[i + 1]:
                values[i], values[i + 1] = values[i + 1], values[i]
                swaps += 1
    return swaps"""

_COUNTING = """\
def solve(values):
    return sum(
        values[i] > values[j]
        for j in range(len(values))
        for i in range(j)
    )"""


def long_code_questions() -> list[Question]:
    """Three questions about the swaps of bubble sort, with the work done by hand as well."""
    return [_question(length) for length in _LENGTHS]


def _question(length: int) -> Question:
    values = Dice(LABEL, "bubble", length).shuffled(range(1, length + 1))
    sorting, counting = _bubble(values), _inversions(values)
    swaps = sum(a > b for i, a in enumerate(values) for b in values[i + 1 :])
    call = f"solve({values}) == {swaps}"
    text = (
        "Write a Python function `solve` that returns how many swaps bubble sort makes on a list "
        f"of distinct integers. Work out by hand what it returns for {values}."
    )
    return Question(
        kind="bubble swaps",
        source="opencode",
        text=text,
        answers=(
            _told("I follow the sort, one comparison a line.", sorting[0], swaps, _SORTING, call),
            _told("Each swap removes one inversion.", counting[0], swaps, _COUNTING, call),
            _told("Let me sort by hand and keep a tally.", sorting[1], swaps, _SORTING, call),
            _told("I count the pairs in wrong order.", counting[1], swaps, _COUNTING, call),
        ),
        difficulty=9,
    )


def _told(opening: str, lines: list[str], swaps: int, code: str, call: str) -> str:
    trace = "\n".join([opening, *lines, f"In all there are {swaps} swaps."])
    return thought(trace, f"```python\n{code}\n```\n\nFor the given list, {call}.")


def _bubble(start: list[int]) -> tuple[list[str], list[str]]:
    values, swaps = list(start), 0
    by_line: list[str] = []
    tallied: list[str] = []
    for end in range(len(values) - 1, 0, -1):
        by_line.append(f"Pass up to place {end}, list {values}:")
        tallied.append(f"Now {values}; the last place to settle is {end}.")
        for i in range(end):
            left, right = values[i], values[i + 1]
            if left > right:
                values[i], values[i + 1] = right, left
                swaps += 1
                by_line.append(f"{left} > {right} at place {i}, swap number {swaps}.")
                tallied.append(f"Places {i} and {i + 1}: {left} goes after {right}. Tally {swaps}.")
            else:
                by_line.append(f"{left} < {right} at place {i}, no swap.")
                tallied.append(f"Places {i} and {i + 1}: {left} and {right} stay. Tally {swaps}.")
    return by_line, tallied


def _inversions(values: list[int]) -> tuple[list[str], list[str]]:
    forward: list[str] = []
    backward: list[str] = []
    total = 0
    for j, value in enumerate(values):
        larger = [other for other in values[:j] if other > value]
        total += len(larger)
        forward.append(f"Before {value} stand {values[:j]}.")
        forward.extend(
            f"Is {other} > {value}? {'Yes.' if other > value else 'No.'}" for other in values[:j]
        )
        forward.append(f"That adds {len(larger)}: {total - len(larger)} + {len(larger)} = {total}.")
    total = 0
    for i in range(len(values) - 1, -1, -1):
        value = values[i]
        smaller = [other for other in values[i + 1 :] if other < value]
        total += len(smaller)
        backward.append(f"After {value} stand {values[i + 1 :]}.")
        backward.extend(
            f"{other} is {'smaller' if other < value else 'larger'} than {value}."
            for other in values[i + 1 :]
        )
        backward.append(
            f"So {len(smaller)} smaller ones: {total - len(smaller)} + {len(smaller)} = {total}."
        )
    return forward, backward
