"""The sample's science questions: a law, its numbers, and four tellings of the same work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from openthoughts_cli.data.sample.chemistry import chemistry_problems
from openthoughts_cli.data.sample.long_science import long_chemistry, long_physics
from openthoughts_cli.data.sample.rows import LABEL, Question, thought
from openthoughts_cli.data.sample.science import Worked
from openthoughts_cli.problems.dice import Dice

__all__ = ["science_questions"]

_EACH = 7  # questions a law


@dataclass(frozen=True, slots=True)
class _Law:
    """A law of physics over whole numbers; the wording mentions the numbers in `draw`'s order."""

    name: str
    draw: Callable[[Dice], tuple[int, ...]]
    wording: str
    statement: str
    work: Callable[..., tuple[tuple[str, ...], int]]  # the equations and the answer
    quantity: str
    unit: str
    check: str


_LAWS: tuple[_Law, ...] = (
    _Law(
        "final speed",
        lambda d: (d.between(2, 20), d.between(2, 6), d.between(3, 12)),
        "A car moves at {0} m/s and speeds up by {1} m/s every second. What is its speed in m/s "
        "after {2} s?",
        "With constant acceleration the speed grows by a * t, so v = u + a * t.",
        lambda u, a, t: ((f"{a} * {t} = {a * t}", f"{u} + {a * t} = {u + a * t}"), u + a * t),
        "the final speed",
        "m/s",
        "The speed went up, as it must when the acceleration is positive.",
    ),
    _Law(
        "distance from rest",
        lambda d: (2 * d.between(1, 5), d.between(3, 12)),
        "A sled starts from rest and accelerates at {0} m/s^2. How many metres does it cover in "
        "{1} s?",
        "From rest the distance is s = a * t^2 / 2.",
        lambda a, t: (
            (
                f"{t} * {t} = {t * t}",
                f"{a} * {t * t} = {a * t * t}",
                f"{a * t * t} / 2 = {a * t * t // 2}",
            ),
            a * t * t // 2,
        ),
        "the distance",
        "m",
        "The mean speed is half of the final one, which explains the factor of one half.",
    ),
    _Law(
        "ohm",
        lambda d: (d.between(2, 12), d.between(3, 30)),
        "A current of {0} A flows through a resistor of {1} ohm. What is the voltage across it in "
        "volts?",
        "Ohm's law says that the voltage is the current times the resistance, U = I * R.",
        lambda i, r: ((f"{i} * {r} = {i * r}",), i * r),
        "the voltage",
        "V",
        "One ampere times one ohm is one volt, so the unit is right.",
    ),
    _Law(
        "electric power",
        lambda d: (d.pick((5, 6, 9, 12, 24, 48)), d.between(2, 9)),
        "A device runs at {0} V and draws {1} A. What is its power in watts?",
        "Electric power is voltage times current, P = U * I.",
        lambda u, i: ((f"{u} * {i} = {u * i}",), u * i),
        "the power",
        "W",
        "One volt times one ampere is one watt, so the unit is right.",
    ),
    _Law(
        "kinetic energy",
        lambda d: (2 * d.between(1, 10), d.between(2, 12)),
        "What is the kinetic energy in joules of a body of {0} kg that moves at {1} m/s?",
        "Kinetic energy is E = m * v^2 / 2.",
        lambda m, v: (
            (
                f"{v} * {v} = {v * v}",
                f"{m} / 2 = {m // 2}",
                f"{m // 2} * {v * v} = {m * v * v // 2}",
            ),
            m * v * v // 2,
        ),
        "the kinetic energy",
        "J",
        "Only the speed is squared, not the mass.",
    ),
    _Law(
        "potential energy",
        lambda d: (d.between(2, 12), d.between(2, 20)),
        "A crate of {0} kg is lifted by {1} m. How many joules of potential energy does it gain? "
        "Take g = 10 m/s^2.",
        "The gain is E = m * g * h.",
        lambda m, h: ((f"{m} * 10 = {m * 10}", f"{m * 10} * {h} = {m * 10 * h}"), m * 10 * h),
        "the gain in potential energy",
        "J",
        "The weight in newtons times the height in metres gives joules.",
    ),
    _Law(
        "force",
        lambda d: (d.between(2, 30), d.between(2, 9)),
        "Which force in newtons gives a mass of {0} kg an acceleration of {1} m/s^2?",
        "Newton's second law says F = m * a.",
        lambda m, a: ((f"{m} * {a} = {m * a}",), m * a),
        "the force",
        "N",
        "Twice the mass would need twice the force, which fits a product.",
    ),
    _Law(
        "sticking together",
        lambda d: _collision(d),
        "A cart of {0} kg moving at {1} m/s hits a resting cart of {2} kg and they stick together. "
        "What is their common speed in m/s?",
        "Momentum is conserved: the momentum before is shared by the joint mass afterwards.",
        lambda m, v, n: (
            (
                f"{m} * {v} = {m * v}",
                f"{m} + {n} = {m + n}",
                f"{m * v} / {m + n} = {m * v // (m + n)}",
            ),
            m * v // (m + n),
        ),
        "the common speed",
        "m/s",
        "It is below the speed of the first cart, as the mass has grown.",
    ),
    _Law(
        "heat",
        lambda d: (d.between(2, 9), d.between(5, 30)),
        "How many kilojoules heat {0} kg of water by {1} degrees? Take 4 kJ per kg and degree.",
        "The heat is Q = m * c * dT.",
        lambda m, t: ((f"{m} * 4 = {m * 4}", f"{m * 4} * {t} = {m * 4 * t}"), m * 4 * t),
        "the heat",
        "kJ",
        "The rise in temperature counts, not the temperature itself.",
    ),
)


