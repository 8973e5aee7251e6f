"""Short forms in which a choice of rows is written: levels of difficulty, parts of a mixture."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from openthoughts_cli.config.sources import SOURCES

__all__ = ["Levels", "full_source_name", "parse_levels", "parse_mix", "short_source_name"]

_FULL_NAME = {source.short: source.full for source in SOURCES}
_SHORT_NAME = {source.full: source.short for source in SOURCES}
_LEVEL = re.compile(r"(?P<low>-?\d+)(?:\.\.(?P<high>-?\d+))?")
_TOP = re.compile(r"top[1-9]\d*")


def full_source_name(name: str) -> str:
    """`openmath` -> `ai2-adapt-dev/openmath-2-math`; a name that is not known stays as it is."""
    return _FULL_NAME.get(name, name)


def short_source_name(full: str) -> str:
    """`ai2-adapt-dev/openmath-2-math` -> `openmath`; a name that is not known stays as it is."""
    return _SHORT_NAME.get(full, full)


class Levels(NamedTuple):
    """Levels of difficulty: closed ranges, and whether a row without one is meant too."""

    ranges: tuple[tuple[int, int], ...]
    none: bool

    def hold(self, level: int | None) -> bool:
        """Whether a row of this level is meant."""
        if level is None:
            return self.none
        return any(low <= level <= high for low, high in self.ranges)


def parse_levels(items: tuple[str, ...]) -> Levels:
    """Read `("7..9", "none")`.

    Raises:
        ValueError: an item that is no level, no range and not `none`, or a range of nothing.
    """
    ranges: list[tuple[int, int]] = []
    for item in items:
        if item == "none":
            continue
        match = _LEVEL.fullmatch(item)
        if match is None:
            raise ValueError(f"{item!r} is not a level: write 8, a range such as 7..9, or none")
        low = int(match["low"])
        high = int(match["high"] or low)
        if low > high:
            raise ValueError(
                f"the range {item} holds no level: write the lower one first, {high}..{low}"
            )
        ranges.append((low, high))
    return Levels(tuple(sorted(ranges)), "none" in items)


def parse_mix(value: Any) -> Any:
    """`openmath=0.5,physics=0.5` or a mapping -> shares by full source name; `top2` stays.

    Raises:
        ValueError: neither of these, a source twice, or a share that is not above 0.
    """
    if isinstance(value, str) and _TOP.fullmatch(value):
        return value
    if isinstance(value, str):
        shares: dict[str, float] = {}
        for item in value.split(","):
            name, equals, share = item.strip().partition("=")
            if not (name and equals) or not _is_number(share):
                raise ValueError(
                    f"{item.strip()!r} is not a part of a mixture: write SOURCE=SHARE, such as "
                    "openmath=0.5,physics=0.5, or topN with a ranking"
                )
            if name in shares:
                raise ValueError(f"{name} stands twice in the mixture")
            shares[name] = float(share)
        value = shares
    if not isinstance(value, Mapping):
        return value
    found: dict[str, Any] = {}
    for name, share in value.items():
        full = full_source_name(str(name))
        if full in found:
            raise ValueError(f"{name} stands twice in the mixture")
        if isinstance(share, (int, float)) and not share > 0:
            raise ValueError(f"the share of {name} is {share}; a share is above 0")
        found[full] = share
    if not found:
        raise ValueError("the mixture has no part")
    return dict(sorted(found.items()))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
