"""Everything that is wrong with a grid, gathered with its place in the file and told at once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from openthoughts_cli.config.yaml_file import Document, KeyPath, read_document
from openthoughts_cli.errors import ConfigError

__all__ = ["Problems"]

_MOST_SHOWN = 40
_PLACE = re.compile(r"(.+?):(\d+):(\d+): ")


@dataclass
class Problems:
    """A list of sentences; each stands once.

    Args:
        files: the grid's file and those it extends, as `load_config` read them.
    """

    files: Sequence[Path] = ()
    lines: list[str] = field(default_factory=list[str])

    def add(self, path: KeyPath, what: str, *, key: str = "") -> None:
        """Something wrong at a key of the grid (or at the nearest key that the file spells out)."""
        line = ": ".join(part for part in (self.place(path), key, what) if part)
        if line not in self.lines:
            self.lines.append(line)

    def add_line(self, line: str) -> None:
        """Something wrong that stands at no key of the grid's file."""
        if line not in self.lines:
            self.lines.append(line)

    def place(self, path: KeyPath) -> str:
        """`file:line:column` of a key; empty where no file has it."""
        for length in range(len(path), 0, -1):
            for document in self._documents:
                if path[:length] in document.places:
                    return document.places[path[:length]]
        return str(self.files[0]) if self.files else ""

    @cached_property
    def _documents(self) -> list[Document]:
        return [read_document(file) for file in self.files if str(file) != "-"]

    def raise_if_any(self) -> None:
        """Raise what was gathered.

        Raises:
            ConfigError: one line a problem.
        """
        if not self.lines:
            return
        hint = "`ot config show sweep` prints the keys of a grid; nothing was started"
        if len(self.lines) == 1:
            raise ConfigError(self.lines[0], hint=hint)
        shown = sorted(self.lines, key=_place_of)[:_MOST_SHOWN]
        more = len(self.lines) - len(shown)
        listed = "".join(f"\n  {line}" for line in shown) + (f"\n  and {more} more" if more else "")
        raise ConfigError(f"{len(self.lines)} problems in the grid:{listed}", hint=hint)


def _place_of(line: str) -> tuple[bool, str, int, int]:
    """In the order of the files; what has no place comes last, as it was found."""
    found = _PLACE.match(line)
    return (False, found[1], int(found[2]), int(found[3])) if found else (True, "", 0, 0)
