"""The kinds of number stories of one and two steps that both the sample and the benchmark tell.

Numbers stay within the times table and below 200: what a model of 135M parameters can compute.
"""

from __future__ import annotations

from openthoughts_cli.problems.dice import Dice
from openthoughts_cli.problems.stories import Kind

__all__ = ["ONE_STEP", "TWO_STEPS"]


def _factors(dice: Dice) -> tuple[int, ...]:
    return dice.between(2, 12), dice.between(2, 12)


def _taken(dice: Dice) -> tuple[int, ...]:
    whole = dice.between(15, 60)
    return whole, dice.between(3, whole - 5)


def _terms(dice: Dice) -> tuple[int, ...]:
    return dice.between(6, 60), dice.between(3, 40)


def _shares(dice: Dice) -> tuple[int, ...]:
    parts, each = dice.between(2, 10), dice.between(3, 12)
    return parts * each, parts


def _speed_and_hours(dice: Dice) -> tuple[int, ...]:
    return dice.pick((4, 5, 6, 7, 8, 9, 10, 11, 12, 20, 30, 40, 50)), dice.between(2, 9)


def _factors_and_more(dice: Dice) -> tuple[int, ...]:
    return dice.between(2, 10), dice.between(2, 10), dice.between(2, 20)


def _note_and_factors(dice: Dice) -> tuple[int, ...]:
    count, price = dice.between(2, 9), dice.between(2, 9)
    note = dice.pick([n for n in (20, 30, 40, 50, 60, 80, 100) if n > count * price + 1])
    return note, count, price


def _age_times_later(dice: Dice) -> tuple[int, ...]:
    return dice.between(4, 12), dice.between(2, 6), dice.between(2, 20)


def _pooled(dice: Dice) -> tuple[int, ...]:
    parts, each = dice.between(2, 9), dice.between(3, 10)
    first = dice.between(2, parts * each - 2)
    return first, parts * each - first, parts


ONE_STEP: tuple[Kind, ...] = (
    Kind(
        name="purchase",
        draw=_factors,
        plan=("a * b",),
        wordings=(
            (
                "{name} buys {a} {items}. Each {item} costs {b} dollars. "
                "How many dollars does {name} pay?"
            ),
            "{name} needs {a} {items} at {b} dollars each. What is the total cost in dollars?",
            (
                "A shop sells {name} {a} {items} for {b} dollars each. "
                "How many dollars does {name} spend?"
            ),
        ),
        reasons=(
            ("{name} buys {a} {items} at {b} dollars each", "{a} {items} cost {b} dollars each"),
        ),
        goal="the total cost in dollars",
        outcome="{name} pays {answer} dollars",
    ),
    Kind(
        name="giving",
        draw=_taken,
        plan=("a - b",),
        wordings=(
            (
                "{name} has {a} {items} and gives {b} of them to {other}. "
                "How many {items} does {name} have left?"
            ),
            (
                "There are {a} {items} in a {box}. {name} takes out {b} of them. "
                "How many {items} are left in the {box}?"
            ),
            "{name} had {a} {items} and lost {b} of them. How many {items} are left?",
        ),
        reasons=(
            (
                "there are {a} {items} and {b} of them go away",
                "{b} of the {a} {items} are taken away",
            ),
        ),
        goal="the number of {items} left",
        outcome="there are {answer} {items} left",
    ),
    Kind(
        name="gathering",
        draw=_terms,
        plan=("a + b",),
        wordings=(
            (
                "{name} has {a} {items}. {other} gives {name} {b} more. "
                "How many {items} does {name} have now?"
            ),
            (
                "{name} finds {a} {items} in the morning and {b} {items} in the afternoon. "
                "How many {items} does {name} find in all?"
            ),
            (
                "A {box} holds {a} {items}. {name} adds {b} more. "
                "How many {items} are in the {box} now?"
            ),
        ),
        reasons=(
            ("there are {a} {items} and {b} more", "first there are {a} {items}, then {b} more"),
        ),
        goal="the number of {items} in all",
        outcome="there are {answer} {items} in all",
    ),
    Kind(
        name="sharing",
        draw=_shares,
        plan=("a / b",),
        wordings=(
            (
                "{name} shares {a} {items} equally among {b} friends. "
                "How many {items} does each friend get?"
            ),
            (
                "{name} packs {a} {items} equally into {b} {boxes}. "
                "How many {items} are in each {box}?"
            ),
            "{name} splits {a} {items} into {b} equal groups. How many {items} are in each group?",
        ),
        reasons=(
            (
                "{a} {items} are split into {b} equal parts",
                "{a} {items} are shared equally in {b} parts",
            ),
        ),
        goal="the number of {items} in each part",
        outcome="each part has {answer} {items}",
    ),
    Kind(
        name="rows",
        draw=_factors,
        plan=("a * b",),
        wordings=(
            (
                "{name} lays out {items} in {a} rows with {b} {items} in each row. "
                "How many {items} are there?"
            ),
            (
                "There are {a} rows of {items} on a table. Each row has {b} {items}. "
                "How many {items} are on the table?"
            ),
            "{name} fills {a} {boxes} with {b} {items} each. How many {items} is that in all?",
        ),
        reasons=(
            ("there are {a} groups with {b} {items} in each", "{a} groups have {b} {items} each"),
        ),
        goal="the number of {items}",
        outcome="there are {answer} {items}",
    ),
    Kind(
        name="journey",
        draw=_speed_and_hours,
        plan=("a * b",),
        wordings=(
            (
                "{name} rides a {vehicle} at {a} km per hour for {b} hours. "
                "How many km does {name} travel?"
            ),
            "A {vehicle} goes {a} km every hour. How many km does it go in {b} hours?",
        ),
        reasons=(
            ("it is {a} km every hour for {b} hours", "each hour adds {a} km, for {b} hours"),
        ),
        goal="the distance in km",
        outcome="the distance is {answer} km",
    ),
)

