"""Thousands of runs as one table: each is read once, and again when its files change."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from pathlib import Path

from openthoughts_cli.runs.follow import is_held
from openthoughts_cli.runs.layout import RunDirectory, list_runs
from openthoughts_cli.runs.log import spent_usd
from openthoughts_cli.runs.summary import RunSummary, summarise
from openthoughts_cli.stamps import Stamp, file_stamp

__all__ = ["RunRow", "RunTable"]

_Signature = tuple[Stamp, ...]
_STOPPED = "unfinished"
_READ = ("config.json", "record.json", "metrics.jsonl", "events.jsonl", "checkpoints.jsonl")


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run's summary, and what it has cost at most in dollars.

    `status` is that of the summary, but `running` while the run's process lives, and `damaged` where
    its files cannot be read.
    """

    summary: RunSummary
    spent_usd: float
    status: str = ""

    @property
    def directory(self) -> RunDirectory:
        return RunDirectory(Path(self.summary.path))


class RunTable:
    """The runs under a directory. Safe to use from threads."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._known: dict[Path, tuple[_Signature, RunRow]] = {}
        self._lock = threading.Lock()

    def rows(self) -> list[RunRow]:
        """All runs as they stand now, the newest first."""
        with self._lock:
            runs = list_runs(self._root)
            known: dict[Path, tuple[_Signature, RunRow]] = {}
            for run in runs:
                signature = _signature(run)
                before = self._known.get(run.path)
                if before is None or before[0] != signature:
                    before = (signature, RunRow(summarise(run), spent_usd(run)))
                known[run.path] = (signature, _with_status(before[1]))
            self._known = known
        newest_first = sorted(known.values(), key=lambda pair: _age(pair[1]), reverse=True)
        return [row for _, row in newest_first]


def _age(row: RunRow) -> tuple[str, str]:
    return row.summary.created, row.summary.run_id


def _with_status(row: RunRow) -> RunRow:
    """A killed process writes nothing: whether it lives is looked for each time."""
    status = row.summary.status
    if row.summary.problem:
        status = "damaged"
    elif status == _STOPPED and is_held(row.directory):
        status = "running"
    return row if row.status == status else replace(row, status=status)


def _signature(run: RunDirectory) -> _Signature:
    """Sizes and times of the files that a summary is read from."""
    place = str(run.path)
    return tuple(file_stamp(f"{place}/{name}") for name in _READ)
