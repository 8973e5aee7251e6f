"""Which weights are measured: a base model, or checkpoints of a run."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from openthoughts_cli.errors import NotFoundError, UsageError
from openthoughts_cli.runs.layout import Checkpoint, RunDirectory
from openthoughts_cli.words import did_you_mean

__all__ = ["ALL", "Target", "targets_of"]

ALL = "all"


class Target(NamedTuple):
    """One set of weights. `sampler_path` None is the base model; `step` the steps in the weights
    (0 where a path alone is known)."""

    name: str
    step: int
    sampler_path: str | None


def targets_of(run: RunDirectory | None, checkpoint: str | None) -> tuple[Target, ...]:
    """The weights that a run and a checkpoint's name mean, oldest first.

    Args:
        run: None for the base model.
        checkpoint: a name from checkpoints.jsonl, "all", or None: the final one, else the newest.
            Without a run: the path of saved weights, `tinker://...` or a directory.

    Raises:
        UsageError: a checkpoint's name without a run.
        NotFoundError: the run has no such checkpoint, or none that can be sampled.
    """
    if run is None:
        if checkpoint is None:
            return (Target("base", 0, None),)
        if "://" in checkpoint or Path(checkpoint).is_dir():
            return (Target(checkpoint, 0, checkpoint),)
        raise UsageError(
            f"the checkpoint {checkpoint!r} belongs to no run that is named",
            hint="name the run with --run, or give the path of saved weights",
        )
    usable = [entry for entry in run.checkpoints() if entry.sampler_path is not None]
    if not usable:
        raise NotFoundError(
            f"{run.run_id} has no checkpoint that can be sampled yet",
            hint=f"let it train on: ot train --resume {run.run_id}",
        )
    if checkpoint == ALL:
        ordered = sorted(usable, key=lambda entry: entry.batch)
        newest = {entry.batch: entry for entry in ordered}  # one for each step is enough
        return tuple(_target(entry) for entry in newest.values())
    if checkpoint is not None:
        return (_target(_named(run, usable, checkpoint)),)
    final = [entry for entry in usable if entry.final]
    return (_target(max(final or usable, key=lambda entry: entry.batch)),)


def _named(run: RunDirectory, usable: list[Checkpoint], name: str) -> Checkpoint:
    for entry in usable:
        if entry.name == name:
            return entry
    names = [entry.name for entry in usable]
    raise NotFoundError(
        f"{run.run_id} has no checkpoint {name!r}{did_you_mean(name, names)}",
        hint=f"choose from {', '.join([*names, ALL])}",
    )


def _target(entry: Checkpoint) -> Target:
    return Target(entry.name, entry.batch, entry.sampler_path)
