"""Thousands of runs as one table: each is read once, and again when its files change."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

from openthoughts_cli.runs.layout import RunDirectory, list_runs
from openthoughts_cli.runs.log import spent_usd
from openthoughts_cli.runs.summary import RunSummary, summarise

__all__ = ["RunRow", "RunTable"]

_Signature = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run's summary, and what it has cost at most in dollars."""

    summary: RunSummary
    spent_usd: float

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
                known[run.path] = before
            self._known = known
        newest_first = sorted(known.values(), key=lambda pair: _age(pair[1]), reverse=True)
        return [row for _, row in newest_first]


def _age(row: RunRow) -> tuple[str, str]:
    return row.summary.created, row.summary.run_id


def _signature(run: RunDirectory) -> _Signature:
    """Sizes and times of the files that a summary is read from."""
    files = (
        run.config_path,
        run.record_path,
        run.metrics_path,
        run.events_path,
        run.checkpoints_path,
    )
    found: list[int] = []
    for path in files:
        try:
            stat = path.stat()
        except OSError:
            found += [0, 0]
        else:
            found += [stat.st_size, stat.st_mtime_ns]
    return tuple(found)