TWO_STEPS: tuple[Kind, ...] = (
    Kind(
        name="packs",
        draw=_factors_and_more,
        plan=("a * b", "x + c"),
        wordings=(
            (
                "{name} has {a} {boxes} with {b} {items} in each, and {c} more {items}. "
                "How many {items} does {name} have in all?"
            ),
            (
                "{name} fills {a} {boxes} with {b} {items} each and has {c} {items} left over. "
                "How many {items} are there in all?"
            ),
            (
                "There are {a} {boxes} with {b} {items} in each. {other} brings {c} more {items}. "
                "How many {items} are there now?"
            ),
        ),
        reasons=(
            ("{a} {boxes} have {b} {items} each", "there are {a} {boxes} with {b} {items} in each"),
            ("there are {c} more {items}", "{c} more {items} are added"),
        ),
        goal="the number of {items} in all",
        outcome="there are {answer} {items} in all",
    ),
    Kind(
        name="change",
        draw=_note_and_factors,
        plan=("b * c", "a - x"),
        wordings=(
            (
                "{name} has {a} dollars and buys {b} {items} at {c} dollars each. "
                "How many dollars does {name} have left?"
            ),
            (
                "{name} pays with {a} dollars for {b} {items}. Each {item} costs {c} dollars. "
                "How many dollars does {name} get back?"
            ),
        ),
        reasons=(
            ("{b} {items} cost {c} dollars each", "{name} buys {b} {items} at {c} dollars each"),
            ("{name} had {a} dollars and spends {x}", "{x} of the {a} dollars are spent"),
        ),
        goal="the number of dollars left",
        outcome="{name} has {answer} dollars left",
    ),
    Kind(
        name="ages",
        draw=_age_times_later,
        plan=("a * b", "x + c"),
        wordings=(
            (
                "{name} is {a} years old. {other} is {b} times as old. "
                "How old will {other} be in {c} years?"
            ),
            (
                "{name} is {a} and {other} is {b} times as old as {name}. "
                "What will the age of {other} be {c} years from now?"
            ),
        ),
        reasons=(
            ("{name} is {a} and {other} is {b} times as old", "{other} is {b} times as old as {a}"),
            ("{c} more years pass", "{c} years are added"),
        ),
        goal="the age of {other} in {c} years",
        outcome="{other} will be {answer} years old",
    ),
    Kind(
        name="pooling",
        draw=_pooled,
        plan=("a + b", "x / c"),
        wordings=(
            (
                "{name} has {a} {items} and {other} has {b} {items}. They put them all equally into "
                "{c} {boxes}. How many {items} are in each {box}?"
            ),
            (
                "{name} brings {a} {items} and {other} brings {b} {items}. {c} friends share them "
                "equally. How many {items} does each friend get?"
            ),
        ),
        reasons=(
            ("there are {a} {items} and {b} more", "{a} {items} and {b} {items} come together"),
            (
                "{x} {items} are split into {c} equal parts",
                "{x} {items} are shared equally in {c} parts",
            ),
        ),
        goal="the number of {items} in each part",
        outcome="each part has {answer} {items}",
    ),
)
