"""A sweep on disk: what its directory holds, and what has become of its cells.

A sweep owns no results. Each cell is an ordinary run under the runs directory, found by its
identity, so that a run of another sweep, or of `ot train`, serves as well.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

from openthoughts_cli.errors import DataError, NotFoundError
from openthoughts_cli.places import runs_dir, sweeps_dir
from openthoughts_cli.runs.layout import RunDirectory
from openthoughts_cli.store import append_line, read_lines, read_object, write_whole
from openthoughts_cli.sweeps.states import CellState, state_of
from openthoughts_cli.words import AFTER_SENTENCE, did_you_mean

__all__ = [
    "SWEEP_FORMAT",
    "CellEntry",
    "Sweep",
    "SweepCell",
    "SweepDirectory",
    "best_run",
    "find_sweep",
    "held_out_sets",
    "list_sweeps",
    "load_sweep",
    "runs_by_identity",
]

JSON: TypeAlias = Any
SWEEP_FORMAT = 1


@dataclass(frozen=True, slots=True)
class CellEntry:
    """A line of sweep.json's table: what a cell is, whatever became of it."""

    name: str
    """What differs from the other cells: `learning_rate=1e-05,seed=1`."""

    recipe: str
    """The name without the seed; the cells of one recipe differ by their seeds alone."""

    axes: Mapping[str, JSON]
    """The dotted keys that vary, and this cell's values. The seed is not among them."""

    seed: int
    identity: str
    baseline: bool = False

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "recipe": self.recipe,
            "axes": dict(self.axes),
            "seed": self.seed,
            "identity": self.identity,
            "baseline": self.baseline,
        }


@dataclass(frozen=True, slots=True)
class SweepCell:
    """A cell and its run. Only `done` counts: every step taken and every evaluation scored."""

    name: str
    recipe: str
    axes: Mapping[str, JSON]
    seed: int
    identity: str
    baseline: bool
    run: RunDirectory | None
    state: CellState
    reason: str = ""
    """Why a failed cell failed, in one sentence."""


@dataclass(frozen=True, slots=True)
class SweepDirectory:
    """The files of one sweep.

    sweep.json     the resolved grid, and the table of its cells
    events.jsonl   when the sweep and its cells began and ended, and why cells failed
    """

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def sweep_path(self) -> Path:
        return self.path / "sweep.json"

    @property
    def events_path(self) -> Path:
        return self.path / "events.jsonl"

    def write(
        self,
        grid: Mapping[str, Any],
        cells: Iterable[CellEntry],
        *,
        held_out: Mapping[str, Any] | None = None,
    ) -> None:
        """Replace sweep.json.

        Args:
            grid: the resolved SweepConfig.
            cells: in the order of the grid.
            held_out: the common evaluation set: its `name`, `path` and `digest`.
        """
        record = {
            "format": SWEEP_FORMAT,
            "name": self.name,
            "grid": dict(grid),
            "held_out": None if held_out is None else dict(held_out),
            "cells": [cell.to_json() for cell in cells],
        }
        write_whole(self.sweep_path, json.dumps(record, indent=2, ensure_ascii=False) + "\n")

    def read(self) -> dict[str, Any]:
        """sweep.json as written.

        Raises:
            DataError: it is missing, damaged, or of another version.
        """
        try:
            record = read_object(self.sweep_path)
        except DataError as error:
            raise DataError(
                error.message,
                hint="run `ot sweep` with its grid again: it writes the file anew; no run is lost",
            ) from error
        if record is None:
            raise DataError(
                f"{self.sweep_path} is missing: {self.path} is not a sweep",
                hint="give the name of a sweep or the folder that holds its sweep.json",
            )
        if record.get("format") != SWEEP_FORMAT:
            raise DataError(
                f"{self.sweep_path} is of format {record.get('format')}; this version reads "
                f"{SWEEP_FORMAT}",
                hint="use the version of `ot` that wrote it, or run `ot sweep` with its grid again",
            )
        return record

    def entries(self) -> tuple[CellEntry, ...]:
        """The table of cells.

        Raises:
            DataError: as `read`, or a line that is no cell.
        """
        try:
            return tuple(
                CellEntry(
                    name=str(cell["name"]),
                    recipe=str(cell["recipe"]),
                    axes=dict(cell["axes"]),
                    seed=int(cell["seed"]),
                    identity=str(cell["identity"]),
                    baseline=bool(cell.get("baseline", False)),
                )
                for cell in self.read()["cells"]
            )
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"{self.sweep_path} is damaged: a cell without {error}",
                hint="run `ot sweep` with its grid again: it writes the file anew; no run is lost",
            ) from error

    def log(self, event: str, **fields: Any) -> None:
        """Append a line to events.jsonl."""
        stamp = datetime.now(UTC).isoformat(timespec="milliseconds")
        append_line(self.events_path, {"event": event, "time": stamp, **fields})

    def last_words(self) -> dict[str, dict[str, Any]]:
        """The newest event of each cell, by identity."""
        newest: dict[str, dict[str, Any]] = {}
        for line in read_lines(self.events_path):
            if isinstance(line.get("identity"), str):
                newest[line["identity"]] = line
        return newest


