"""The harder kinds of number stories: three steps or bigger numbers, unseen in the sample rows.

Only the `arithmetic` benchmark tells these. Their answers stay within 0..999, as in AIME.
"""

from __future__ import annotations

from openthoughts_cli.problems.dice import Dice
from openthoughts_cli.problems.stories import Kind

__all__ = ["HARD"]


def _two_pairs(dice: Dice) -> tuple[int, ...]:
    return tuple(dice.between(2, 12) for _ in range(4))


def _stock(dice: Dice) -> tuple[int, ...]:
    boxes, each = dice.between(3, 12), dice.between(4, 12)
    parts, share = dice.between(2, 6), dice.between(2, 12)
    spoilt = boxes * each - parts * share
    return (boxes, each, spoilt, parts) if spoilt >= 2 else _stock(dice)


def _three_factors(dice: Dice) -> tuple[int, ...]:
    return dice.between(3, 9), dice.between(3, 9), dice.between(4, 12)


def _big_factors(dice: Dice) -> tuple[int, ...]:
    return dice.between(13, 38), dice.between(13, 26)


def _big_difference(dice: Dice) -> tuple[int, ...]:
    first, second = dice.between(110, 340), dice.between(110, 340)
    return dice.between(first + second + 20, 950), first, second


def _savings(dice: Dice) -> tuple[int, ...]:
    weekly, weeks, gift = dice.between(6, 25), dice.between(4, 20), dice.between(15, 90)
    return weekly, weeks, gift, dice.between(20, weekly * weeks)


HARD: tuple[Kind, ...] = (
    Kind(
        name="two purchases",
        draw=_two_pairs,
        plan=("a * b", "c * d", "x + y"),
        wordings=(
            (
                "{name} buys {a} {items} at {b} dollars each and {c} {items2} at {d} dollars each. "
                "How many dollars does {name} pay in all?"
            ),
        ),
        reasons=(
            ("{a} {items} cost {b} dollars each", "each {item} is {b} dollars"),
            ("{c} {items2} cost {d} dollars each", "each {item2} is {d} dollars"),
            ("both costs are added", "the total is the sum"),
        ),
        goal="the total cost in dollars",
        outcome="{name} pays {answer} dollars",
    ),
    Kind(
        name="stock",
        draw=_stock,
        plan=("a * b", "x - c", "y / d"),
        wordings=(
            (
                "{name} opens {a} {boxes} with {b} {items} in each. {c} of the {items} are broken and "
                "thrown away. {d} friends share the rest equally. How many {items} does each get?"
            ),
        ),
        reasons=(
            ("{a} {boxes} hold {b} {items} each", "{b} {items} are taken {a} times"),
            ("{c} {items} are broken", "{c} of {x} {items} are gone"),
            ("{d} friends share the rest", "the rest is split into {d} equal parts"),
        ),
        goal="the number of {items} for each friend",
        outcome="each friend gets {answer} {items}",
    ),
    Kind(
        name="boxes in boxes",
        draw=_three_factors,
        plan=("a * b", "x * c"),
        wordings=(
            (
                "A warehouse has {a} shelves. Each shelf holds {b} {boxes}, and each {box} holds {c} "
                "{items}. How many {items} are in the warehouse?"
            ),
        ),
        reasons=(
            ("{a} shelves hold {b} {boxes} each", "{b} {boxes} are taken {a} times"),
            ("{x} {boxes} hold {c} {items} each", "{c} {items} are taken {x} times"),
        ),
        goal="the number of {items}",
        outcome="there are {answer} {items}",
    ),
    Kind(
        name="large order",
        draw=_big_factors,
        plan=("a * b",),
        wordings=(
            (
                "A school orders {a} {boxes} of {items}. Every {box} holds {b} {items}. "
                "How many {items} does the school get?"
            ),
            (
                "A hall has {a} rows of seats with {b} seats in each row. "
                "How many people can sit in the hall?"
            ),
        ),
        reasons=(("there are {a} groups of {b}", "{b} is taken {a} times"),),
        goal="the product",
        outcome="there are {answer} in all",
    ),
    Kind(
        name="library",
        draw=_big_difference,
        plan=("a - b", "x - c"),
        wordings=(
            (
                "A library owns {a} books. {b} of them are lent out and {c} others are being repaired. "
                "How many books are on the shelves?"
            ),
            (
                "A farm harvests {a} pumpkins. It sells {b} on Saturday and {c} on Sunday. "
                "How many pumpkins are left?"
            ),
        ),
        reasons=(
            ("{b} of {a} are away", "first {b} leave"),
            ("{c} more are away", "then {c} leave"),
        ),
        goal="the number left",
        outcome="{answer} are left",
    ),
    Kind(
        name="savings",
        draw=_savings,
        plan=("a * b", "x + c", "y - d"),
        wordings=(
            (
                "{name} saves {a} dollars every week for {b} weeks and then gets {c} dollars as a "
                "present. {name} spends {d} dollars on {items}. How many dollars are left?"
            ),
        ),
        reasons=(
            ("{name} saves {a} dollars {b} times", "{b} weeks bring {a} dollars each"),
            ("the present adds {c} dollars", "{c} dollars come on top"),
            ("the {items} cost {d} dollars", "{d} dollars are spent"),
        ),
        goal="the number of dollars left",
        outcome="{name} has {answer} dollars left",
    ),
)
