"""Untrusted text, made harmless: rows and answers are shown, never run.

`to_markdown` keeps what helps a reader (headings, lists, tables, emphasis, code, LaTeX) and turns
all else into plain characters: HTML, images, links, Streamlit's own `:red[...]`. Nothing in the
result fetches anything or runs; Streamlit, which is told to allow no HTML, is the second wall.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

from openthoughts_cli.explorer.spans import Span, spans

__all__ = ["PART_CHARS", "Piece", "cut_into_parts", "one_line", "pieces", "to_markdown"]

PART_CHARS = 20_000
"""Longer texts are shown in parts: a browser that renders megabytes of LaTeX stands still."""
_MOST_MATH_CHARS = 4_000
# Possessive where a longer try could only fail: floods of one mark must not be read over and over.
_FENCE = re.compile(r"^ {0,3}(`{3,}+|~{3,}+)[ \t]*+([^\n`]*+)$", re.MULTILINE)
_LANGUAGE = re.compile(r"[A-Za-z][\w+#.-]{0,20}")
_SPECIAL = re.compile(r"[<>\[\]&$\\`|]|!(?=\[)|:(?=\w|\[)|(?<=\w)@(?=\w)")
_ADDRESS = re.compile(r"\b(?:https?|ftp|mailto|www)(?=[:.])", re.IGNORECASE)
_JOINER = "\u2060"
"""Nothing to see, but a bare address with it is no link: nobody clicks into a page that a row
names."""
_TABLE_LINE = re.compile(r"^\s*\|.*\|\s*$")
_HEADING = re.compile(
    r"^(?P<before>[ \t]{0,3}(?:(?:[-*+]|\d{1,9}[.)])[ \t]++)*+)(?P<marks>#{1,6})(?:[ \t]++|$)"
)
_UNDERLINE = re.compile(r"^[ \t]*(?:=+|-+)[ \t]*$")
_LOWER = 3
"""So many levels below its own a heading is drawn: a row's stand below the page's."""
_OPEN, _CLOSE = "\ue000", "\ue001"
_KEPT = re.compile(f"{_OPEN}(\\d+){_CLOSE}")


class Piece(NamedTuple):
    """A run of text: prose, or the inside of a fenced code block."""

    kind: Literal["prose", "code"]
    text: str
    language: str = ""


def pieces(text: str) -> Iterator[Piece]:
    """Cut a text at its fenced code blocks; one that is not closed goes to the end."""
    at = 0
    while opened := _FENCE.search(text, at):
        fence, info = opened[1], opened[2].strip()
        if opened.start() > at:
            yield Piece("prose", text[at : opened.start()])
        close = re.compile(rf"^ {{0,3}}{re.escape(fence[0])}{{{len(fence)},}}[ \t]*$", re.MULTILINE)
        closed = close.search(text, opened.end())
        end = closed.start() if closed else len(text)
        word = _LANGUAGE.match(info)
        inside = text[opened.end() : end].removeprefix("\n").removesuffix("\n")
        yield Piece("code", inside, word[0] if word else "")
        at = closed.end() if closed else len(text)
    if at < len(text):
        yield Piece("prose", text[at:])


def to_markdown(text: str) -> str:
    """A whole text as Markdown that is safe to render: prose, fenced code and LaTeX."""
    made: list[str] = []
    for piece in pieces(_without_controls(text)):
        if piece.kind == "code":
            fence = "`" * max([3, *(len(run) + 1 for run in re.findall(r"`{3,}", piece.text))])
            made.append(f"\n{fence}{piece.language}\n{piece.text}\n{fence}\n")
        else:
            made.append(_prose(piece.text))
    return "".join(made)


def _prose(text: str) -> str:
    # Code and LaTeX stand aside while the rest is made plain, so that lines stay whole.
    kept: list[str] = []
    made: list[str] = []
    at = 0
    for span in spans(text):
        made.append(text[at : span.start])
        made.append(f"{_OPEN}{len(kept)}{_CLOSE}")
        kept.append(_span(span, text[span.start : span.end]))
        at = span.end
    held = "".join([*made, text[at:]])
    return _plain(_ADDRESS.sub(lambda found: found[0] + _JOINER, held), kept)


def _span(span: Span, whole: str) -> str:
    inside = span.inside
    if span.kind == "code":
        return f"`` {inside} ``" if "`" in inside else f"`{inside}`"
    lines = [line for line in inside.strip().split("\n") if line.strip()]
    inside = "\n".join(lines) if span.kind == "display" else inside.strip()
    if not inside or len(inside) > _MOST_MATH_CHARS or "$" in inside.replace("\\$", ""):
        return _SPECIAL.sub(_escaped, whole)
    return f"\n\n$$\n{inside}\n$$\n\n" if span.kind == "display" else f"${inside}$"


def _plain(text: str, kept: list[str]) -> str:
    """Prose in which nothing but headings, lists, tables, quotes and emphasis has a meaning.

    A line break stays one, as most answers mean it; so does an indentation of code that has no
    fence, which would otherwise be a code block whose escapes show. Headings become small ones.
    """
    lines: list[str] = []
    for line in text.split("\n"):
        if _TABLE_LINE.match(line):
            made = _SPECIAL.sub(_escaped_in_table, line)
            lines.append(_KEPT.sub(lambda m: kept[int(m[1])].replace("|", "\\|"), made))
            continue
        quoted = re.match(r"^ {0,3}>\s?", line)
        rest = line[quoted.end() :] if quoted else line
        depth = len(rest) - len(rest.lstrip(" \t"))
        if _UNDERLINE.match(rest) and lines and lines[-1].strip():
            # Below a line it would make that a heading of the page's own size.
            is_rule = "-" in rest and not quoted and depth < 4
            lines += ["", line] if is_rule else [f"{'> ' if quoted else ''}\\{rest.strip()}"]
            continue
        listed = re.match(r"[-*+] |\d{1,9}[.)] ", rest.lstrip(" \t"))
        indent = "&nbsp;" * depth if depth >= 4 and not listed else rest[:depth]
        heading = _HEADING.match(rest)
        if heading is not None:
            marks = "#" * min(len(heading["marks"]) + _LOWER, 6)
            rest = f"{heading['before'].lstrip()}{marks} {rest[heading.end() :]}"
            indent, depth = "", 0
        rest = indent + _SPECIAL.sub(_escaped, rest[depth:])
        lines.append(("> " if quoted else "") + _KEPT.sub(lambda m: kept[int(m[1])], rest))
    return _with_breaks(lines)


def _with_breaks(lines: list[str]) -> str:
    made: list[str] = []
    for i, line in enumerate(lines):
        last = i == len(lines) - 1
        broken = not last and line.strip() and lines[i + 1].strip() and not _TABLE_LINE.match(line)
        made.append(line.rstrip() + "  " if broken else line)
    return "\n".join(made)


def _escaped(match: re.Match[str]) -> str:
    found = match[0]
    if found == "&":
        return "&amp;"
    if found == "<":
        return "&lt;"
    if found == ">":
        return "&gt;"
    if found == "@":
        return f"@{_JOINER}"
    return f"\\{found}"


def _escaped_in_table(match: re.Match[str]) -> str:
    return "|" if match[0] == "|" else _escaped(match)


def _without_controls(text: str) -> str:
    """The text without characters that turn writing around or cannot be shown."""
    made = text.replace("\r\n", "\n").replace("\r", "\n")
    return re.sub(
        r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u202a-\u202e\u2066-\u2069\ufeff\ue000\ue001]",
        "\ufffd",
        made,
    )


def cut_into_parts(text: str, most_chars: int = PART_CHARS) -> list[str]:
    """A long text in parts that end at a blank line, a line or, if there is none, anywhere.

    Joined they are the text. At least one part, which may be empty.
    """
    parts: list[str] = []
    at = 0
    while len(text) - at > most_chars:
        low, high = at + most_chars // 2, at + most_chars
        end = text.rfind("\n\n", low, high)
        if end < 0:
            end = text.rfind("\n", low, high)
        end = high if end < 0 else end + 1
        parts.append(text[at:end])
        at = end
    parts.append(text[at:])
    return parts


def one_line(text: str, most_chars: int = 160) -> str:
    """The beginning of a text on one line, with an ellipsis where it is cut."""
    head = " ".join(text[: most_chars * 4].split())
    cut = len(head) > most_chars or len(text) > most_chars * 4
    return _without_controls(f"{head[:most_chars]}…" if cut else head)
