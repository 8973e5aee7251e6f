"""Number stories: a kind of situation, its numbers, its wording and the steps that solve it.

The built-in sample rows (training) and the `arithmetic` benchmark (evaluation) are both written
from these kinds, so that a small model that learned from the one can show it on the other. They
never meet: each (kind, numbers) belongs to one side by a stable hash, and each side has its own
cast of names and objects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from openthoughts_cli.problems.dice import Dice, stable_bucket

__all__ = ["Cast", "Kind", "Side", "Step", "Story", "side_of", "tell"]

Side: TypeAlias = Literal["sample", "benchmark"]
Op: TypeAlias = Literal["+", "-", "*", "/"]

# One of this many buckets is the benchmark's: it needs fewer numbers than the sample does.
_BUCKETS = 4


@dataclass(frozen=True, slots=True)
class Step:
    """One operation on whole numbers, and the two ways to say why it is done."""

    left: int
    op: Op
    right: int
    result: int
    reasons: tuple[str, str]

    @property
    def equation(self) -> str:
        """`6 * 4 = 24`."""
        return f"{self.left} {self.op} {self.right} = {self.result}"

    @property
    def check(self) -> str:
        """The operation that undoes this one: `24 / 4 = 6`."""
        inverse = {"+": "-", "-": "+", "*": "/", "/": "*"}[self.op]
        return f"{self.result} {inverse} {self.right} = {self.left}"


@dataclass(frozen=True, slots=True)
class Cast:
    """Who and what a story is about; the two sides share no entry (a test compares them)."""

    names: tuple[str, ...]
    items: tuple[tuple[str, str], ...]  # singular, plural
    boxes: tuple[tuple[str, str], ...]
    vehicles: tuple[str, ...]

    def draw(self, dice: Dice) -> dict[str, str]:
        """The words of one story, by the field of the wordings that they fill."""
        name, other = dice.shuffled(self.names)[:2]
        (item, items), (item2, items2) = dice.shuffled(self.items)[:2]
        box, boxes = dice.pick(self.boxes)
        words = {"name": name, "other": other, "item": item, "items": items}
        words |= {"item2": item2, "items2": items2, "box": box, "boxes": boxes}
        return words | {"vehicle": dice.pick(self.vehicles)}


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of story.

    `wordings`, `reasons`, `goal` and `outcome` are format strings over the fields of `Cast.draw`,
    the numbers `a` to `e` (in the order in which every wording mentions them), the results of the
    steps `x`, `y`, `z` and the `answer`. `plan` holds a step a line over the same letters:
    `("a * b", "x + c")`.
    """

    name: str
    draw: Callable[[Dice], tuple[int, ...]]
    plan: tuple[str, ...]
    wordings: tuple[str, ...]
    reasons: tuple[tuple[str, str], ...]
    goal: str
    outcome: str


@dataclass(frozen=True, slots=True)
class Story:
    """One question with its numbers and its solution."""

    kind: str
    numbers: tuple[int, ...]
    question: str
    steps: tuple[Step, ...]
    goal: str  # a noun phrase: "the total cost in dollars"
    outcome: str  # a clause: "Ada pays 24 dollars"

    @property
    def answer(self) -> int:
        """The result of the last step."""
        return self.steps[-1].result


def side_of(kind: str, numbers: tuple[int, ...]) -> Side:
    """Which side owns these numbers of this kind, in whatever order they stand."""
    key = f"{kind}:{','.join(str(number) for number in sorted(numbers))}"
    return "benchmark" if stable_bucket(key, _BUCKETS) == 0 else "sample"


def tell(kind: Kind, cast: Cast, side: Side, label: str) -> Iterator[Story]:
    """Stories of one kind, without end, no numbers twice; all of the given side.

    Raises:
        RuntimeError: the kind has no unused numbers left for this side.
    """
    used: set[tuple[int, ...]] = set()
    dice = Dice(label, kind.name)
    while True:
        numbers = _unused_numbers(kind, side, dice, used)
        wording = kind.wordings[len(used) % len(kind.wordings)]
        used.add(numbers)
        yield _story(kind, numbers, wording, cast.draw(dice))


def _unused_numbers(
    kind: Kind, side: Side, dice: Dice, used: set[tuple[int, ...]]
) -> tuple[int, ...]:
    for _ in range(10_000):
        numbers = kind.draw(dice)
        if numbers not in used and side_of(kind.name, numbers) == side:
            return numbers
    raise RuntimeError(f"no numbers are left for the {side} side of {kind.name!r}")


def _story(kind: Kind, numbers: tuple[int, ...], wording: str, words: dict[str, str]) -> Story:
    values = dict(zip("abcde", numbers, strict=False))
    steps: list[Step] = []
    for target, line, reasons in zip("xyz", kind.plan, kind.reasons, strict=False):
        left, op, right = line.split()
        step = _step(values[left], op, values[right])
        values[target] = step[3]
        told = tuple(reason.format(**words, **values) for reason in reasons)
        steps.append(Step(*step, reasons=(told[0], told[1])))
    fields = {**words, **values, "answer": steps[-1].result}
    return Story(
        kind=kind.name,
        numbers=numbers,
        question=wording.format(**fields),
        steps=tuple(steps),
        goal=kind.goal.format(**fields),
        outcome=kind.outcome.format(**fields),
    )


def _step(left: int, op: str, right: int) -> tuple[int, Op, int, int]:
    match op:
        case "+":
            return left, "+", right, left + right
        case "-":
            return left, "-", right, left - right
        case "*":
            return left, "*", right, left * right
        case "/" if left % right == 0:
            return left, "/", right, left // right
        case _:
            raise ValueError(f"{left} {op} {right} is not a step on whole numbers")
