"""The token counter of a model by its name: what the command line, indexes and workers open.

A choice that is made from an index needs of the tokenizer its digest alone, and loading one takes
longer than the choice. So the digest is kept in the cache, by the bytes of all files that it depends
on, and tokenizer and template are loaded when the first text comes.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

from openthoughts_cli.chat.folder import FILES
from openthoughts_cli.chat.locate import locate
from openthoughts_cli.data.tokens import CountColumns, TokenCounter, TokenCounts
from openthoughts_cli.digests import digest_file, digest_value
from openthoughts_cli.errors import IntegrityError, OtError
from openthoughts_cli.events import Listener, silent
from openthoughts_cli.places import cache_dir
from openthoughts_cli.store import write_whole

__all__ = ["open_counter"]

_DIGEST = re.compile(rb"[0-9a-f]{32}")


def open_counter(model: str, *, listener: Listener = silent) -> TokenCounter:
    """The fastest exact counter of a model's tokens, with its chat template.

    Raises:
        ModelError, NetworkError: the tokenizer cannot be had.
    """
    kept = _digest_file(locate(model, listener=listener).folder)
    digest = kept.read_bytes() if kept.is_file() else b""
    if _DIGEST.fullmatch(digest):
        return _LaterCounter(model, digest.decode(), kept, listener)
    counter = _load(model, listener)
    # A cache that cannot be written costs time, no more.
    with contextlib.suppress(OtError, OSError):
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_whole(kept, counter.digest.encode())
    return counter


def _digest_file(folder: Path) -> Path:
    """Where the digest of a folder's renderer is kept."""
    from openthoughts_cli.chat.renderer import RENDERER_FORMAT

    files = {name: digest_file(folder / name) for name in FILES if (folder / name).is_file()}
    versions = [version(package) for package in ("tokenizers", "jinja2")]
    return cache_dir() / "renderers" / digest_value([RENDERER_FORMAT, versions, files])


def _load(model: str, listener: Listener) -> TokenCounter:
    from openthoughts_cli.chat.renderer import load_renderer
    from openthoughts_cli.data.fast_tokens import FastCounter

    return FastCounter(load_renderer(model, listener=listener), listener=listener)


class _LaterCounter:
    """A counter whose digest is known and whose tokenizer is loaded for the first text."""

    def __init__(self, model: str, digest: str, kept: Path, listener: Listener) -> None:
        self._model = model
        self._digest = digest
        self._kept = kept
        self._listener = listener

    @property
    def model(self) -> str:
        return self._model

    @property
    def digest(self) -> str:
        return self._digest

    @cached_property
    def _counter(self) -> TokenCounter:
        counter = _load(self._model, self._listener)
        if counter.digest != self._digest:
            raise IntegrityError(
                f"the tokenizer of {self._model} is not the one whose digest is kept",
                hint=f"remove {self._kept} and run the same command again",
            )
        return counter

    def has_control(self, text: str) -> bool:
        return self._counter.has_control(text)

    def count(self, rows: Sequence[tuple[str, str]]) -> list[TokenCounts]:
        return self._counter.count(rows)

    def count_columns(
        self, questions: Any, answers: Any, *, at_most: int | None = None
    ) -> CountColumns:
        return self._counter.count_columns(questions, answers, at_most=at_most)
