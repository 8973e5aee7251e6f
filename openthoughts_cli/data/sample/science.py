"""A science problem that is worked out, ready to be told in several ways."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Worked"]


@dataclass(frozen=True, slots=True)
class Worked:
    """One problem with its law, its equations in order, and a remark that checks the result."""

    kind: str
    question: str
    law: str
    equations: tuple[str, ...]
    answer: int
    quantity: str  # a noun phrase: "the molar mass"
    unit: str
    check: str
