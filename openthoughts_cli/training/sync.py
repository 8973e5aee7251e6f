"""`ot runs sync` as a function."""

from __future__ import annotations

from dataclasses import dataclass

from openthoughts_cli.runs.layout import RunDirectory
from openthoughts_cli.runs.wandb import sync
from openthoughts_cli.training.resume import recorded_config

__all__ = ["Synced", "sync_run"]


@dataclass(frozen=True, slots=True)
class Synced:
    """Where a run's log went on Weights & Biases."""

    run: str
    wandb_id: str
    project: str

    def __repr__(self) -> str:
        return f"<Synced {self.run}: W&B run {self.wandb_id} in {self.project}>"


def sync_run(run: RunDirectory) -> Synced:
    """Send a run's whole log to Weights & Biases, steps in order. The log is the truth and stays.

    Raises:
        DataError: the run's config is missing or damaged.
        NetworkError: W&B cannot be reached.
        ConfigError: no key is configured.
    """
    config = recorded_config(run)
    values = {**config.model_dump(mode="json"), "record": run.read_record()}
    return Synced(run.run_id, sync(run, config.wandb, values), config.wandb.project)
