"""Long math questions of the sample: honest work in many small steps, over 4,096 tokens.

Trying each divisor in turn, following a sequence term by term: the length is the work's own.
"""

from __future__ import annotations

import itertools

from openthoughts_cli.data.sample.rows import Question, thought

__all__ = ["long_math_questions"]

_DIVISOR_NUMBERS = (30_030, 36_036)
_COLLATZ_STARTS = (703, 871)
_SEQUENCES = ((3, 7, 101, 5, 160), (5, 11, 97, 2, 170))  # factor, shift, modulus, start, index


def long_math_questions() -> list[Question]:
    """Six questions: two of each kind of long work."""
    divisors = [_divisor_question(number) for number in _DIVISOR_NUMBERS]
    collatz = [_collatz_question(start) for start in _COLLATZ_STARTS]
    return [*divisors, *collatz, *(_sequence_question(*numbers) for numbers in _SEQUENCES)]


def _question(kind: str, text: str, traces: list[str], outcome: str, answer: int) -> Question:
    ends = (
        f"{outcome}. The answer is \\boxed{{{answer}}}.",
        f"The answer is \\boxed{{{answer}}}.",
        f"Counting it all through gives \\boxed{{{answer}}}.",
        f"So the result is \\boxed{{{answer}}}: {outcome[:1].lower()}{outcome[1:]}.",
    )
    first, second, third, fourth = (
        thought(trace, end) for trace, end in zip(traces, ends, strict=True)
    )
    return Question(kind, "openmath", text, (first, second, third, fourth))


def _divisor_question(number: int) -> Question:
    root = next(r for r in range(1, number) if (r + 1) ** 2 > number)
    pairs = sum(number % d == 0 for d in range(1, root + 1))
    answer = 2 * pairs - (root * root == number)
    upwards, downwards = range(1, root + 1), range(root, 0, -1)
    plan = f"Divisors come in pairs, and the smaller one of a pair is at most {root}, because "
    plan += f"{root + 1} * {root + 1} = {(root + 1) ** 2} is more than {number}."
    close = f"That makes {pairs} pairs, and 2 * {pairs} = {answer} divisors."
    traces = [
        "\n".join([f"{plan} I try every number from 1 up.", *_trials(number, upwards, 0), close]),
        "\n".join([f"{plan} I start with the largest.", *_trials(number, downwards, 1), close]),
        "\n".join([f"Let me list the pairs. {plan}", *_trials(number, upwards, 2), close]),
        "\n".join([f"{plan} Going down from {root}.", *_trials(number, downwards, 3), close]),
    ]
    text = f"How many positive divisors does {number} have?"
    return _question("divisors", text, traces, f"{number} has {answer} divisors", answer)


def _trials(number: int, candidates: range, form: int) -> list[str]:
    lines: list[str] = []
    pairs = 0
    for d in candidates:
        quotient, rest = divmod(number, d)
        pairs += rest == 0
        if rest == 0:
            lines.append(
                (
                    f"{d}: {d} * {quotient} = {number}, a pair. Pairs so far: {pairs}.",
                    f"{number} / {d} = {quotient} without remainder. This is pair {pairs}.",
                    f"{d} divides it, as {d} * {quotient} = {number}. I have {pairs} now.",
                    f"Try {d}. {d} * {quotient} = {number} exactly, pair number {pairs}.",
                )[form]
            )
        else:
            below = d * quotient
            lines.append(
                (
                    f"{d}: {d} * {quotient} = {below}, and {number} - {below} = {rest} is left.",
                    f"{d} does not divide: {d} * {quotient} + {rest} = {number}.",
                    f"{d} fails, as {d} * {quotient} = {below} and {number} - {below} = {rest}.",
                    f"Try {d}. {d} * {quotient} + {rest} = {number}, so there is a remainder.",
                )[form]
            )
    return lines


def _collatz_question(start: int) -> Question:
    chain = [start]
    while chain[-1] != 1:
        last = chain[-1]
        chain.append(last // 2 if last % 2 == 0 else 3 * last + 1)
    steps = len(chain) - 1
    opening = (
        f"I follow the rule from {start} until I reach 1, counting the steps.",
        f"There is no formula for this, so I compute each number from {start} on.",
        f"Start: {start}. I write down every step with its number.",
        f"Let me just do it. The first number is {start}.",
    )
    traces = [
        "\n".join(
            [opening[form], *_collatz_lines(chain, form), f"1 is reached after {steps} steps."]
        )
        for form in range(4)
    ]
    text = (
        f"Start with {start}. Halve an even number; multiply an odd number by 3 and add 1. "
        "How many steps does it take to reach 1?"
    )
    return _question("collatz", text, traces, f"It takes {steps} steps", steps)


def _collatz_lines(chain: list[int], form: int) -> list[str]:
    lines: list[str] = []
    for count, (now, after) in enumerate(itertools.pairwise(chain), start=1):
        equation = f"{now} / 2 = {after}" if now % 2 == 0 else f"3 * {now} + 1 = {after}"
        parity = "even" if now % 2 == 0 else "odd"
        lines.append(
            (
                f"Step {count}: {now} is {parity}, so {equation}.",
                f"{now} is {parity}: {equation}. That was step {count}.",
                f"({count}) From {now}, which is {parity}, I get {equation}.",
                f"The number {now} is {parity}. {equation}, and the count is {count}.",
            )[form]
        )
    return lines


def _sequence_question(factor: int, shift: int, modulus: int, start: int, index: int) -> Question:
    terms = [start]
    for _ in range(index - 1):
        terms.append((factor * terms[-1] + shift) % modulus)
    opening = (
        f"I compute the terms one after the other up to number {index}.",
        f"The first term is {start}. Each next term needs the one before, so I go through all.",
        f"A period would be a shortcut, but a plain table up to term {index} is safe.",
        f"Let me tabulate. Term 1 is {start}.",
    )
    traces = [
        "\n".join(
            [
                opening[form],
                *_sequence_lines(terms, factor, shift, modulus, form),
                f"So term {index} is {terms[-1]}.",
            ]
        )
        for form in range(4)
    ]
    text = (
        f"The first term of a sequence is {start}. To get the next term, multiply by {factor}, "
        f"add {shift}, and take the remainder after division by {modulus}. "
        f"What is term number {index}?"
    )
    return _question("sequence", text, traces, f"Term {index} is {terms[-1]}", terms[-1])


def _sequence_lines(
    terms: list[int], factor: int, shift: int, modulus: int, form: int
) -> list[str]:
    lines: list[str] = []
    for place, (now, after) in enumerate(itertools.pairwise(terms), start=2):
        raw = factor * now + shift
        equation = f"{factor} * {now} + {shift} = {raw}"
        times = raw // modulus
        lines.append(
            (
                f"Term {place}: {equation}, and {raw} - {times} * {modulus} = {after}.",
                f"{equation}. The remainder is {raw} - {times * modulus} = {after}, term {place}.",
                f"{equation}; without {times} * {modulus} = {times * modulus} this is {after} (term {place}).",
                f"From {now}: {equation}. Then {raw} - {times} * {modulus} = {after}, number {place}.",
            )[form]
        )
    return lines
