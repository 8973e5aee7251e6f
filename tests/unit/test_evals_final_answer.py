"""The final answer of a trace, in a few words."""

from __future__ import annotations

import pytest

from openthoughts_cli.evals.final_answer import final_answer


@pytest.mark.parametrize(
    ("text", "shown", "found_in"),
    [
        ("<think>\\boxed{1}</think>So \\boxed{\\frac{1}{2}}.", "\\frac{1}{2}", "box"),
        ("<think>a</think>The answer is 42.", "42", "line"),
        (
            "<think>a</think>```python\ndef f(x):\n    return x\n```",
            "code, 2 lines: def f(x):",
            "code",
        ),
        ("<think>a</think>```cpp\nint main() {}\n```", "code, 1 lines: int main() {}", "code"),
        ("<think>a</think>one\n\ntwo words", "two words", "end"),
        ("<think>never closed", "", ""),
        ("", "", ""),
    ],
)
def test_where_it_is_found(text: str, shown: str, found_in: str) -> None:
    found = final_answer(text)
    assert (found.shown, found.found_in) == (shown, found_in)


def test_spacing_does_not_make_answers_differ() -> None:
    one, other = final_answer("\\boxed{ x \\, + 1}"), final_answer("\\boxed{x+1}")
    assert one.same_by == other.same_by
