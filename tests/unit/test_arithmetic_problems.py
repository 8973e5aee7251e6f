"""The arithmetic benchmark: right answers, fair order, and nothing in common with the sample."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openthoughts_cli.data.sample import sample_path
from openthoughts_cli.data.sample.math_rows import SAMPLE_CAST, math_stories
from openthoughts_cli.digests import digest_value
from openthoughts_cli.problems.arithmetic import (
    BENCHMARK_CAST,
    ArithmeticRow,
    arithmetic_rows,
    arithmetic_stories,
)
from openthoughts_cli.problems.dice import Dice
from openthoughts_cli.problems.stories import Kind, side_of, tell
from openthoughts_cli.problems.story_hard import HARD
from openthoughts_cli.problems.story_kinds import ONE_STEP, TWO_STEPS

ANSWERS: dict[str, Callable[..., int]] = {
    "purchase": lambda a, b: a * b,
    "giving": lambda a, b: a - b,
    "gathering": lambda a, b: a + b,
    "sharing": lambda a, b: a // b,
    "rows": lambda a, b: a * b,
    "journey": lambda a, b: a * b,
    "packs": lambda a, b, c: a * b + c,
    "change": lambda a, b, c: a - b * c,
    "ages": lambda a, b, c: a * b + c,
    "pooling": lambda a, b, c: (a + b) // c,
    "two purchases": lambda a, b, c, d: a * b + c * d,
    "stock": lambda a, b, c, d: (a * b - c) // d,
    "boxes in boxes": lambda a, b, c: a * b * c,
    "large order": lambda a, b: a * b,
    "library": lambda a, b, c: a - b - c,
    "savings": lambda a, b, c, d: a * b + c - d,
}


@pytest.fixture(scope="module")
def problems() -> list[ArithmeticRow]:
    return arithmetic_rows()


def normalised(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))


def test_every_answer_is_what_the_question_asks_for(problems: list[ArithmeticRow]) -> None:
    kinds = {story.question: story.kind for _, story in arithmetic_stories()}
    for row in problems:
        numbers = [int(number) for number in re.findall(r"\d+", row["problem"])]
        assert row["answer"] == str(ANSWERS[kinds[row["problem"]]](*numbers)), row
        assert 0 <= int(row["answer"]) <= 999


def test_ids_and_questions_are_unique(problems: list[ArithmeticRow]) -> None:
    assert len(problems) == 160
    assert len({row["id"] for row in problems}) == len(problems)
    assert len({normalised(row["problem"]) for row in problems}) == len(problems)


def test_easy_and_medium_are_three_quarters(problems: list[ArithmeticRow]) -> None:
    counts = Counter(row["difficulty"] for row in problems)
    assert counts == {"easy": 80, "medium": 40, "hard": 40}


def test_any_eight_in_a_row_hold_every_difficulty(problems: list[ArithmeticRow]) -> None:
    for start in range(len(problems) - 7):
        window = Counter(row["difficulty"] for row in problems[start : start + 8])
        assert window == {"easy": 4, "medium": 2, "hard": 2}


def test_every_kind_appears_about_equally_often() -> None:
    counts = Counter((level, story.kind) for level, story in arithmetic_stories())
    assert set(counts) == {
        (level, kind.name)
        for level, kinds in (("easy", ONE_STEP), ("medium", TWO_STEPS), ("hard", HARD))
        for kind in kinds
    }
    for level in ("easy", "medium", "hard"):
        told = [count for (of, _), count in counts.items() if of == level]
        assert max(told) - min(told) <= 1


def test_no_question_is_in_the_sample(problems: list[ArithmeticRow]) -> None:
    asked = {
        normalised(row["conversations"][0]["value"])
        for row in pq.read_table(sample_path()).to_pylist()
    }
    assert asked.isdisjoint(normalised(row["problem"]) for row in problems)


def test_no_numbers_of_a_kind_are_in_the_sample() -> None:
    trained = {(story.kind, tuple(sorted(story.numbers))) for story in math_stories()}
    tested = {(story.kind, tuple(sorted(story.numbers))) for _, story in arithmetic_stories()}
    assert trained.isdisjoint(tested)
    assert {side_of(story.kind, story.numbers) for _, story in arithmetic_stories()} == {
        "benchmark"
    }


def test_the_hard_kinds_are_unseen_in_the_sample() -> None:
    assert {kind.name for kind in HARD}.isdisjoint(story.kind for story in math_stories())


def test_the_casts_share_nothing() -> None:
    for field in ("names", "items", "boxes", "vehicles"):
        assert set(getattr(SAMPLE_CAST, field)).isdisjoint(getattr(BENCHMARK_CAST, field))


def test_the_rows_are_those_of_the_first_day(problems: list[ArithmeticRow]) -> None:
    """Scores of different days are comparable only while the problems stay the same.

    A change on purpose needs a new label in `arithmetic.py`, a line in the changelog and this digest.
    """
    assert digest_value(problems) == "b2e641dea7af11bfa302b2c963083439"


def test_the_module_needs_the_standard_library_alone() -> None:
    heavy = "{'polars', 'pyarrow', 'numpy', 'torch', 'transformers', 'datasets'}"
    code = (
        "import sys, openthoughts_cli.problems.arithmetic as a; a.arithmetic_rows(); "
        f"print(sorted({heavy} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@given(st.permutations([7, 3, 12, 3]))
def test_the_side_does_not_depend_on_the_order_of_the_numbers(numbers: list[int]) -> None:
    assert side_of("two purchases", tuple(numbers)) == side_of("two purchases", (3, 3, 7, 12))


def test_about_a_quarter_of_the_numbers_is_the_benchmarks() -> None:
    sides = Counter(
        side_of("packs", (a, b, c)) for a in range(20) for b in range(20) for c in (5, 6)
    )
    assert 0.15 < sides["benchmark"] / sides.total() < 0.35


def test_a_kind_that_runs_out_of_numbers_says_so() -> None:
    small = Kind(
        name="tiny",
        draw=lambda dice: (dice.between(1, 2), 1),
        plan=("a + b",),
        wordings=("{name} has {a} and {b}.",),
        reasons=(("", ""),),
        goal="",
        outcome="",
    )
    teller = tell(small, SAMPLE_CAST, "sample", "test")
    with pytest.raises(RuntimeError, match="no numbers are left for the sample side of 'tiny'"):
        for _ in range(3):
            next(teller)


@given(st.integers(), st.integers(min_value=0, max_value=400), st.integers(0, 1000))
def test_dice_stay_between_their_bounds(label: int, width: int, low: int) -> None:
    dice = Dice("test", label)
    assert all(low <= dice.between(low, low + width) <= low + width for _ in range(5))


@given(st.lists(st.integers()))
def test_shuffling_keeps_every_item(items: list[int]) -> None:
    assert sorted(Dice("test").shuffled(items)) == sorted(items)


def test_dice_fall_the_same_on_every_machine() -> None:
    dice = Dice("golden", 1)
    assert [dice.below(1_000) for _ in range(6)] == [257, 332, 51, 288, 622, 915]
    assert Dice("golden", 2).below(1_000) != Dice("golden", 1).below(1_000)
