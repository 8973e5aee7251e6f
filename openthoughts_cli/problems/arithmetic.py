"""The `arithmetic` benchmark: 160 graded word problems with integer answers, in the AIME form.

It exists so that a small model can show a movement where AIME would score 0 before and after.
Easy problems take one step and medium ones two, of the kinds that the built-in sample rows tell
too; hard ones take three steps or bigger numbers, of kinds that the sample never tells. The
problems share no numbers, names or objects with the sample (see `stories.side_of`).

The rows are written at the call, from code: a stored copy would be a second truth beside the
kinds. They take about 10 ms, draw from `Dice`, which is the same on every machine, and a test
pins their digest, so that scores of different days stay comparable.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from openthoughts_cli.problems.dice import Dice
from openthoughts_cli.problems.stories import Cast, Kind, Story, tell
from openthoughts_cli.problems.story_hard import HARD
from openthoughts_cli.problems.story_kinds import ONE_STEP, TWO_STEPS

__all__ = ["BENCHMARK_CAST", "ArithmeticRow", "arithmetic_rows", "arithmetic_stories"]

# Half of the problems are easy; any run of eight holds all difficulties, so a limit keeps the mix.
_ORDER = ("easy", "medium", "easy", "hard", "easy", "medium", "easy", "hard")
_TURNS = 20
_KINDS = {"easy": ONE_STEP, "medium": TWO_STEPS, "hard": HARD}
_LABEL = "arithmetic benchmark 1"

BENCHMARK_CAST = Cast(
    names=(
        "Astrid", "Bruno", "Chiara", "Dmitri", "Eleni", "Farid", "Greta", "Hugo", "Imani", "Joaquin",
        "Kenji", "Leila", "Mateo", "Nadia", "Otto", "Paloma", "Quentin", "Rosa", "Sven", "Tamar",
    ),
    items=(
        ("badge", "badges"), ("brush", "brushes"), ("candle", "candles"), ("carrot", "carrots"),
        ("coin", "coins"), ("envelope", "envelopes"), ("kite", "kites"), ("lemon", "lemons"),
        ("magnet", "magnets"), ("mug", "mugs"), ("photo", "photos"), ("plum", "plums"),
        ("ribbon", "ribbons"), ("rose", "roses"), ("spoon", "spoons"), ("towel", "towels"),
    ),
    boxes=(("bucket", "buckets"), ("case", "cases"), ("drawer", "drawers"), ("tin", "tins")),
    vehicles=("ferry", "moped", "tractor", "tram"),
)  # fmt: skip


class ArithmeticRow(TypedDict):
    """One problem; the columns of the AIME sets, and the difficulty."""

    id: str
    problem: str
    answer: str
    difficulty: str


def arithmetic_stories() -> list[tuple[str, Story]]:
    """The problems in order as (difficulty, story): 80 easy, 40 medium, 40 hard, interleaved."""
    counts = {level: _ORDER.count(level) * _TURNS for level in _KINDS}
    decks = {level: iter(_deck(_KINDS[level], count)) for level, count in counts.items()}
    return [(level, next(decks[level])) for _ in range(_TURNS) for level in _ORDER]


def arithmetic_rows() -> list[ArithmeticRow]:
    """The benchmark's rows: `id`, `problem`, `answer` ("0" to "999") and `difficulty`.

    The order is part of the benchmark: the first rows are as mixed as all of them.
    """
    return [
        ArithmeticRow(
            id=f"arithmetic-{number:03d}",
            problem=story.question,
            answer=str(story.answer),
            difficulty=level,
        )
        for number, (level, story) in enumerate(arithmetic_stories(), start=1)
    ]


def _deck(kinds: Sequence[Kind], count: int) -> list[Story]:
    """`count` stories, every kind in turn, the turns shuffled."""
    tellers = [tell(kind, BENCHMARK_CAST, "benchmark", _LABEL) for kind in kinds]
    dice = Dice(_LABEL, "order", *(kind.name for kind in kinds))
    stories: list[Story] = []
    while len(stories) < count:
        stories.extend(next(teller) for teller in dice.shuffled(tellers))
    return stories[:count]
