"""Whether a run may go on with a config: what may change between attempts, and what may not.

Labels (names, W&B, limits, how often to save) change nothing that is computed. More epochs or steps
are allowed when the steps already done would have been the same: the same rows at the same rates.
That holds with `lr_schedule: constant` or a longer warm-up's rise, and not with a rate that falls
towards the last step. Everything else is refused, by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from openthoughts_cli.config.train import TrainConfig
from openthoughts_cli.errors import ConfigError, DataError
from openthoughts_cli.runs.layout import RunDirectory
from openthoughts_cli.training.prepare import Prepared, lay_out
from openthoughts_cli.training.schedule import learning_rate_at

__all__ = ["changed_keys", "check_resumable", "record_changes", "recorded_config"]

_LENGTHS = frozenset({"epochs", "max_steps"})
_DIGESTED = {
    "subset": "the subset's content",
    "held_out": "the held-out subset's content",
    "renderer": "the tokenizer or its template",
    "split": "which rows fit and how they are split",
}


def changed_keys(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """The dotted names of the values that differ, sorted."""
    return sorted(_differing(old, new, ""))


def _differing(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str) -> Iterator[str]:
    for key in {*old, *new}:
        a, b = old.get(key), new.get(key)
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            yield from _differing(a, b, f"{prefix}{key}.")
        elif a != b:
            yield f"{prefix}{key}"


def recorded_config(run: RunDirectory) -> TrainConfig:
    """The config that a run goes by.

    Raises:
        DataError: it is missing or damaged.
    """
    try:
        return TrainConfig.model_validate(run.read_config())
    except ValueError as error:
        raise DataError(
            f"{run.config_path} is not a training config of this version: {error}",
            hint="start a new run",
        ) from error


def check_resumable(
    run: RunDirectory, recorded: TrainConfig, prepared: Prepared, *, done_steps: int
) -> list[str]:
    """What changed of the run's identity since it began, all of it harmless.

    Args:
        recorded: the config that the run began with.
        prepared: the run as the new config has it.
        done_steps: the steps that are in the weights to go on from.

    Raises:
        ConfigError: with the names of what changed and cannot.
    """
    changed = changed_keys(recorded.identity(), prepared.config.identity())
    record = run.read_record()
    if record.get("identity") == prepared.identity:
        changed = []  # the same content, perhaps under another name or in another place
    content = _changed_content(record, prepared)
    refused = [key for key in changed if key not in _LENGTHS]
    if refused or content:
        raise ConfigError(
            f"{run.run_id} cannot go on with these settings: "
            f"{', '.join([*refused, *content])} changed since it began",
            hint="restore what it began with, or start a new run (another --run-name)",
        )
    if changed:
        _check_same_past(run, recorded, prepared, changed, done_steps)
    return changed


def _changed_content(record: Mapping[str, Any], prepared: Prepared) -> list[str]:
    now = prepared.record()
    return [
        words
        for key, words in _DIGESTED.items()
        if _digests(record.get(key)) != _digests(now.get(key))
    ]


def _digests(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    return {key: item for key, item in value.items() if str(key).endswith("digest")}


def _check_same_past(
    run: RunDirectory,
    recorded: TrainConfig,
    prepared: Prepared,
    changed: list[str],
    done_steps: int,
) -> None:
    before = lay_out(recorded, prepared.subset, prepared.training.rows)
    after = prepared.batches
    names = " and ".join(f"{key} = {getattr(prepared.config, key)}" for key in changed)
    if len(after) < done_steps:
        raise ConfigError(
            f"{run.run_id}: {names} means {len(after)} steps, and {done_steps} are done already",
            hint="raise it, or start a new run",
        )
    rows = [batch.rows for batch in before[:done_steps]]
    if rows != [batch.rows for batch in after[:done_steps]]:
        raise ConfigError(
            f"{run.run_id}: {names} would have put other rows into the {done_steps} steps done",
            hint="start a new run; grouped_shuffle pools the rows of all epochs",
        )
    if any(
        _relative_rate(recorded, step, len(before))
        != _relative_rate(prepared.config, step, len(after))
        for step in range(1, done_steps + 1)
    ):
        raise ConfigError(
            f"{run.run_id}: {names} would have given other learning rates to the {done_steps} "
            f"steps done, since lr_schedule {recorded.lr_schedule} depends on the last step",
            hint="start a new run; runs with lr_schedule: constant can be made longer",
        )


def _relative_rate(config: TrainConfig, step: int, total_steps: int) -> float:
    return learning_rate_at(
        step,
        total_steps=total_steps,
        peak=1.0,
        schedule=config.lr_schedule,
        warmup_steps=config.warmup_steps,
    )


def record_changes(run: RunDirectory, recorded: TrainConfig, prepared: Prepared) -> None:
    """Take over the harmless changes, and keep on record what was before."""
    config = prepared.config.model_copy(update={"run_name": recorded.run_name})
    old, new = recorded.model_dump(mode="json"), config.model_dump(mode="json")
    changed = changed_keys(old, new)
    if not changed:
        return
    record = run.read_record()
    changes = [*record.get("changes", []), {"keys": changed, "before": old}]
    run.write_config(new, {**record, **prepared.record(), "changes": changes})
