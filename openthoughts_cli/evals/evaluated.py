"""Which evaluations of a run have answers to look at, for thousands of runs that are asked again and again."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import NamedTuple, TypeAlias

from openthoughts_cli.config.benchmark import NLL
from openthoughts_cli.runs.layout import RunDirectory

__all__ = ["EvaluatedSteps"]

Steps: TypeAlias = dict[str, list[int]]
_SETTLED_NS = 2_000_000_000
"""A directory that changed less long ago may change again within one tick of the file system's clock."""


class _Known(NamedTuple):
    stamps: dict[Path, int]
    steps: Steps


class EvaluatedSteps:
    """Remembers what each run has, and looks again where a directory has changed. Safe for threads."""

    def __init__(self) -> None:
        self._known: dict[Path, _Known] = {}
        self._lock = threading.Lock()

    def of(self, run: RunDirectory) -> Steps:
        """The steps with stored answers, ascending, by benchmark; those that go on still included."""
        with self._lock:
            known = self._known.get(run.path)
        if known is not None and all(_stamp(at) == then for at, then in known.stamps.items()):
            return known.steps
        stamps, steps, complete = _look_through(run.path / "evals")
        settled = max(stamps.values()) < time.time_ns() - _SETTLED_NS
        with self._lock:
            if complete and settled:
                self._known[run.path] = _Known(stamps, steps)
            else:
                self._known.pop(run.path, None)
        return steps


def _look_through(evals: Path) -> tuple[dict[Path, int], Steps, bool]:
    """Times of the directories, the steps, and whether each step has its answers already."""
    stamps = {evals: _stamp(evals)}  # before it is read: what comes meanwhile is found next time
    found: Steps = {}
    complete = True
    for name in _names(evals):
        if name == NLL:
            continue
        place = evals / name
        stamps[place] = _stamp(place)
        for step in _names(place):
            number = step.removeprefix("step-")
            if number == step or not number.isdecimal():
                continue
            if (place / step / "samples.jsonl").exists():
                found.setdefault(name, []).append(int(number))
            else:
                complete = False
    return stamps, {name: sorted(steps) for name, steps in found.items()}, complete


def _names(place: Path) -> list[str]:
    try:
        return sorted(each.name for each in place.iterdir())
    except OSError:
        return []


def _stamp(place: Path) -> int:
    """When a directory last changed; -1 where there is none."""
    try:
        return place.stat().st_mtime_ns
    except OSError:
        return -1
