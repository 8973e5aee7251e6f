"""The program in an answer, and the imports that it may take for granted."""

from __future__ import annotations

import builtins
import functools
import importlib
import re
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import NamedTuple

from openthoughts_cli.evals.answer_text import after_thinking

__all__ = ["Block", "code_in", "fenced_blocks", "prelude"]

# Fenced blocks: three or more backticks or tildes at a line's start, indented as in a list. Possessive:
# a line of megabytes that is none is read once.
_OPENING = re.compile(r"^[ \t]*+(`{3,}+|~{3,}+)[ \t]*+([^\s`]*+)[^\n`]*+$")
_PYTHON = frozenset({"", "py", "python", "python2", "python3", "py3", "pypy3", "cpython"})

# Star imports in this order, later ones winning, then the modules by name: what the official
# grader puts before a candidate. Names of builtins stay the builtins.
_STARS = (
    *("string", "re", "datetime", "collections", "heapq", "bisect", "copy", "math", "random"),
    *("statistics", "itertools", "functools", "operator", "io", "sys", "json", "typing"),
)
_PLAIN = (*_STARS, "numpy")

# `from sys import *` would bring whatever this process happens to have there.
_OF_SYS = (
    *("argv", "stdin", "stdout", "stderr", "maxsize", "path", "modules", "getsizeof", "intern"),
    *("setrecursionlimit", "getrecursionlimit", "exc_info", "byteorder", "version", "platform"),
    *("version_info", "float_info", "int_info", "getrefcount", "set_int_max_str_digits"),
)


# A line that a program may have and that no sample output or plain sentence has.
_CODE_LINE = re.compile(
    r"^[ \t]*(?:import[ ]\w|from[ ]\S+[ ]import\b|(?:def|class|for|while|if|with|try)\b[^\n]*:[ \t]*(?:#|$)"
    r"|[A-Za-z_][\w.\[\], ]*[-+*/%|&^]?=(?!=)|[A-Za-z_][\w.]*\()",
    re.MULTILINE,
)


def code_in(text: str) -> str | None:
    """The last fenced block that is Python or has no language, after the thinking.

    None where the thinking never ends or there is no such block. One that is never closed (the
    answer was cut off in it, or the fence forgotten) counts only where there is no closed one. After
    a block that says it is Python, one without a language counts only if it reads like a program:
    it is most often what the program prints.
    """
    answer = after_thinking(text)
    if answer is None:
        return None
    python = [
        block
        for block in fenced_blocks(answer)
        if block.language.lower() in _PYTHON and block.body.strip()
    ]
    chosen = [block for block in python if block.closed] or python
    if any(block.language for block in chosen):
        while not _is_program(chosen[-1]):  # at the latest the one that names a language is
            chosen.pop()
    return chosen[-1].body if chosen else None


def _is_program(block: Block) -> bool:
    return bool(block.language) or _CODE_LINE.search(block.body) is not None


@functools.cache
def prelude() -> tuple[tuple[str, str], ...]:
    """Pairs of a name and the statement that imports it, in order."""
    origin: dict[str, str] = {}
    for name in _STARS:
        module = importlib.import_module(name)
        public = _OF_SYS if name == "sys" else _public(module)
        origin |= dict.fromkeys(public, name)
    taken = set(dir(builtins)) - {"copyright", "credits", "license"}
    stars = [
        (name, f"from {module} import {name}")
        for name, module in origin.items()
        if name not in taken
    ]
    plain = [(name, f"import {name}") for name in _PLAIN]
    return (*stars, *plain, ("np", "import numpy as np"))


def _public(module: ModuleType) -> Iterable[str]:
    visible = [key for key in vars(module) if not key.startswith("_")]
    return getattr(module, "__all__", visible)


class Block(NamedTuple):
    """A fenced block of an answer."""

    language: str
    body: str
    closed: bool


def fenced_blocks(text: str) -> Iterator[Block]:
    """The fenced blocks, in order; only the last may be unclosed."""
    fence, language, body = "", "", list[str]()
    for line in text.split("\n"):
        stripped = line.strip()
        if not fence:
            if match := _OPENING.match(line.rstrip("\r")):
                fence, language, body = match[1], match[2].strip("{}."), []
        elif stripped.startswith(fence) and not stripped.strip(fence[0]):
            yield Block(language, "\n".join(body), closed=True)
            fence = ""
        else:
            body.append(line)
    if fence:
        yield Block(language, "\n".join(body), closed=False)
