"""Which program an answer gives, and what it may take for granted."""

from __future__ import annotations

import builtins

import pytest

from openthoughts_cli.evals.lcb_code import code_in, prelude


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("```python\nprint(1)\n```", "print(1)"),
        ("```py\nprint(1)\n```", "print(1)"),
        ("```Python3\nprint(1)\n```", "print(1)"),
        ("```\nprint(1)\n```", "print(1)"),
        ("~~~python\nprint(1)\n~~~", "print(1)"),
        ("```python\nfirst\n```\ntext\n```python\nsecond\n```", "second"),
        ("```python\ncode\n```\nIt prints:\n```text\n1 2\n```", "code"),
        ("```python\ncode\n```\nIn C++:\n```cpp\nint x;\n```", "code"),
        ("```cpp\nint x;\n```\n```\ncode\n```", "code"),
        ("```python\ncode\n```\n```\n\n```", "code"),
        ("```python\ncode\n```\nIt prints:\n```\n5\n3 4\n```", "code"),
        ("```python\ncode\n```\nInput:\n```\n3\n```\nOutput:\n```\nYES\n```", "code"),
        ("```\nif all are equal print YES\n```\n```python\ncode\n```\n```\nNO\n```", "code"),
        (
            "```python\ndraft\n```\nBetter:\n```\nn = int(input())\nprint(n)\n```",
            "n = int(input())\nprint(n)",
        ),
        (
            "```python\ndraft\n```\n```\nfor i in range(3):\n    pass\n```",
            "for i in range(3):\n    pass",
        ),
        ("```\nfirst\n```\n```\n5\n```", "5"),
        ("```python\r\ncode\r\n```\r\n", "code\r"),
        ("1. So:\n   ```python\n   x = 1\n   ```", "   x = 1"),
        ("````python\nprint('```')\n````", "print('```')"),
        ('```python\nx = """\n~~~\n"""\n```', 'x = """\n~~~\n"""'),
        ("```python title=a.py\ncode\n```", "code"),
        ("```{python}\ncode\n```", "code"),
        ("```python\ncut off", "cut off"),
        ("```python\nwhole\n```\nand\n```python\ncut", "whole"),
        ("<think>```python\nno\n```</think>\n```python\nyes\n```", "yes"),
        ("```python\nno\n```</think>\n```python\nyes\n```", "yes"),
        ("<think>a</think>```python\nx\n```", "x"),
    ],
)
def test_the_last_python_block_is_the_program(text: str, code: str) -> None:
    assert code_in(text) == code


@pytest.mark.parametrize(
    "text",
    [
        "",
        "print(1)",
        "`print(1)`",
        "```cpp\nint x;\n```",
        "```json\n{}\n```",
        "```\n```",
        "<think>```python\nno\n```",
        "<think>a</think><think>```python\nno\n```",
        "```python\nno\n```</think> I would print 3.",
    ],
)
def test_no_program_is_none(text: str) -> None:
    assert code_in(text) is None


def test_hostile_text_is_read_in_one_pass() -> None:
    assert code_in("```python\n" * 200_000) is not None
    assert code_in("`" * 3_000_000) is None
    assert code_in("```" + "a" * 3_000_000) is None


def test_the_prelude_holds_what_contest_programs_take_for_granted() -> None:
    namespace: dict[str, object] = {}
    exec("\n".join(line for _, line in prelude()), namespace)

    for name in (
        *("List", "Optional", "deque", "defaultdict", "Counter", "heappush", "bisect_left", "gcd"),
        *("inf", "lru_cache", "cache", "reduce", "accumulate", "permutations", "ascii_lowercase"),
        *("math", "heapq", "bisect", "collections", "itertools", "functools", "random", "string"),
        *("re", "sys", "json", "copy", "datetime", "np", "numpy", "stdin", "setrecursionlimit"),
    ):
        assert name in namespace, name
    assert not [name for name, _ in prelude() if hasattr(builtins, name)]
    assert namespace["math"].__name__ == "math"  # type: ignore[attr-defined]
    assert namespace["bisect"].__name__ == "bisect"  # type: ignore[attr-defined]
