"""Which saved weights a name means: a run, RUN@CHECKPOINT, or the path of a checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from openthoughts_cli.config.engine import EngineConfig
from openthoughts_cli.engine.tinker.addresses import refuse_foreign
from openthoughts_cli.errors import ModelError, NotFoundError
from openthoughts_cli.runs.layout import Checkpoint, RunDirectory, find_run, list_runs
from openthoughts_cli.training.checkpoints import unusable
from openthoughts_cli.training.resume import recorded_config
from openthoughts_cli.words import did_you_mean

__all__ = ["Weights", "find_weights", "require_fetchable", "service_of"]


@dataclass(frozen=True, slots=True)
class Weights:
    """One checkpoint of a run, and where its adapter is: a folder, or tinker://."""

    run: RunDirectory
    checkpoint: Checkpoint
    path: str

    @property
    def is_remote(self) -> bool:
        """Whether a service has them."""
        return "://" in self.path


def find_weights(
    name: str, checkpoint: str | None = None, *, now: datetime | None = None
) -> Weights:
    """The weights that `name` means; of a run the final ones, else its newest.

    Args:
        name: a run's id or directory, RUN@CHECKPOINT, or a path as in checkpoints.jsonl.
        checkpoint: the checkpoint's name, in place of RUN@CHECKPOINT.

    Raises:
        NotFoundError: no such run or checkpoint; names those that exist.
        ModelError: the checkpoint has expired, is gone, or cannot be given out by its service.
    """
    now = now or datetime.now(UTC)
    run, named = _run_of(name)
    named = checkpoint or named
    known = run.checkpoints()
    if not known:
        raise NotFoundError(
            f"{run.run_id} has no checkpoint yet",
            hint=f"let it train on: ot train --resume {run.run_id}",
        )
    if named is not None:
        return _checked(run, _named(run, known, named), now)
    ordered = sorted(known, key=lambda entry: (entry.final, entry.batch), reverse=True)
    for entry in ordered:
        path = _path_of(run, entry)
        if path is not None and unusable(entry, path, now) is None:
            return Weights(run, entry, path)
    return _checked(run, ordered[0], now)  # which says what is wrong with the one to expect


def service_of(weights: Weights) -> EngineConfig:
    """Where remote weights are asked for, whichever engine the run's record names."""
    return recorded_config(weights.run).engine.model_copy(update={"kind": "tinker"})


def require_fetchable(weights: Weights) -> None:
    """That remote weights can be asked for from here; nothing is asked yet.

    Raises:
        UsageError: the run's record names a Tinker server that this person has not named.
        MissingExtraError: tinker_cookbook is not installed.
    """
    from openthoughts_cli.engine.tinker.export import require_cookbook

    refuse_foreign(service_of(weights), weights.run.run_id)
    require_cookbook()


def _run_of(name: str) -> tuple[RunDirectory, str | None]:
    if "://" in name:
        return _with_path(name, list_runs(), name)
    folder = Path(name).expanduser()
    if (folder / "adapter_config.json").is_file():
        # By its last two names: a run may have moved since its checkpoints were recorded.
        return _with_path(name, _runs_around(folder.resolve()), _ending(str(folder.resolve())))
    before, at, after = name.rpartition("@")
    if at and before and not (folder / "config.json").is_file():
        return find_run(before), after
    return find_run(name), None


def _with_path(name: str, runs: list[RunDirectory], wanted: str) -> tuple[RunDirectory, str]:
    for run in runs:
        for entry in run.checkpoints():
            paths = [path for path in (entry.state_path, entry.sampler_path) if path is not None]
            if wanted in paths or wanted in map(_ending, paths):
                return run, entry.name
    raise NotFoundError(
        f"no run here has a checkpoint at {name}",
        hint="give the run and --checkpoint; its card is written from the run's records",
    )


def _ending(path: str) -> str:
    return "/".join(path.rstrip("/").split("/")[-2:])


def _runs_around(folder: Path) -> list[RunDirectory]:
    return [RunDirectory(parent) for parent in folder.parents if (parent / "config.json").is_file()]


def _path_of(run: RunDirectory, entry: Checkpoint) -> str | None:
    """Where the adapter is. A service gives out training states alone; a folder moves with its
    run, whose own one comes first."""
    if (entry.state_path or "").startswith("tinker://"):
        return entry.state_path
    path = entry.sampler_path or entry.state_path
    if path is None or "://" in path:
        return path
    inside = run.store.resolve() / Path(path).parent.name / Path(path).name
    return str(inside) if inside.is_dir() else path


def _checked(run: RunDirectory, entry: Checkpoint, now: datetime) -> Weights:
    path = _path_of(run, entry)
    if path is None:
        raise ModelError(
            f"the checkpoint {entry.name} of {run.run_id} holds no weights",
            hint="choose another with --checkpoint; `ot runs show RUN` lists them",
        )
    reason = unusable(entry, path, now)
    if reason is not None:
        left = [e.name for e in run.checkpoints() if _is_usable(run, e, now)]
        raise ModelError(
            f"the checkpoint {entry.name} of {run.run_id} {reason}",
            hint=f"there are: {', '.join(left)}" if left else "none of the run's is left",
        )
    if path.startswith("tinker://") and "/sampler_weights/" in path:
        raise ModelError(
            f"the checkpoint {entry.name} of {run.run_id} is for sampling alone, and the service "
            "does not give those out",
            hint="choose one with a state_path in checkpoints.jsonl; the final one has it",
        )
    return Weights(run, entry, path)


def _is_usable(run: RunDirectory, entry: Checkpoint, now: datetime) -> bool:
    path = _path_of(run, entry)
    return path is not None and unusable(entry, path, now) is None


def _named(run: RunDirectory, known: list[Checkpoint], name: str) -> Checkpoint:
    for entry in known:
        if entry.name == name:
            return entry
    at_step = [entry for entry in known if name.isdecimal() and entry.batch == int(name)]
    if at_step:
        return at_step[-1]
    names = [entry.name for entry in known]
    raise NotFoundError(
        f"{run.run_id} has no checkpoint {name!r}{did_you_mean(name, names)}",
        hint=f"choose from {', '.join(names)}",
    )
