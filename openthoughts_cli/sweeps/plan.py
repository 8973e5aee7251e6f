"""What a sweep will do and cost, cell by cell, before anything starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from openthoughts_cli.config.benchmark import NLL
from openthoughts_cli.config.sweep import SweepConfig
from openthoughts_cli.config.train import TrainConfig
from openthoughts_cli.data.subset import Subset
from openthoughts_cli.runs.layout import RunDirectory
from openthoughts_cli.sweeps.cells import Cell
from openthoughts_cli.sweeps.layout import CellEntry, held_out_sets
from openthoughts_cli.sweeps.states import CellState
from openthoughts_cli.training.planning import Planned

__all__ = ["PlannedCell", "SweepPlan", "uncommon_ground"]


@dataclass(frozen=True, slots=True)
class PlannedCell:
    """A cell with its identity, its run and, where it is to run, its plan.

    `config` is complete: engine, model, subset, run name. `reused`: done by a run that this sweep
    did not start. `reason`: why a failed one failed.
    """

    cell: Cell
    config: TrainConfig
    identity: str
    run: RunDirectory
    state: CellState
    reused: bool = False
    reason: str = ""
    planned: Planned | None = None

    @property
    def name(self) -> str:
        return self.cell.name

    def named(self, run: RunDirectory) -> PlannedCell:
        """The cell with another run."""
        if run == self.run:
            return self
        name = {"run_name": run.run_id}
        planned = self.planned
        if planned is not None:
            config = planned.prepared.config.model_copy(update=name)
            planned = replace(planned, prepared=replace(planned.prepared, config=config))
        return replace(self, run=run, config=self.config.model_copy(update=name), planned=planned)

    @property
    def entry(self) -> CellEntry:
        """The cell as a line of sweep.json."""
        cell = self.cell
        return CellEntry(cell.name, cell.recipe, cell.axes, cell.seed, self.identity, cell.baseline)

    def to_json(self) -> dict[str, Any]:
        """The cell as a record."""
        plan = None if self.planned is None else self.planned.plan
        return {
            **self.entry.to_json(),
            "state": self.state,
            "reused": self.reused,
            "reason": self.reason,
            "run": self.run.run_id,
            "subset": self.config.subset,
            "steps": None if plan is None else plan.steps,
            "train_tokens": None if plan is None else plan.train_tokens,
            "least_usd": None if plan is None else plan.least_usd,
            "most_usd": None if plan is None else plan.most_usd,
            "expected_s": None if plan is None else plan.expected_s,
        }


@dataclass(frozen=True)
class SweepPlan:
    """All cells of a sweep as they stand, and what is left to do.

    `at_once` is how many will run side by side. `uncommon` says why held-out NLL cannot be compared
    across the cells; None: it can.
    """

    name: str
    config: SweepConfig
    cells: tuple[PlannedCell, ...]
    held_out: Subset | None
    at_once: int
    retry_failed: bool = False
    uncommon: str | None = None
    spent_usd: float = 0.0
    """What the sweep's own runs had cost at most when the plan was made."""

    @property
    def to_run(self) -> tuple[PlannedCell, ...]:
        """The cells that will be started or gone on with."""
        states = {"waiting", "interrupted", "running"} | (
            {"failed"} if self.retry_failed else set()
        )
        return tuple(cell for cell in self.cells if cell.state in states)

    @property
    def costs_money(self) -> bool:
        return any(c.planned is not None and c.planned.plan.costs_money for c in self.cells)

    @property
    def train_tokens(self) -> int:
        """Of the cells to run; what is done of an interrupted one is counted too."""
        return sum(c.planned.plan.train_tokens for c in self.to_run if c.planned is not None)

    @property
    def least_usd(self) -> float | None:
        return self._total("least_usd")

    @property
    def most_usd(self) -> float | None:
        """Upper bound of the cost of the cells to run; None when a price is unknown."""
        return self._total("most_usd")

    def _total(self, figure: str) -> float | None:
        found = [getattr(c.planned.plan, figure) for c in self.to_run if c.planned is not None]
        return None if None in found else sum(found)

    @property
    def expected_s(self) -> float | None:
        """Wall time by what earlier runs measured, cells side by side; None where none did."""
        found = [c.planned.plan.expected_s for c in self.to_run if c.planned is not None]
        known = [seconds for seconds in found if seconds is not None]
        if not found or len(known) < len(found):
            return None
        return max(sum(known) / min(self.at_once, len(known)), max(known))

    def counts(self) -> Mapping[str, int]:
        """How many cells are done, reused (among these), resume, run, wait for --retry-failed."""
        count = {"done": 0, "reused": 0, "resumes": 0, "to_run": 0, "failed": 0, "elsewhere": 0}
        names: dict[CellState, str] = {
            "done": "done", "interrupted": "resumes", "waiting": "to_run", "failed": "failed",
            "running": "elsewhere",
        }  # fmt: skip
        for cell in self.cells:
            count[names[cell.state]] += 1
            count["reused"] += cell.reused
        return count

    def sentence(self) -> str:
        """`12 done (2 reused), 1 resumes, 3 to run, 1 failed (--retry-failed tries it again)`."""
        count = self.counts()
        parts: list[str] = []
        if count["done"]:
            reused = f" ({count['reused']} reused)" if count["reused"] else ""
            parts.append(f"{count['done']} done{reused}")
        if count["resumes"]:
            parts.append(f"{count['resumes']} resume{'s' if count['resumes'] == 1 else ''}")
        if count["elsewhere"]:
            parts.append(f"{count['elsewhere']} run in another process, and are waited for")
        parts.append(f"{count['to_run']} to run")
        if count["failed"]:
            them = "it" if count["failed"] == 1 else "them"
            how = "tried again" if self.retry_failed else f"--retry-failed tries {them} again"
            parts.append(f"{count['failed']} failed ({how})")
        return ", ".join(parts)

    def to_json(self) -> dict[str, Any]:
        """The plan as one record."""
        return {
            "name": self.name,
            "counts": dict(self.counts()),
            "cells": [cell.to_json() for cell in self.cells],
            "held_out": None if self.held_out is None else self.held_out.name,
            "uncommon": self.uncommon,
            "at_once": self.at_once,
            "train_tokens": self.train_tokens,
            "costs_money": self.costs_money,
            "least_usd": self.least_usd,
            "most_usd": self.most_usd,
            "expected_s": self.expected_s,
            "spent_usd": self.spent_usd,
            "max_usd": self.config.max_usd,
        }


def uncommon_ground(cells: Sequence[PlannedCell]) -> str | None:
    """Why the cells' held-out NLL cannot be compared: they would read different rows."""
    sets = held_out_sets(
        record
        for cell in cells
        if NLL in cell.config.evals and (record := _record(cell)) is not None
    )
    if sets < 2:
        return None
    return (
        f"the cells hold out {sets} different sets of rows, so their held-out NLL is not "
        "compared; name one set for all with `held_out:` in the grid"
    )


def _record(cell: PlannedCell) -> Mapping[str, Any] | None:
    """What the cell's run records, or would; None where neither is known."""
    if cell.planned is not None:
        return cell.planned.prepared.record()
    return cell.run.read_record() if cell.run.record_path.is_file() else None
