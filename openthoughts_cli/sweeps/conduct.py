"""Conducts a sweep: starts cells as there is room, tells what becomes of them, knows when to stop."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import replace

from openthoughts_cli.errors import InUseError
from openthoughts_cli.events import EvalDone, Event, Listener, Notice, StepDone
from openthoughts_cli.runs.layout import RunDirectory
from openthoughts_cli.runs.lock import locked
from openthoughts_cli.sweeps.launch import (
    CellEnded,
    CellJob,
    CellOutcome,
    CellStarted,
    CellTold,
    Launcher,
)
from openthoughts_cli.sweeps.layout import SweepDirectory
from openthoughts_cli.sweeps.plan import PlannedCell
from openthoughts_cli.training.stop import StopRequest

__all__ = ["MOST_TRIES", "Conductor"]

MOST_TRIES = 3
"""How often a cell is begun whose worker dies."""

_LOOK_S = 0.2
_LAST_LINES = 6


class Conductor:
    """Runs cells through a launcher.

    Args:
        at_once: how many side by side.
        fail_fast: the first failure stops the others, at their checkpoints.
        stop: the same, asked for by a person.
    """

    def __init__(
        self,
        directory: SweepDirectory,
        launcher: Launcher,
        *,
        at_once: int,
        fail_fast: bool,
        stop: StopRequest,
        listener: Listener,
    ) -> None:
        self._directory = directory
        self._launcher = launcher
        self._room = asyncio.Semaphore(at_once)
        self._fail_fast = fail_fast
        self._stop = stop
        self._listener = listener
        self._closing = False
        self.outcomes: dict[str, CellOutcome] = {}

    async def run(self, cells: Sequence[PlannedCell]) -> dict[str, CellOutcome]:
        """The outcome of each cell that was begun, by name."""
        watching = asyncio.ensure_future(self._watch())
        try:
            await asyncio.gather(*(self._cell(cell) for cell in cells))
        except KeyboardInterrupt:
            # The second Ctrl-C, heard while a cell's task ran: it has left the loop by itself, and
            # of this task nobody would take it any more.
            self._launcher.kill()
            raise asyncio.CancelledError from None
        except BaseException:
            self._launcher.kill()
            raise
        finally:
            watching.cancel()
            await self._launcher.close()
        return self.outcomes

    async def _watch(self) -> None:
        """Pass a person's stop request on."""
        while not self._stop.requested:
            await asyncio.sleep(_LOOK_S)
        if not self._closing:
            self._close_down()

    def _close_down(self) -> None:
        self._closing = True
        self._launcher.stop()

    async def _cell(self, cell: PlannedCell) -> None:
        while True:
            await self._until_free(cell)  # it takes no place meanwhile
            async with self._room:
                if await self._with_a_place(cell):
                    return
            await asyncio.sleep(_LOOK_S)

    async def _with_a_place(self, cell: PlannedCell) -> bool:
        """Attempts at a cell until it has ended; False where its run is another process's now."""
        for attempt in range(1, MOST_TRIES + 1):
            if self._closing or self._stop.requested:
                return True
            if _in_use(cell.run) is not None:
                return False
            outcome = await self._attempt(cell)
            if outcome.held:
                # Taken between our look and the worker's start: a child of a sweep that was killed
                # gets there late. It is waited for, and is no failure of the cell.
                if not self._closing:
                    return False
                outcome = CellOutcome("interrupted")
            again = outcome.status == "died" and attempt < MOST_TRIES and not self._closing
            if outcome.status == "died" and not again:
                outcome = _after_death(outcome, attempt, self._closing)
            self._tell_end(cell, outcome, again=again)
            if not again:
                break
        return True

    async def _attempt(self, cell: PlannedCell) -> CellOutcome:
        self._directory.log(
            "cell_started", cell=cell.name, identity=cell.identity, run=cell.run.run_id
        )
        self._listener(CellStarted(cell.name, cell.run.run_id))
        lines: deque[str] = deque(maxlen=_LAST_LINES)

        def hear(event: Event) -> None:
            if (line := _line(event)) is not None:
                lines.append(line)
            self._listener(CellTold(cell.name, event))
            if self._stop.requested and not self._closing:
                self._close_down()  # at once, and not when the watch looks next

        job = CellJob(cell.name, cell.identity, cell.config, cell.run, cell.planned)
        outcome = await self._launcher.run(job, hear)
        return outcome if outcome.last_lines else replace(outcome, last_lines=tuple(lines))

    async def _until_free(self, cell: PlannedCell) -> None:
        """A cell that another process still runs is waited for, never run twice."""
        said = False
        while not self._closing and (why := _in_use(cell.run)) is not None:
            if not said:
                self._listener(Notice(f"{cell.name}: waiting, {why}"))
                said = True
            await asyncio.sleep(_LOOK_S)

    def _tell_end(self, cell: PlannedCell, outcome: CellOutcome, *, again: bool) -> None:
        self.outcomes[cell.name] = outcome
        self._directory.log(
            f"cell_{outcome.status}",
            cell=cell.name,
            identity=cell.identity,
            run=cell.run.run_id,
            error=outcome.error,
            hint=outcome.hint,
            spent_usd=outcome.spent_usd,
            last_lines=list(outcome.last_lines),
        )
        self._listener(CellEnded(cell.name, outcome, again))
        if outcome.status == "budget":
            self._close_down()
        elif outcome.status == "failed" and self._fail_fast and not self._closing:
            self._listener(Notice("--fail-fast: the other cells stop at their checkpoints"))
            self._close_down()


def _in_use(run: RunDirectory) -> str | None:
    """Why the run cannot be taken now; None: nobody is in it."""
    if not run.path.is_dir():
        return None
    try:
        with locked(run):
            return None
    except InUseError as error:
        return error.message


def _after_death(outcome: CellOutcome, attempts: int, closing: bool) -> CellOutcome:
    if closing:
        return replace(outcome, status="interrupted")
    return replace(outcome, status="failed", error=f"{outcome.error}, {attempts} times")


def _line(event: Event) -> str | None:
    """What a person wants to see last of a cell that failed."""
    match event:
        case StepDone():
            return f"step {event.step}/{event.total_steps}  loss {event.train_mean_nll:.4f}"
        case EvalDone():
            return f"eval {event.benchmark} after step {event.step}"
        case Notice():
            return event.text
        case _:
            return None
