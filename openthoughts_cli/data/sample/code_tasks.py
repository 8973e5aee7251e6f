"""The programming tasks of the sample: statement, two honest solutions, inputs to show.

`{k}` and `{j}` are the task's parameters. Every solution defines `solve`. Tests run each solution of each row and compare it with an independent oracle.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["TASKS", "WORDS", "Solution", "Task", "with_k"]


@dataclass(frozen=True, slots=True)
class Solution:
    """Code that defines `solve`, the idea behind it, and why it ends with the right value."""

    idea: str
    code: str


@dataclass(frozen=True, slots=True)
class Task:
    """One kind of task; each entry of `parameters` makes one question."""

    name: str
    parameters: tuple[dict[str, int], ...]
    statement: str
    first: Solution
    second: Solution
    inputs: tuple[Any, ...]  # the two examples of the question, then one edge case
    difficulty: int


def with_k(*values: int) -> tuple[dict[str, int], ...]:
    """The parameters of a task whose questions differ in `{k}`."""
    return tuple({"k": value} for value in values)


_NUMBERS = ([4, 9, 15, 22, 30, 7], [12, 5, 18, 25, 3], [])
WORDS = ("reasoning", "open thoughts", "")

TASKS: tuple[Task, ...] = (
    Task(
        "sum of multiples",
        with_k(3, 4, 5, 6, 7),
        "Given a list of integers, return the sum of those that are divisible by {k}.",
        Solution(
            "Go through the list once and add a value when its remainder by {k} is zero.",
            "def solve(values):\n    total = 0\n    for value in values:\n"
            "        if value % {k} == 0:\n            total += value\n    return total",
        ),
        Solution(
            "A generator can pick the values whose remainder by {k} is zero, and sum adds them.",
            "def solve(values):\n    return sum(value for value in values if value % {k} == 0)",
        ),
        _NUMBERS,
        6,
    ),
    Task(
        "count above",
        with_k(6, 8, 10, 14, 20),
        "Given a list of integers, count how many of them are greater than {k}.",
        Solution(
            "Sort the list; bisect_right finds how many values are at most {k}, the rest is above.",
            "from bisect import bisect_right\n\n\ndef solve(values):\n"
            "    ordered = sorted(values)\n    return len(ordered) - bisect_right(ordered, {k})",
        ),
        Solution(
            "No sorting is needed: each comparison with {k} is True or False, and sum counts the "
            "True ones.",
            "def solve(values):\n    return sum(value > {k} for value in values)",
        ),
        _NUMBERS,
        6,
    ),
    Task(
        "rotate",
        with_k(2, 3, 4, 5, 7),
        "Given a list, return it rotated to the left by {k} places. The list may be shorter than "
        "{k}.",
        Solution(
            "Rotating by the length changes nothing, so {k} modulo the length places are moved; "
            "an empty list must not reach the modulo.",
            "def solve(values):\n    if not values:\n        return []\n"
            "    shift = {k} % len(values)\n    return values[shift:] + values[:shift]",
        ),
        Solution(
            "The value at place i of the result stands at place i + {k} of the input, counted "
            "around the end.",
            "def solve(values):\n    size = len(values)\n"
            "    return [values[(i + {k}) % size] for i in range(size)]",
        ),
        ([1, 2, 3, 4, 5, 6], [7, 8, 9], []),
        7,
    ),
    Task(
        "caesar",
        with_k(2, 3, 5, 11, 13),
        "Given a text, move each lowercase letter {k} places forward in the alphabet, from z on to "
        "a, and leave every other character as it is.",
        Solution(
            "Map a letter to 0..25, add {k}, take the remainder by 26 and map back.",
            "def solve(text):\n    result = []\n    for char in text:\n"
            "        if 'a' <= char <= 'z':\n"
            "            char = chr((ord(char) - ord('a') + {k}) % 26 + ord('a'))\n"
            "        result.append(char)\n    return ''.join(result)",
        ),
        Solution(
            "str.translate does the replacing once a table from the alphabet to the alphabet "
            "rotated by {k} is built.",
            "from string import ascii_lowercase as abc\n\n\ndef solve(text):\n"
            "    return text.translate(str.maketrans(abc, abc[{k}:] + abc[:{k}]))",
        ),
        WORDS,
        7,
    ),
    Task(
        "base digits",
        with_k(2, 3, 5, 7, 8),
        "Given a non-negative integer, return the sum of its digits in base {k}.",
        Solution(
            "The last digit in base {k} is the remainder by {k}; dividing by {k} removes it.",
            "def solve(number):\n    total = 0\n    while number:\n"
            "        number, digit = divmod(number, {k})\n        total += digit\n    return total",
        ),
        Solution(
            "Recursion follows the definition: the digit sum of n is the last digit plus the digit "
            "sum of n // {k}.",
            "def solve(number):\n    if number == 0:\n        return 0\n"
            "    return number % {k} + solve(number // {k})",
        ),
        (100, 255, 0),
        7,
    ),
    Task(
        "longest run",
        with_k(0, 1, 2, 5, 9),
        "Given a list of digits, return the length of the longest run of consecutive {k}s.",
        Solution(
            "Keep the length of the current run; any other digit than {k} sets it back to zero.",
            "def solve(digits):\n    best = run = 0\n    for digit in digits:\n"
            "        run = run + 1 if digit == {k} else 0\n        best = max(best, run)\n"
            "    return best",
        ),
        Solution(
            "itertools.groupby cuts the list into runs; the lengths of the runs of {k} are compared.",
            "from itertools import groupby\n\n\ndef solve(digits):\n"
            "    runs = [len(list(run)) for digit, run in groupby(digits) if digit == {k}]\n"
            "    return max(runs, default=0)",
        ),
        ([1, 1, 0, 2, 2, 2, 9, 5, 5, 0, 0], [9, 9, 9, 1, 0, 5, 5, 5, 5], []),
        7,
    ),
    Task(
        "pairs with sum",
        with_k(10, 12, 15, 20, 24),
        "Given a list of distinct integers, count the unordered pairs whose sum is {k}.",
        Solution(
            "Remember the values seen so far: a new value v forms a pair exactly when {k} - v was "
            "seen. One pass is enough.",
            "def solve(values):\n    seen = set()\n    pairs = 0\n    for value in values:\n"
            "        pairs += {k} - value in seen\n        seen.add(value)\n    return pairs",
        ),
        Solution(
            "Sort and move two ends towards each other: too small a sum moves the left end, too "
            "large a sum the right one.",
            "def solve(values):\n    values = sorted(values)\n"
            "    left, right, pairs = 0, len(values) - 1, 0\n    while left < right:\n"
            "        total = values[left] + values[right]\n        if total == {k}:\n"
            "            pairs += 1\n        if total <= {k}:\n            left += 1\n"
            "        if total >= {k}:\n            right -= 1\n    return pairs",
        ),
        ([1, 9, 4, 6, 11, 8, 3, 12], [2, 10, 5, 15, 0, 20, 14, 7, 13], []),
        8,
    ),
    Task(
        "window",
        with_k(2, 3, 4, 5, 6),
        "Given a list of integers, return the largest sum of {k} neighbouring values, or 0 when the "
        "list has fewer than {k} values.",
        Solution(
            "Slide a window of {k} values: add the value that enters, subtract the one that leaves.",
            "def solve(values):\n    if len(values) < {k}:\n        return 0\n"
            "    total = best = sum(values[:{k}])\n    for i in range({k}, len(values)):\n"
            "        total += values[i] - values[i - {k}]\n        best = max(best, total)\n"
            "    return best",
        ),
        Solution(
            "With prefix sums every window sum is one difference, prefix[i + {k}] - prefix[i].",
            "from itertools import accumulate\n\n\ndef solve(values):\n"
            "    prefix = list(accumulate(values, initial=0))\n"
            "    sums = [b - a for a, b in zip(prefix, prefix[{k}:])]\n"
            "    return max(sums, default=0)",
        ),
        ([3, -1, 4, 1, -5, 9, 2, 6], [8, 2, 7, 7, 1, 0, 6], []),
        8,
    ),
    Task(
        "coins",
        ({"k": 3, "j": 5}, {"k": 2, "j": 7}, {"k": 4, "j": 7}, {"k": 5, "j": 8}, {"k": 3, "j": 10}),
        "There are coins of 1, {k} and {j} units, as many as you like. Given an amount, return the "
        "smallest number of coins that pays it exactly.",
        Solution(
            "Dynamic programming: the best count for an amount is one more than the best count "
            "after taking away 1, {k} or {j}.",
            "def solve(amount):\n    best = [0] * (amount + 1)\n"
            "    for total in range(1, amount + 1):\n"
            "        best[total] = 1 + min(best[total - coin] for coin in (1, {k}, {j}) "
            "if coin <= total)\n    return best[amount]",
        ),
        Solution(
            "Breadth-first search over amounts: each round adds one coin, so the first round that "
            "holds the amount is the answer.",
            "def solve(amount):\n    reached, coins = {0}, 0\n    while amount not in reached:\n"
            "        reached = {total + coin for total in reached for coin in (1, {k}, {j})}\n"
            "        coins += 1\n    return coins",
        ),
        (9, 14, 0),
        9,
    ),
    Task(
        "stairs",
        with_k(2, 3, 4, 5, 6),
        "A staircase has n steps, and you climb 1 to {k} steps at a time. Given n, return in how "
        "many ways you can reach the top.",
        Solution(
            "ways[n] is the sum of the {k} entries before it, and ways[0] is 1: standing still.",
            "def solve(n):\n    ways = [1]\n    for _ in range(n):\n"
            "        ways.append(sum(ways[-{k}:]))\n    return ways[n]",
        ),
        Solution(
            "Recursion on the last move, from 1 to {k} steps, with a cache against repeated work.",
            "from functools import cache\n\n\n@cache\ndef solve(n):\n    if n == 0:\n"
            "        return 1\n    return sum(solve(n - move) for move in range(1, {k} + 1) "
            "if move <= n)",
        ),
        (5, 8, 0),
        9,
    ),
    Task(
        "josephus",
        with_k(2, 3, 4, 5, 7),
        "n people numbered 1 to n stand in a circle. Counting starts at person 1, and every person "
        "who is counted as number {k} leaves, after which the count starts anew. Given n, return "
        "the number of the last person.",
        Solution(
            "Simulate the circle with a deque: rotate {k} - 1 people to the back, remove the next.",
            "from collections import deque\n\n\ndef solve(n):\n"
            "    circle = deque(range(1, n + 1))\n    while len(circle) > 1:\n"
            "        circle.rotate(1 - {k})\n        circle.popleft()\n    return circle[0]",
        ),
        Solution(
            "With places from 0, the survivor of m people stands {k} places after the survivor of "
            "m - 1 people, modulo m.",
            "def solve(n):\n    place = 0\n    for size in range(2, n + 1):\n"
            "        place = (place + {k}) % size\n    return place + 1",
        ),
        (7, 12, 1),
        10,
    ),
    Task(
        "grid paths",
        with_k(2, 3, 4, 5, 6),
        "A grid has {k} rows and n columns. Starting in the upper left cell you move right or down, "
        "one cell at a time. Given n, at least 1, return the number of paths to the lower right "
        "cell.",
        Solution(
            "The number of paths into a cell is the sum of those into the cell above and the cell "
            "to the left; one row is enough memory.",
            "def solve(n):\n    row = [1] * n\n    for _ in range({k} - 1):\n"
            "        for i in range(1, n):\n            row[i] += row[i - 1]\n    return row[-1]",
        ),
        Solution(
            "A path is an order of {k} - 1 moves down among n + {k} - 2 moves, so a binomial "
            "coefficient counts them.",
            "from math import comb\n\n\ndef solve(n):\n    return comb(n + {k} - 2, {k} - 1)",
        ),
        (4, 7, 1),
        8,
    ),
)
