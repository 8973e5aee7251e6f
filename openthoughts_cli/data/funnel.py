"""Where the rows of a corpus went on the way to a subset."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Funnel"]


@dataclass(slots=True)
class Funnel:
    """Where the rows went. The counts add up to `read` and depend on no order of reading."""

    read: int = 0
    source: int = 0
    domain: int = 0
    malformed: Counter[str] = field(default_factory=Counter[str])
    not_drawn: int = 0
    """Rows behind the last chosen one in the seeded order: whether they would pass is left open."""
    control_tokens: int = 0
    too_long: int = 0
    too_short: int = 0
    chosen: int = 0
    shortest_too_long: int | None = None
    """Tokens of the shortest row that was too long, for a remedy; no part of the record."""

    def steps(self) -> list[tuple[str, int]]:
        """(what took them out, how many rows), in the order of the tests, after `read`."""
        return [
            ("other source", self.source),
            ("other domain", self.domain),
            ("malformed", sum(self.malformed.values())),
            ("not drawn", self.not_drawn),
            ("control tokens", self.control_tokens),
            ("too long", self.too_long),
            ("too short", self.too_short),
        ]

    def record(self) -> dict[str, Any]:
        """The counts for `metadata.json` and `--json`."""
        return {
            "read": self.read,
            "source": self.source,
            "domain": self.domain,
            "malformed": sum(self.malformed.values()),
            "malformed_reasons": dict(sorted(self.malformed.items())),
            "not_drawn": self.not_drawn,
            "control_tokens": self.control_tokens,
            "too_long": self.too_long,
            "too_short": self.too_short,
            "chosen": self.chosen,
        }

    def sentence(self) -> str:
        """The funnel in one line: "9 rows read; other source 4, too long 5"."""
        lost = ", ".join(f"{what} {count:,}" for what, count in self.steps() if count)
        return f"{self.read:,} rows read" + (f"; {lost}" if lost else "")
