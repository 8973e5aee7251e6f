"""A run on disk: what its directory holds, and how a run is found by name."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from openthoughts_cli.errors import DataError, NotFoundError
from openthoughts_cli.places import runs_dir
from openthoughts_cli.store import read_lines, read_object, write_whole
from openthoughts_cli.words import AFTER_SENTENCE, did_you_mean

__all__ = ["Checkpoint", "RunDirectory", "find_run", "list_runs", "new_run_id"]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One line of checkpoints.jsonl, in the form that other Tinker viewers read.

    `batch` counts the optimiser steps in the weights, so it is also the index of the next batch.
    """

    name: str
    batch: int
    epoch: float
    final: bool
    state_path: str | None
    sampler_path: str | None
    expires_at: str | None = None


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """The files of one run.

    config.json        the resolved config; running it again repeats the run
    record.json        what the config meant here: model, engine, subset and renderer digests
    metrics.jsonl      a line a step, and a line an evaluation
    events.jsonl       everything that happened, in order, with its attempt
    checkpoints.jsonl  where weights are stored
    evals/             <benchmark>/step-<n>/ {config.json, samples.jsonl, scores.json}
    receipt.json       what it was expected to use, and what it used
    wandb.json         the W&B run's own id, and what was sent to it
    checkpoints/       the local engine's weights
    """

    path: Path

    @property
    def run_id(self) -> str:
        return self.path.name

    @property
    def config_path(self) -> Path:
        return self.path / "config.json"

    @property
    def record_path(self) -> Path:
        return self.path / "record.json"

    @property
    def metrics_path(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def events_path(self) -> Path:
        return self.path / "events.jsonl"

    @property
    def checkpoints_path(self) -> Path:
        return self.path / "checkpoints.jsonl"

    @property
    def receipt_path(self) -> Path:
        return self.path / "receipt.json"

    @property
    def wandb_path(self) -> Path:
        return self.path / "wandb.json"

    @property
    def lock_path(self) -> Path:
        return self.path / ".lock"

    @property
    def store(self) -> Path:
        return self.path / "checkpoints"

    def eval_dir(self, benchmark: str, step: int) -> Path:
        """Where one evaluation's records are."""
        return self.path / "evals" / benchmark / f"step-{step}"

    def is_scored(self, benchmark: str, step: int) -> bool:
        """Whether one evaluation is done. Requests that failed are errors in its scores: then it is
        not, and going on with the run asks for those answers again."""
        try:
            record = read_object(self.eval_dir(benchmark, step) / "scores.json") or {}
        except DataError:
            return False
        metrics = record.get("metrics")
        return isinstance(metrics, dict) and not metrics.get("errors")

    def read_config(self) -> dict[str, Any]:
        """config.json as written.

        Raises:
            DataError: it is missing or damaged.
        """
        return _required(self.config_path)

    def read_record(self) -> dict[str, Any]:
        """record.json as written.

        Raises:
            DataError: it is missing or damaged.
        """
        return _required(self.record_path)

    def write_config(self, config: dict[str, Any], record: dict[str, Any]) -> None:
        write_whole(self.record_path, _pretty(record))
        write_whole(self.config_path, _pretty(config))

    def checkpoints(self) -> list[Checkpoint]:
        """All recorded checkpoints, oldest first; a name recorded twice counts once, the newest.

        Those that were deleted since (`deleted: true`) are left out.
        """
        newest: dict[str, Checkpoint] = {}
        for line in read_lines(self.checkpoints_path):
            if not isinstance(line.get("name"), str) or not isinstance(line.get("batch"), int):
                continue
            newest.pop(line["name"], None)
            if line.get("deleted"):
                continue
            epoch = line.get("epoch")
            newest[line["name"]] = Checkpoint(
                name=line["name"],
                batch=line["batch"],
                epoch=float(epoch) if isinstance(epoch, (int, float)) else 0.0,
                final=line.get("final") is True,
                state_path=_text(line.get("state_path")),
                sampler_path=_text(line.get("sampler_path")),
                expires_at=_time(line.get("expires_at")),
            )
        return list(newest.values())


def _required(path: Path) -> dict[str, Any]:
    value = read_object(path)
    if value is None:
        raise DataError(
            f"{path} is missing: {path.parent} is not a complete run",
            hint="it was stopped before it began, or files were removed: start it again, or remove "
            "the folder",
        )
    return value


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _time(value: Any) -> str | None:
    """A time with its zone, in ISO 8601; None for anything else."""
    try:
        return value if datetime.fromisoformat(value).tzinfo is not None else None
    except (TypeError, ValueError):
        return None


def _pretty(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def new_run_id(subject: str, digest: str, *, now: datetime) -> str:
    """A label such as `2026-11-24-1530-openmath-3f9a1c`: when, what, and a short digest."""
    safe = "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "-" for c in subject)
    return f"{now:%Y-%m-%d-%H%M%S}-{safe[:60].strip('-.') or 'run'}-{digest[:6]}"


def list_runs(root: Path | None = None) -> list[RunDirectory]:
    """The runs under `root` (default: the runs directory), oldest name first."""
    root = runs_dir() if root is None else root
    if not root.is_dir():
        return []
    return [
        RunDirectory(path)
        for path in sorted(root.iterdir())
        if not path.name.startswith(".") and (path / "config.json").is_file()
    ]


def find_run(name_or_path: str, *, root: Path | None = None) -> RunDirectory:
    """The run of that id, or at that path.

    Raises:
        NotFoundError: with the ids that exist.
    """
    root = runs_dir() if root is None else root
    plain = name_or_path not in ("", ".", "..") and "/" not in name_or_path
    candidates = [root / name_or_path] if plain else []
    for place in (*candidates, Path(name_or_path).expanduser()):
        if (place / "config.json").is_file():
            return RunDirectory(place)
    known = [run.run_id for run in list_runs(root)]
    guess = did_you_mean(name_or_path, known, AFTER_SENTENCE)
    listed = (
        ", ".join(known[-8:]) if known else f"there are none under {root} yet (ot train makes one)"
    )
    raise NotFoundError(f"no run {name_or_path!r}{guess}", hint=f"runs: {listed}")
