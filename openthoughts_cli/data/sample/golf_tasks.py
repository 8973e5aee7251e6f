"""The code golf tasks of the sample: a short and a longer one-line solution each."""

from __future__ import annotations

from openthoughts_cli.data.sample.code_tasks import WORDS, Solution, Task, with_k

__all__ = ["GOLF_TASKS"]

GOLF_TASKS: tuple[Task, ...] = (
    Task(
        "every kth",
        with_k(2, 3, 4, 5, 6, 7),
        "return the characters of a text at the places 0, {k}, 2 * {k} and so on.",
        Solution("A slice with step {k} does it.", "solve=lambda s:s[::{k}]"),
        Solution(
            "A comprehension over the places 0, {k}, ... is longer but plain.",
            "solve=lambda s:''.join(s[i]for i in range(0,len(s),{k}))",
        ),
        WORDS,
        7,
    ),
    Task(
        "power sum",
        with_k(2, 3, 4, 5, 6, 7),
        "return the sum of i to the power {k} over all i from 1 to n.",
        Solution(
            "The built-in sum over a generator is enough.",
            "solve=lambda n:sum(i**{k} for i in range(1,n+1))",
        ),
        Solution(
            "A recursion that ends at 0 needs neither sum nor range, and n and ends it for free.",
            "solve=lambda n:n and n**{k}+solve(n-1)",
        ),
        (3, 5, 0),
        7,
    ),
    Task(
        "drop digits",
        with_k(1, 2, 4, 6, 8, 9),
        "return a non-negative integer's decimal digits without the digit {k}, as a text.",
        Solution("str.replace removes the digit.", "solve=lambda n:str(n).replace('{k}','')"),
        Solution(
            "Splitting at the digit and joining again removes it too.",
            "solve=lambda n:''.join(str(n).split('{k}'))",
        ),
        (9182736450, 1224688, 0),
        6,
    ),
    Task(
        "divisible count",
        with_k(3, 4, 6, 7, 9, 11),
        "return how many of the numbers 1 to n are divisible by {k}.",
        Solution("Integer division counts them at once.", "solve=lambda n:n//{k}"),
        Solution(
            "The range from {k} to n in steps of {k} holds exactly those numbers.",
            "solve=lambda n:len(range({k},n+1,{k}))",
        ),
        (50, 100, 0),
        6,
    ),
    Task(
        "chunks",
        with_k(2, 3, 4, 5, 6, 7),
        "cut a list into pieces of {k} values; the last piece may be shorter.",
        Solution(
            "Slices at 0, {k}, ... are the pieces.",
            "solve=lambda l:[l[i:i+{k}]for i in range(0,len(l),{k})]",
        ),
        Solution(
            "Recursion takes {k} values off the front; the empty list ends it and is returned.",
            "solve=lambda l:l and[l[:{k}]]+solve(l[{k}:])",
        ),
        ([1, 2, 3, 4, 5, 6, 7], [9, 8, 7, 6], []),
        8,
    ),
    Task(
        "largest values",
        with_k(2, 3, 4, 5, 6, 7),
        "return the {k} largest values of a list in falling order (all of them if there are fewer).",
        Solution("Sort, reverse, cut.", "solve=lambda l:sorted(l)[::-1][:{k}]"),
        Solution(
            "Sorting by the negative value gives the falling order without a second slice.",
            "solve=lambda l:sorted(l,key=lambda x:-x)[:{k}]",
        ),
        ([5, 1, 9, 7, 3, 8], [2, 2, 6, 4], []),
        7,
    ),
    Task(
        "modular power",
        with_k(7, 11, 13, 17, 19, 23),
        "return the remainder of 2 to the power n after division by {k}.",
        Solution("pow takes the modulus as its third argument.", "solve=lambda n:pow(2,n,{k})"),
        Solution(
            "A shift makes the power of two, and the remainder follows; shorter, but the number "
            "grows with n.",
            "solve=lambda n:(1<<n)%{k}",
        ),
        (10, 25, 0),
        8,
    ),
    Task(
        "repeated letters",
        with_k(2, 3, 4, 5, 6, 7),
        "repeat each character of a text {k} times.",
        Solution("Multiply each character and join.", "solve=lambda s:''.join(c*{k} for c in s)"),
        Solution(
            "Recursion: the first character {k} times, then the rest; the empty text ends it.",
            "solve=lambda s:s and s[0]*{k}+solve(s[1:])",
        ),
        ("golf", "a b", ""),
        9,
    ),
)
