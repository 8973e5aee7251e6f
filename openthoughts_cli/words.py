"""The words of guesses: what was perhaps meant, said in the same way everywhere."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["AFTER_NAME", "AFTER_SENTENCE", "BEFORE_HINT", "close_to", "did_you_mean"]

AFTER_NAME = " (did you mean {}?)"
AFTER_SENTENCE = "; did you mean {}?"
BEFORE_HINT = "did you mean {}? "
_CUTOFF = 0.6


def close_to(
    wanted: str, known: Iterable[str], *, most: int = 1, cutoff: float = _CUTOFF
) -> list[str]:
    """The known words that look like the wanted one, the likest first.

    Args:
        wanted: what was typed.
        known: what could have been.
        most: how many at most.
        cutoff: how alike they must be, 0 to 1: `difflib`'s ratio.
    """
    import difflib  # only those who err pay for it

    return difflib.get_close_matches(wanted, list(known), n=most, cutoff=cutoff)


def did_you_mean(
    wanted: str, known: Iterable[str], phrase: str = AFTER_NAME, *, cutoff: float = _CUTOFF
) -> str:
    """`phrase` with the likest known word at its `{}`; nothing where none is alike."""
    close = close_to(wanted, known, cutoff=cutoff)
    return phrase.replace("{}", close[0]) if close else ""
