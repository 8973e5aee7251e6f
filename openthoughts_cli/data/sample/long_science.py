"""Long science questions of the sample: a motion second by second, a series member by member."""

from __future__ import annotations

from openthoughts_cli.data.sample.rows import Question, thought

__all__ = ["long_chemistry", "long_physics"]


def long_physics() -> list[Question]:
    """Two carts whose speed changes once a second."""
    return [_cart(3, 2, 125), _cart(7, 4, 120)]


def long_chemistry() -> list[Question]:
    """The masses of the alkanes, added up."""
    return [_alkanes(110)]


def _question(kind: str, source: str, text: str, traces: list[str], answer: int) -> Question:
    ends = (
        f"The total is \\boxed{{{answer}}}.",
        f"The answer is \\boxed{{{answer}}}.",
        f"Adding everything up gives \\boxed{{{answer}}}.",
        f"So the result is \\boxed{{{answer}}}.",
    )
    first, second, third, fourth = (
        thought(trace, end) for trace, end in zip(traces, ends, strict=True)
    )
    return Question(kind, source, text, (first, second, third, fourth))


def _cart(speed: int, gain: int, seconds: int) -> Question:
    text = (
        f"A cart rolls at {speed} m/s. At the end of every second its speed jumps up by {gain} m/s. "
        f"How many metres has it covered after {seconds} s?"
    )
    openings = (
        "Between the jumps the speed is constant, so I add up one second after the other.",
        "A table: distance so far, then the speed for the next second.",
        "In every second the cart covers as many metres as its speed says.",
        "I could use a formula, but step by step there is nothing to get wrong.",
    )
    traces = [
        "\n".join([openings[form], *_cart_lines(speed, gain, seconds, form)]) for form in range(4)
    ]
    total = seconds * speed + gain * seconds * (seconds - 1) // 2
    return _question("cart", "physics", text, traces, total)


def _cart_lines(speed: int, gain: int, seconds: int, form: int) -> list[str]:
    lines: list[str] = []
    place = 0
    for second in range(1, seconds + 1):
        moved = f"{place} + {speed} = {place + speed}"
        faster = f"{speed} + {gain} = {speed + gain}"
        lines.append(
            (
                f"Second {second}: the place is {moved}, the new speed {faster}.",
                f"After {second} s: {moved} metres. Next speed: {faster}.",
                f"{moved} m at time {second}; from then on {faster} m/s.",
                f"At {speed} m/s, {moved}. That is time {second}, and the speed becomes {faster}.",
            )[form]
        )
        place += speed
        speed += gain
    return lines


def _alkanes(last: int) -> Question:
    text = (
        f"The alkanes have the formula CnH2n+2. Taking C = 12 and H = 1 g/mol, what is the sum of "
        f"the molar masses of the alkanes from n = 1 to n = {last} in g/mol?"
    )
    openings = (
        "I compute each molar mass and keep a running sum.",
        f"There are {last} alkanes to add. One after the other.",
        "Each step adds a CH2 group, but I compute every mass from its formula to be safe.",
        "Let me make the table with the sum at the end of each line.",
    )
    traces = ["\n".join([openings[form], *_alkane_lines(last, form)]) for form in range(4)]
    return _question("alkanes", "chemistry", text, traces, 7 * last * (last + 1) + 2 * last)


def _alkane_lines(last: int, form: int) -> list[str]:
    lines: list[str] = []
    total = 0
    for n in range(1, last + 1):
        hydrogens = 2 * n + 2
        formula = f"C{n if n > 1 else ''}H{hydrogens}"
        mass = 12 * n + hydrogens
        work = f"{n} * 12 + {hydrogens} * 1 = {mass}"
        add = f"{total} + {mass} = {total + mass}"
        lines.append(
            (
                f"n = {n}, {formula}: {work}. Sum: {add}.",
                f"{formula} weighs {work}, and {add}.",
                f"Alkane number {n} has {hydrogens} hydrogens: {work}; so far {add}.",
                f"Alkane {n} is {formula} with {work} g/mol. Then {add}.",
            )[form]
        )
        total += mass
    return lines
