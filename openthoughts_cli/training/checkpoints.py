"""A run's saved weights: recording them, which can still be used, and deleting old local ones."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

from openthoughts_cli.errors import EngineError
from openthoughts_cli.events import CheckpointSaved, Listener, Notice
from openthoughts_cli.leftovers import settle
from openthoughts_cli.runs.layout import Checkpoint, RunDirectory
from openthoughts_cli.store import append_line

__all__ = [
    "last_state",
    "record_checkpoint",
    "remove_leftovers",
    "roll",
    "unusable",
    "usable_samplers",
]


def record_checkpoint(run: RunDirectory, event: CheckpointSaved, *, attempt: int) -> None:
    """Append the checkpoint to checkpoints.jsonl, in the form that other Tinker viewers read."""
    append_line(
        run.checkpoints_path,
        {
            "name": event.name,
            "batch": event.next_step - 1,
            "epoch": event.epoch,
            "final": event.final,
            "state_path": event.state_path,
            "sampler_path": event.sampler_path,
            "expires_at": event.expires_at,
            "attempt": attempt,
        },
    )


def unusable(checkpoint: Checkpoint, path: str, now: datetime) -> str | None:
    """Why the weights at `path` of a checkpoint cannot be opened any more; None if they can."""
    if checkpoint.expires_at is not None and now >= datetime.fromisoformat(checkpoint.expires_at):
        return f"expired at {checkpoint.expires_at}"
    if "://" not in path and not Path(path).is_dir():
        return f"is gone from {path}"
    return None


def last_state(
    run: RunDirectory, listener: Listener, *, now: datetime | None = None
) -> Checkpoint | None:
    """The newest checkpoint that training can go on from; None when none was ever saved.

    A newer one that expired or is gone is told of, since the steps behind the one found are done
    again.

    Raises:
        EngineError: there were some, and none can be used any more.
    """
    now = now or datetime.now(UTC)
    states = [checkpoint for checkpoint in run.checkpoints() if checkpoint.state_path is not None]
    lost: list[str] = []
    for checkpoint in sorted(states, key=lambda entry: entry.batch, reverse=True):
        reason = unusable(checkpoint, str(checkpoint.state_path), now)
        if reason is None:
            if lost:
                text = f"{'; '.join(lost)}: training goes on from {checkpoint.name}"
                listener(Notice(text, "warning"))
            return checkpoint
        lost.append(f"the checkpoint {checkpoint.name} {reason}")
    if lost:
        raise EngineError(
            f"{run.run_id} cannot go on: {'; '.join(lost)}",
            hint="start a new run from its config.json; a longer checkpoint_ttl_hours keeps them",
        )
    return None


def usable_samplers(run: RunDirectory, *, now: datetime | None = None) -> dict[int, str]:
    """Step -> path of its sampler weights. Those saved first stay a step's weights: an evaluation
    that is owed or done is of them, even when a later attempt does the step again."""
    now = now or datetime.now(UTC)
    found: dict[int, str] = {}
    for checkpoint in run.checkpoints():
        path = checkpoint.sampler_path
        if path is not None and unusable(checkpoint, path, now) is None:
            found.setdefault(checkpoint.batch, path)
    return found


def roll(run: RunDirectory, keep_last: int, needed: Callable[[int], bool]) -> None:
    """Delete local checkpoints older than the newest `keep_last` states, the final one excepted.

    Weights on a service are left to their time to live.

    Args:
        needed: whether the weights after a step still have an evaluation to come.
    """
    checkpoints = sorted(run.checkpoints(), key=lambda entry: entry.batch)
    states = [entry for entry in checkpoints if entry.state_path is not None]
    if len(states) <= keep_last:
        return
    oldest_kept = states[-keep_last].batch
    for entry in checkpoints:
        local = [path for path in _paths(entry) if _is_inside(path, run.store)]
        if entry.batch >= oldest_kept or entry.final or not local or needed(entry.batch):
            continue
        # The record first: a deleted checkpoint that is still on record would be tried.
        append_line(
            run.checkpoints_path, {"name": entry.name, "batch": entry.batch, "deleted": True}
        )
        for path in local:
            shutil.rmtree(path, ignore_errors=True)


def _paths(checkpoint: Checkpoint) -> Iterable[Path]:
    return (Path(p) for p in (checkpoint.state_path, checkpoint.sampler_path) if p is not None)


def _is_inside(path: Path, store: Path) -> bool:
    return path.is_absolute() and path.is_relative_to(store.resolve())


def remove_leftovers(run: RunDirectory) -> None:
    """Delete what a killed process was writing aside, and put back what it had moved away and not
    replaced yet; only with the run locked."""
    for path in run.store.glob("*/.*.old-*"):
        settle(path, path.with_name(path.name[1:].rpartition(".old-")[0]))
    for path in run.store.glob("*/.*.partial-*"):
        shutil.rmtree(path, ignore_errors=True)
