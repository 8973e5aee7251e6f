"""Organic chemistry for the sample: molar masses, amounts, combustion, unsaturation.

Atomic masses are rounded to whole numbers, and every question says so.
"""

from __future__ import annotations

import re
from math import gcd

from openthoughts_cli.data.sample.rows import LABEL
from openthoughts_cli.data.sample.science import Worked
from openthoughts_cli.problems.dice import Dice

__all__ = ["chemistry_problems"]

_MASSES = {"C": 12, "H": 1, "N": 14, "O": 16}
_GIVEN = "Use C = 12, H = 1, N = 14 and O = 16 g/mol."
_EACH = 13

_COMPOUNDS = (
    ("methane", "CH4"), ("ethane", "C2H6"), ("propane", "C3H8"), ("butane", "C4H10"),
    ("ethene", "C2H4"), ("propyne", "C3H4"), ("benzene", "C6H6"), ("toluene", "C7H8"),
    ("methanol", "CH4O"), ("ethanol", "C2H6O"), ("acetone", "C3H6O"), ("acetic acid", "C2H4O2"),
    ("phenol", "C6H6O"), ("glucose", "C6H12O6"), ("urea", "CH4N2O"), ("glycine", "C2H5NO2"),
    ("aniline", "C6H7N"), ("naphthalene", "C10H8"), ("cyclohexane", "C6H12"),
    ("pyridine", "C5H5N"),
)  # fmt: skip


def chemistry_problems() -> list[Worked]:
    """Thirteen problems of each of five kinds, each about another compound."""
    dice = Dice(LABEL, "chemistry")
    problems: list[Worked] = []
    for make in (_molar_mass, _unsaturation):
        problems += [make(*compound) for compound in dice.shuffled(_COMPOUNDS)[:_EACH]]
    for weigh in (_mass_of_amount, _amount_of_mass):
        compounds = dice.shuffled(_COMPOUNDS)[:_EACH]
        problems += [weigh(*compound, dice.between(2, 9)) for compound in compounds]
    burning = [compound for compound in _COMPOUNDS if "N" not in compound[1]]
    return problems + [_combustion(*compound) for compound in dice.shuffled(burning)[:_EACH]]


def _atoms(formula: str) -> dict[str, int]:
    return {symbol: int(count or 1) for symbol, count in re.findall(r"([A-Z])(\d*)", formula)}


def _mass_work(formula: str) -> tuple[list[str], int]:
    """The equations of the molar mass: one an element, then the running sum."""
    products = [(count, _MASSES[symbol]) for symbol, count in _atoms(formula).items()]
    equations = [f"{count} * {mass} = {count * mass}" for count, mass in products]
    total = products[0][0] * products[0][1]
    for count, mass in products[1:]:
        equations.append(f"{total} + {count * mass} = {total + count * mass}")
        total += count * mass
    return equations, total


def _molar_mass(name: str, formula: str) -> Worked:
    equations, mass = _mass_work(formula)
    return Worked(
        kind="molar mass",
        question=f"What is the molar mass of {name}, {formula}, in g/mol? {_GIVEN}",
        law="The molar mass is the sum over the elements of the number of atoms times atomic mass.",
        equations=tuple(equations),
        answer=mass,
        quantity=f"the molar mass of {name}",
        unit="g/mol",
        check=f"The formula {formula} has {sum(_atoms(formula).values())} atoms in all.",
    )


def _mass_of_amount(name: str, formula: str, amount: int) -> Worked:
    equations, mass = _mass_work(formula)
    return Worked(
        kind="mass of an amount",
        question=f"How many grams do {amount} mol of {name}, {formula}, weigh? {_GIVEN}",
        law="The mass is the amount times the molar mass, m = n * M.",
        equations=(*equations, f"{amount} * {mass} = {amount * mass}"),
        answer=amount * mass,
        quantity=f"the mass of {name}",
        unit="g",
        check=f"One mole alone weighs {mass} g.",
    )


def _amount_of_mass(name: str, formula: str, amount: int) -> Worked:
    equations, mass = _mass_work(formula)
    grams = amount * mass
    return Worked(
        kind="amount of a mass",
        question=f"How many moles are {grams} g of {name}, {formula}? {_GIVEN}",
        law="The amount is the mass divided by the molar mass, n = m / M.",
        equations=(*equations, f"{grams} / {mass} = {amount}"),
        answer=amount,
        quantity=f"the amount of {name}",
        unit="mol",
        check=f"Indeed {amount} * {mass} = {grams}.",
    )


def _unsaturation(name: str, formula: str) -> Worked:
    atoms = _atoms(formula)
    carbon, hydrogen, nitrogen = atoms["C"], atoms["H"], atoms.get("N", 0)
    most = 2 * carbon + 2 + nitrogen
    missing = most - hydrogen
    return Worked(
        kind="unsaturation",
        question=f"What is the degree of unsaturation of {name}, {formula}?",
        law="A saturated molecule has 2 * C + 2 + N hydrogens; every ring or double bond costs "
        "two. Oxygen does not count.",
        equations=(
            f"2 * {carbon} + 2 + {nitrogen} = {most}",
            f"{most} - {hydrogen} = {missing}",
            f"{missing} / 2 = {missing // 2}",
        ),
        answer=missing // 2,
        quantity=f"the degree of unsaturation of {name}",
        unit="",
        check=f"There are {hydrogen} hydrogens where {most} would fit.",
    )


def _combustion(name: str, formula: str) -> Worked:
    atoms = _atoms(formula)
    carbon, hydrogen, oxygen = atoms["C"], atoms["H"], atoms.get("O", 0)
    # Per 4 molecules everything is whole: 4 C carbon dioxide, 2 H water, 4 C + H - 2 O oxygen.
    oxygens, dioxide, water = 4 * carbon + hydrogen - 2 * oxygen, 4 * carbon, 2 * hydrogen
    shared = gcd(gcd(4, oxygens), gcd(dioxide, water))
    fuel, oxygens = 4 // shared, oxygens // shared
    dioxide, water = dioxide // shared, water // shared
    needed = 2 * dioxide + water
    return Worked(
        kind="combustion",
        question=f"{name[:1].upper()}{name[1:]}, {formula}, burns completely to CO2 and H2O. In "
        "the equation with the smallest whole coefficients, what is the coefficient of O2?",
        law=f"Balance carbon, then hydrogen, then oxygen. From {fuel} {formula} come {dioxide} CO2 "
        f"and {water} H2O.",
        equations=(
            f"2 * {dioxide} + {water} = {needed}",
            f"{needed} - {fuel} * {oxygen} = {needed - fuel * oxygen}",
            f"{needed - fuel * oxygen} / 2 = {oxygens}",
        ),
        answer=oxygens,
        quantity="the coefficient of O2",
        unit="",
        check=f"The hydrogens agree: {fuel} * {hydrogen} = {2 * water}, and 2 * {water} = {2 * water}.",
    )
