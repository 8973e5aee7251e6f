"""Where the rows of a corpus went on the way to a subset."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

__all__ = ["DRAWN_STEPS", "LABEL_STEPS", "STEPS", "Funnel"]

LABEL_STEPS: dict[str, str] = {
    "source": "other source",
    "domain": "other domain",
    "malformed": "malformed",
    "difficulty": "other difficulty",
    "not_closed": "not closed",
    "not_boxed": "not boxed",
}
"""What is told of every row without a tokenizer; key in the record, words for a person."""
DRAWN_STEPS: dict[str, str] = {
    "control_tokens": "control tokens",
    "too_long": "too long",
    "too_short": "too short",
    "assistant_too_long": "response too long",
    "thinking_too_long": "thinking too long",
    "where": "where not true",
    "contaminated": "contaminated",
    "duplicates": "duplicate questions",
    "other_answers": "further answers",
}
"""What is asked only of rows up to the last chosen one."""
STEPS: dict[str, str] = {**LABEL_STEPS, "not_drawn": "not drawn", **DRAWN_STEPS}


@dataclass(slots=True)
class Funnel:
    """Where the rows went. The counts add up to `read` and depend on no order of reading."""

    read: int = 0
    chosen: int = 0
    out: Counter[str] = field(default_factory=Counter[str])
    """Rows by the step of `STEPS` that took them out, the malformed aside. Of those that are not
    drawn, behind the last chosen one in the order, it is left open whether they would pass."""
    malformed: Counter[str] = field(default_factory=Counter[str])
    """Malformed rows by reason."""
    shortest_too_long: int | None = None
    """Tokens of the shortest row that was too long, for a remedy; no part of the record."""

    def steps(self) -> list[tuple[str, int]]:
        """(what took them out, how many rows), in the order of the tests, after `read`."""
        counts = self.record()
        return [(words, counts[name]) for name, words in STEPS.items()]

    def record(self) -> dict[str, Any]:
        """The counts for `metadata.json` and `--json`."""
        counts = {name: self.out[name] for name in STEPS}
        counts["malformed"] = sum(self.malformed.values())
        reasons = dict(sorted(self.malformed.items()))
        return {
            "read": self.read,
            **counts,
            "malformed_reasons": reasons,
            "chosen": self.chosen,
        }

    def sentence(self) -> str:
        """The funnel in one line: "9 rows read; other source 4, too long 5"."""
        lost = ", ".join(f"{what} {count:,}" for what, count in self.steps() if count)
        rows = "row" if self.read == 1 else "rows"
        return f"{self.read:,} {rows} read" + (f"; {lost}" if lost else "")
