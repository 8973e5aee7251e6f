"""Which run is a cell's while none is there yet: sweeps that share cells agree on one directory.

Two sweeps may plan the same cell at the same time. Whoever is ready to start first writes down what
the cell's run will be called; the other takes that name, so that the run's own lock keeps them apart:
one trains, the other waits and then finds the run done.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from filelock import FileLock

from openthoughts_cli.errors import DataError
from openthoughts_cli.places import runs_dir
from openthoughts_cli.runs.layout import RunDirectory
from openthoughts_cli.store import as_storage_errors, make_directory, read_object, write_whole
from openthoughts_cli.sweeps.layout import best_run, runs_by_identity

__all__ = ["claim_runs"]

_CLAIMS = ".cells.json"
_LOCK = ".cells.lock"


def claim_runs(wanted: Mapping[str, RunDirectory]) -> dict[str, RunDirectory]:
    """The run that each cell is to use, by identity: one that has come to be meanwhile, else the one
    that another sweep has claimed, else the one that is `wanted`, which is claimed by this.

    Raises:
        StorageError: the claims cannot be written.
    """
    if not wanted:
        return {}
    root = runs_dir()
    make_directory(root)
    with as_storage_errors(root / _LOCK), FileLock(root / _LOCK):
        before = _claims()
        kept = {i: name for i, name in before.items() if not _has_begun(RunDirectory(root / name))}
        # Only now: a run that begins between the two looks must be found by the second.
        there = runs_by_identity(set(wanted))
        names: dict[str, str] = {}
        for identity, run in wanted.items():
            if found := there.get(identity):
                names[identity] = (best_run(found, None)[0] or run).run_id
            else:
                names[identity] = kept.get(identity, run.run_id)
        after = {**kept, **{i: name for i, name in names.items() if i not in there}}
        if after != before:
            write_whole(root / _CLAIMS, json.dumps(after, indent=2) + "\n")
    return {identity: RunDirectory(root / name) for identity, name in names.items()}


def _has_begun(run: RunDirectory) -> bool:
    """Whether a claim has served its time. Of a run's two files the config is written last; a damaged
    record is of a run that began and that nobody can go on with."""
    if run.config_path.exists():
        return True
    try:
        read_object(run.record_path)
    except DataError:
        return True
    return False


def _claims() -> dict[str, str]:
    """What was claimed, by identity; nothing where the file is damaged."""
    try:
        found = read_object(runs_dir() / _CLAIMS) or {}
    except DataError:
        return {}
    plain = {i: name for i, name in found.items() if isinstance(name, str)}
    return {i: name for i, name in plain.items() if name and "/" not in name and name[0] != "."}
