"""What counts as one integer in an answer's notation. The loader and the grader share it."""

from __future__ import annotations

import re

__all__ = ["read_integer"]

_MAX_CHARACTERS = 200
_MAX_DIGITS = 30  # int() itself refuses beyond 4,300; no benchmark's answer is near this

# \text{...} and its kin, without braces inside; what they hold is a number or a unit.
_WRAPPER = re.compile(
    r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mathit|boldsymbol|bm|mbox|hbox|emph)\s*"
    r"\{([^{}]*)\}"
)
_SPACES = re.compile(
    r"\\[,;:! ]|\\quad\b|\\qquad\b|\\thinspace\b|\\displaystyle\b|\\left\b|\\right\b"
    "|[~\u00a0\u2000-\u200b\u202f\u2060\ufeff]"
)
_DEGREES = re.compile(r"\^\s*\{?\s*\\circ\s*\}?|\\degree\b|\\circ\b|°")
_NUMBER = re.compile(
    r"(?P<sign>[+-]?)\s*"
    r"(?P<whole>[0-9]{1,3}(?:(?:,|\{,\}|\s)[0-9]{3})+|[0-9]+)"
    r"(?:\.(?P<fraction>[0-9]*))?"
    r"(?P<rest>.*)",
    re.DOTALL,
)
# Up to four plain words after the number are a unit ("cm^2", "square units"), unless they say
# something else about it.
_UNIT = re.compile(
    r"(?:\s*(?:\\?%|\$)|\s*[A-Za-z]{2,}+\.?(?:\s*(?:\^\s*\{?\s*[23]\s*\}?|[²³]))?){0,4}\s*"
)
_NOT_UNITS = frozenset(
    {
        *("about", "and", "approx", "approximately", "but", "false", "for", "if", "is", "less"),
        *("max", "min", "more", "not", "or", "otherwise", "over", "per", "than", "to", "true"),
        *("when", "where", "with", "choose", "cubed", "divided", "factorial", "log", "minus"),
        *("mod", "modulo", "pi", "plus", "pmod", "sin", "cos", "sqrt", "squared", "times"),
        *("billion", "dozen", "half", "hundred", "million", "thirds", "thousand"),
    }
)
_WORD = re.compile(r"[A-Za-z]+")
_COMPARISON = re.compile(r"[<>!≠≤≥≈~:]\s*=|\\(?:n?eq|n?le|n?ge|approx|equiv)\b|[≠≤≥≈]")
_EDGE = " \t\n\r$*_`\"'"


def read_integer(text: str) -> int | None:
    """The one integer that `text` states, or None.

    Understood: `$...$`, `\\(...\\)`, `\\text{}` and its kin, thin spaces, thousands groups
    (`1{,}000`), units, degree and percent signs, leading zeros, trailing punctuation, an integral
    decimal (`25.0`), and a plain `x = 25`. Not understood, so None: two numbers ("70 or 71"), an
    expression (`5^2`, `\\frac{50}{2}`, `25x`, `25!`), a number word, anything longer than 200
    characters.
    """
    if len(text) > _MAX_CHARACTERS:
        return None
    plain = _plain(text)
    if plain.count("=") == 1:
        left, _, right = plain.partition("=")
        if "," in left or _COMPARISON.search(plain) or _says_more(left):
            return None
        plain = right
    return _number(plain.strip(_EDGE))


def _plain(text: str) -> str:
    """Without mathematics marks, wrappers and special spaces."""
    text = text.replace("−", "-").replace("\\$", "").replace("$", "")
    for mark in ("\\(", "\\)", "\\[", "\\]"):
        text = text.replace(mark, "")
    text = _SPACES.sub(" ", text)
    for _ in range(5):  # wrappers within wrappers, of any sane depth
        text, count = _WRAPPER.subn(_unwrap, text)
        if not count:
            break
    return _DEGREES.sub(" ", text)


def _unwrap(match: re.Match[str]) -> str:
    """A lone letter set as text is a unit ("m"), where a bare one would be a variable."""
    inside = match[1].strip()
    return " unit " if len(inside) == 1 and inside.isalpha() else f" {match[1]} "


def _says_more(text: str) -> bool:
    return any(word.lower() in _NOT_UNITS for word in _WORD.findall(text))


def _number(plain: str) -> int | None:
    if plain.startswith("{") and plain.endswith("}"):
        plain = plain[1:-1].strip(_EDGE)
    match = _NUMBER.fullmatch(plain)
    if match is None or (match["fraction"] or "").strip("0"):
        return None
    rest = match["rest"].rstrip(" \t\n\r.,;:*_`\"'")
    if _UNIT.fullmatch(rest) is None or _says_more(rest):
        return None
    digits = re.sub(r"[^0-9]", "", match["whole"]).lstrip("0") or "0"
    if len(digits) > _MAX_DIGITS:
        return None
    return -int(digits) if match["sign"] == "-" else int(digits)
