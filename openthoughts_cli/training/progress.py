"""How far a run is known to be: what may be recorded only after that waits here."""

from __future__ import annotations

import asyncio

__all__ = ["KnownSteps"]


class KnownSteps:
    """The newest step whose result is on record.

    A checkpoint is recorded only when all its steps are: a crash between the two would otherwise
    resume behind steps whose results nobody has.
    """

    def __init__(self, step: int) -> None:
        self._step = step
        self._given_up = False
        self._changed = asyncio.Event()

    def tell(self, step: int) -> None:
        """The results up to `step` are on record."""
        self._step = step
        self._wake()

    def give_up(self) -> None:
        """No further step will be."""
        self._given_up = True
        self._wake()

    async def reached(self, step: int) -> bool:
        """Wait for `step`; False when it will not come."""
        while self._step < step and not self._given_up:
            await self._changed.wait()
        return self._step >= step

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