@dataclass(frozen=True)
class Sweep:
    """A sweep as it stands now. Made by `load_sweep`."""

    name: str
    path: Path
    metric: str
    baseline: str | None
    """The recipe that the others are compared with."""

    cells: tuple[SweepCell, ...]
    grid: Mapping[str, JSON] = field(default_factory=dict[str, JSON])
    held_out: Mapping[str, JSON] | None = None
    """The common evaluation set that the grid names: its name, path and digest."""

    def __repr__(self) -> str:
        done = sum(cell.state == "done" for cell in self.cells)
        return f"<Sweep {self.name}: {done} of {len(self.cells)} cells done, in {self.path}>"

    @property
    def directory(self) -> SweepDirectory:
        return SweepDirectory(self.path)

    @cached_property
    def uncommon_ground(self) -> str | None:
        """Why the held-out NLL of the done cells cannot be compared; None: it can.

        It can where all read the same held-out rows: their digests stand in the runs' records.
        """
        sets = held_out_sets(
            cell.run.read_record()
            for cell in self.cells
            if cell.state == "done" and cell.run is not None
        )
        if sets < 2:
            return None
        return (
            f"held-out NLL is not compared: the cells have {sets} different sets of "
            "held-out rows; name one for all with `held_out:` in the grid"
        )


def held_out_sets(records: Iterable[Mapping[str, Any]]) -> int:
    """How many different sets of held-out rows the runs with these records have."""
    splits = (record.get("split") or {} for record in records)
    return len({str(split.get("held_out_digest")) for split in splits})


def load_sweep(name_or_path: str, *, root: Path | None = None) -> Sweep:
    """The sweep of that name, or at that path, with each cell's run and state.

    Raises:
        NotFoundError: with the names that exist.
        DataError: sweep.json is damaged.
    """
    directory = find_sweep(name_or_path, root=root)
    record, entries = directory.read(), directory.entries()
    grid: dict[str, Any] = record.get("grid") or {}
    runs = runs_by_identity({entry.identity for entry in entries})
    words = directory.last_words()
    cells = tuple(
        _cell(entry, runs.get(entry.identity, []), words.get(entry.identity)) for entry in entries
    )
    baseline = next((cell.recipe for cell in cells if cell.baseline), None)
    return Sweep(
        name=directory.name,
        path=directory.path,
        metric=str(grid.get("metric") or ""),
        baseline=baseline,
        cells=cells,
        grid=grid,
        held_out=record.get("held_out"),
    )


def _cell(
    entry: CellEntry, runs: list[RunDirectory], last_word: Mapping[str, Any] | None
) -> SweepCell:
    run, state, reason = best_run(runs, last_word)
    return SweepCell(
        name=entry.name,
        recipe=entry.recipe,
        axes=entry.axes,
        seed=entry.seed,
        identity=entry.identity,
        baseline=entry.baseline,
        run=run,
        state=state,
        reason=reason,
    )


_BEST_FIRST: tuple[CellState, ...] = ("done", "running", "interrupted", "failed", "waiting")


def best_run(
    runs: Iterable[RunDirectory], last_word: Mapping[str, Any] | None
) -> tuple[RunDirectory | None, CellState, str]:
    """The run that counts for a cell of those with its identity, its state and why it failed."""
    failed = last_word is not None and last_word.get("event") == "cell_failed"
    reason = str(last_word.get("error") or "") if failed and last_word is not None else ""
    found: list[tuple[RunDirectory, CellState]] = [(run, state_of(run)) for run in runs]
    if not found:
        return (None, "failed", reason) if failed else (None, "waiting", "")
    run, state = min(found, key=lambda pair: _BEST_FIRST.index(pair[1]))
    if state == "interrupted" and failed:
        state = "failed"
    return run, state, reason if state == "failed" else ""


def find_sweep(name_or_path: str, *, root: Path | None = None) -> SweepDirectory:
    """The directory of that sweep.

    Raises:
        NotFoundError: with the names that exist.
    """
    root = sweeps_dir() if root is None else root
    plain = name_or_path not in ("", ".", "..") and "/" not in name_or_path
    candidates = [root / name_or_path] if plain else []
    for place in (*candidates, Path(name_or_path).expanduser()):
        if (place / "sweep.json").is_file():
            return SweepDirectory(place)
    known = [sweep.name for sweep in list_sweeps(root)]
    guess = did_you_mean(name_or_path, known, AFTER_SENTENCE)
    listed = ", ".join(known[-8:]) or f"there are none under {root} yet (ot sweep makes one)"
    raise NotFoundError(f"no sweep {name_or_path!r}{guess}", hint=f"sweeps: {listed}")


def list_sweeps(root: Path | None = None) -> list[SweepDirectory]:
    """The sweeps under `root` (default: the sweeps directory), by name."""
    root = sweeps_dir() if root is None else root
    if not root.is_dir():
        return []
    return [
        SweepDirectory(path)
        for path in sorted(root.iterdir())
        if not path.name.startswith(".") and (path / "sweep.json").is_file()
    ]


def runs_by_identity(
    wanted: set[str] | None = None, *, root: Path | None = None
) -> dict[str, list[RunDirectory]]:
    """The runs under the runs directory by identity; damaged ones are left out.

    Args:
        wanted: only these identities; None: all.
    """
    root = runs_dir() if root is None else root
    found: dict[str, list[RunDirectory]] = {}
    if not root.is_dir():
        return found
    for path in sorted(root.iterdir()):
        if path.name.startswith("."):
            continue
        run = RunDirectory(path)
        identity = _identity(run)
        if identity is not None and (wanted is None or identity in wanted):
            found.setdefault(identity, []).append(run)
    return found


def _identity(run: RunDirectory) -> str | None:
    try:
        record = json.loads(run.record_path.read_bytes())
    except (OSError, ValueError):
        return None
    if not isinstance(record, dict) or not run.config_path.is_file():
        return None
    identity = record.get("identity")
    return identity if isinstance(identity, str) else None
