"""How a person asks a long run to end: at the next safe point."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["StopRequest"]


@dataclass(slots=True)
class StopRequest:
    """Set from a signal handler; looked at between steps. Nothing in flight is cancelled."""

    requested: bool = False

    def request(self) -> None:
        self.requested = True