def _collision(dice: Dice) -> tuple[int, ...]:
    first, second, speed = dice.between(2, 8), dice.between(2, 12), dice.between(1, 4)
    total = speed * (first + second)
    if total % first:
        return _collision(dice)
    return first, total // first, second


def science_questions() -> list[Question]:
    """All science questions: chemistry first, then physics, each in a drawn order."""
    dice = Dice(LABEL, "science order")
    chemistry = [_question("chemistry", worked) for worked in chemistry_problems()]
    physics = [_question("physics", worked) for law in _LAWS for worked in _problems(law)]
    return dice.shuffled([*chemistry, *long_chemistry()]) + dice.shuffled(
        [*physics, *long_physics()]
    )


def _problems(law: _Law) -> list[Worked]:
    dice = Dice(LABEL, "physics", law.name)
    drawn: dict[tuple[int, ...], Worked] = {}
    while len(drawn) < _EACH:
        numbers = law.draw(dice)
        equations, answer = law.work(*numbers)
        drawn[numbers] = Worked(
            kind=law.name,
            question=law.wording.format(*numbers),
            law=law.statement,
            equations=equations,
            answer=answer,
            quantity=law.quantity,
            unit=law.unit,
            check=law.check,
        )
    return list(drawn.values())


def _question(source: str, worked: Worked) -> Question:
    boxed = f"\\boxed{{{worked.answer}}}"
    value = f"{worked.answer} {worked.unit}".strip()
    quantity, title = worked.quantity, worked.quantity[:1].upper() + worked.quantity[1:]
    then = " Then ".join(f"{equation}." for equation in worked.equations)
    listed = "\n".join(f"- {equation}" for equation in worked.equations)
    answers = (
        thought(f"{worked.law} {then}", f"{title} is {value}. The answer is {boxed}."),
        thought(
            f"What is asked is {quantity}. {worked.law}\n{listed}\n{worked.check}",
            f"{worked.law} This gives {boxed}.",
        ),
        thought(
            f"Let me put the numbers in. {then} This uses the rule: {worked.law}",
            f"So {quantity} is {boxed}.",
        ),
        thought(
            f"{worked.law} Step by step:\n{listed}\nIs {value} plausible? {worked.check}",
            f"{title}: {boxed}",
        ),
    )
    return Question(worked.kind, source, worked.question, answers)
