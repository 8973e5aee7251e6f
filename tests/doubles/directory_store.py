"""A mapping from names to bytes, kept in a directory, so that saved states outlive a process."""

from __future__ import annotations

import os
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from urllib.parse import quote, unquote

__all__ = ["DirectoryStore"]


class DirectoryStore(MutableMapping[str, bytes]):
    """One file a name; a value is replaced whole."""

    def __init__(self, root: Path) -> None:
        self._root = root
        root.mkdir(parents=True, exist_ok=True)

    def _file(self, name: str) -> Path:
        return self._root / (quote(name, safe="") + ".bin")

    def __getitem__(self, name: str) -> bytes:
        try:
            return self._file(name).read_bytes()
        except FileNotFoundError:
            raise KeyError(name) from None

    def __setitem__(self, name: str, value: bytes) -> None:
        aside = self._file(name).with_suffix(f".{os.getpid()}")
        aside.write_bytes(value)
        aside.replace(self._file(name))

    def __delitem__(self, name: str) -> None:
        try:
            self._file(name).unlink()
        except FileNotFoundError:
            raise KeyError(name) from None

    def __iter__(self) -> Iterator[str]:
        return (unquote(path.name.removesuffix(".bin")) for path in self._root.glob("*.bin"))

    def __len__(self) -> int:
        return sum(1 for _ in self)
