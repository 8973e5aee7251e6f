"""Where code and LaTeX stand in prose. One pass: a flood of openings that nothing closes costs no more."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

__all__ = ["Span", "spans"]

_OPENING = re.compile(
    r"""
    (?P<ticks>(?<!`)`{1,3}(?!`))
    | (?P<display>\$\$)
    | (?P<bracket>\\\[)
    | (?P<paren>\\\()
    | \\begin\{(?P<env>(?:align|equation|gather|multline|eqnarray|alignat)\*?)\}
    | (?P<box>\\boxed[ ]?\{)
    | (?P<inline>(?<![\\$\w])\$(?=\S))
    """,
    re.VERBOSE,
)
# These stop at the next dollar, so they read no text twice.
_DISPLAY = re.compile(r"((?:[^$\\]|\\.)++)\$\$", re.DOTALL)
_INLINE = re.compile(r"((?:[^$\\\n]|\\.)++)(?<=\S)\$(?![\d$])", re.DOTALL)
_BRACE = re.compile(r"\\.|[{}\n$]", re.DOTALL)
_MOST_BOX_CHARS = 300
_ENVIRONMENTS = {"align": "aligned", "gather": "gathered", "multline": "gathered"}
"""What Streamlit's LaTeX knows in their place, inside of a display; `aligned` for the others."""


class Span(NamedTuple):
    """A piece that is code or LaTeX: `text[start:end]`, and what is in it."""

    kind: Literal["code", "inline", "display"]
    start: int
    end: int
    inside: str


def spans(text: str) -> Iterator[Span]:
    """The pieces of code and LaTeX in a text without fenced code, ascending, none inside another."""
    ends = _Ends(text)
    at = 0
    while opened := _OPENING.search(text, at):
        found = _closed(text, opened, ends)
        if found is not None:
            yield found
        at = opened.end() if found is None else found.end


def _closed(text: str, opened: re.Match[str], ends: _Ends) -> Span | None:
    """The piece that begins here; None where nothing ends it."""
    start, inside = opened.span()
    kind = opened.lastgroup
    if kind == "ticks":
        return _code(text, opened, ends)
    if kind == "box":
        return _box(text, start, inside)
    if kind in ("display", "inline"):
        found = (_DISPLAY if kind == "display" else _INLINE).match(text, inside)
        return None if found is None else Span(kind, start, found.end(), found[1])
    if kind == "env":
        name = opened["env"]
        close = f"\\end{{{name}}}"
        end = ends.after(inside + 1, close)
        if end is None:
            return None
        shown = _ENVIRONMENTS.get(name.rstrip("*"), "aligned")
        body = f"\\begin{{{shown}}}{text[inside:end]}\\end{{{shown}}}"
        return Span("display", start, end + len(close), body)
    end = ends.after(inside + 1, "\\]" if kind == "bracket" else "\\)")
    if end is None:
        return None
    if kind == "bracket":
        return Span("display", start, end + 2, text[inside:end])
    line_end = ends.after(inside, "\n")
    if line_end is not None and line_end < end:
        return None
    return Span("inline", start, end + 2, text[inside:end])


def _code(text: str, opened: re.Match[str], ends: _Ends) -> Span | None:
    start, inside = opened.span()
    end = ends.ticks_after(inside, inside - start)
    if end is None or "\n" in (text[inside], text[end - 1]):
        return None
    return Span("code", start, end + inside - start, text[inside:end])


def _box(text: str, start: int, inside: int) -> Span | None:
    """A `\\boxed{...}` that stands in no formula: many answers end with one."""
    depth = 1
    for found in _BRACE.finditer(text, inside, inside + _MOST_BOX_CHARS):
        if found[0] in "\n$":
            return None
        depth += {"{": 1, "}": -1}.get(found[0], 0)
        if depth == 0:
            return Span("inline", start, found.end(), text[start : found.end()])
    return None


class _Ends:
    """The next place of each ending, for places that are asked for in ascending order.

    Each is kept until it is passed, so the text is gone through once for each kind of ending.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._next: dict[str, int] = {}
        self._runs = re.finditer(r"`+", text)
        self._ticks: dict[int, list[int]] | None = None

    def after(self, at: int, ending: str) -> int | None:
        """Where the ending stands at or after a place."""
        known = self._next.get(ending, -1)
        if known < at:
            found = self._text.find(ending, at)
            known = self._next[ending] = len(self._text) + 1 if found < 0 else found
        return known if known <= len(self._text) else None

    def ticks_after(self, at: int, count: int) -> int | None:
        """Where a run of exactly so many backticks stands after a place."""
        if self._ticks is None:
            self._ticks = {}
            for run in self._runs:
                self._ticks.setdefault(len(run[0]), []).append(run.start())
            for places in self._ticks.values():
                places.reverse()
        places = self._ticks.get(count, [])
        while places and places[-1] < at:
            places.pop()
        return places[-1] if places else None
