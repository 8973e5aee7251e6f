"""Search in the distinct questions of an index: all of some words, a phrase, a regular expression.

Each text is kept twice: as it is, and as its words alone (lower case, one blank between two, a blank
at both ends). A word is then found as the characters " word ", which is a plain scan, the fastest that
there is, and needs no second look at where the word ends.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openthoughts_cli.data.browse_filter import Search
from openthoughts_cli.errors import ConfigError

__all__ = ["Questions", "words_of"]

_MOST_CHARS = 1_000


class Questions:
    """The distinct questions, by number."""

    def __init__(self, texts: Any) -> None:
        """
        Args:
            texts: a polars Series of strings.
        """
        self.texts = texts

    def __len__(self) -> int:
        return len(self.texts)

    def text(self, number: int) -> str:
        """The question of that number."""
        return str(self.texts[number])

    @cached_property
    def words(self) -> Any:
        """The words of each, made when the first search comes or before."""
        import polars as pl

        inner = self.texts.str.to_lowercase().str.replace_all(r"[^\p{L}\p{N}_]+", " ")
        return pl.select(pl.concat_str(pl.lit(" "), inner.str.strip_chars(), pl.lit(" ")))[
            "literal"
        ]

    def find(self, search: Search) -> NDArray[np.bool_]:
        """Of each question whether it matches.

        Words must all be there, whole, in any case and order. A phrase is found in any case, as it is
        written. A regular expression is one of Rust's `regex`, which takes linear time; it minds the
        case unless it begins with (?i).

        Raises:
            ConfigError: it is too long, or no regular expression.
        """
        if len(search.text) > _MOST_CHARS:
            raise ConfigError(
                f"the search has {len(search.text):,} characters, and at most {_MOST_CHARS:,} are "
                "allowed",
                hint="shorten it",
            )
        if search.kind == "words":
            return self._find_words(search.text)
        pattern = search.text
        if search.kind == "phrase":
            if not pattern.strip():
                return np.ones(len(self), dtype=np.bool_)
            pattern = f"(?i){re.escape(' '.join(pattern.split()))}".replace("\\ ", r"\s+")
        return self._find_pattern(pattern)

    def _find_words(self, text: str) -> NDArray[np.bool_]:
        wanted = words_of(text)
        found = np.ones(len(self), dtype=np.bool_)
        # The longest first: it is the rarest, and the others look only where it is.
        left: NDArray[np.int64] | None = None
        for word in sorted(set(wanted), key=lambda word: -len(word)):
            among = self.words if left is None else self.words.gather(left)
            here = among.str.contains(f" {word} ", literal=True).to_numpy()
            if left is None:
                found, left = here, np.flatnonzero(here)
            else:
                found[left[~here]] = False
                left = left[here]
            if not len(left):
                break
        return found

    def _find_pattern(self, pattern: str) -> NDArray[np.bool_]:
        import polars as pl

        try:
            return self.texts.str.contains(pattern, strict=True).to_numpy()
        except pl.exceptions.PolarsError as error:
            raise ConfigError(
                f"{pattern!r} is not a regular expression: {_reason(error)}",
                hint="a backslash before a character such as ( or + takes its meaning away; "
                "look-ahead and back references do not exist here",
            ) from None


def words_of(text: str) -> list[str]:
    """The words that a search for words looks for: runs of letters, digits and underscores."""
    return re.findall(r"\w+", text.lower())


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = next((line for line in lines if line.startswith("error:")), lines[0] if lines else "")
    return said.removeprefix("error:").strip()[:200]
