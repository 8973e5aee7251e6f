"""Everything a run needs, worked out before anything is trained or paid."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from openthoughts_cli.chat.renderer import load_renderer
from openthoughts_cli.config.benchmark import NLL
from openthoughts_cli.config.train import TrainConfig
from openthoughts_cli.data.split import split_by_question
from openthoughts_cli.data.subset import Subset, load_subset
from openthoughts_cli.digests import digest_value
from openthoughts_cli.engine.base import ModelInfo
from openthoughts_cli.errors import ConfigError, EmptyResultError
from openthoughts_cli.events import Listener, Notice
from openthoughts_cli.training.curriculum import Batch, batches, order_rows
from openthoughts_cli.training.examples import TrainingRows, render_rows

if TYPE_CHECKING:
    from openthoughts_cli.chat.renderer import Renderer
    from openthoughts_cli.data.rows import Row

__all__ = ["RUN_FORMAT", "Prepared", "lay_out", "prepare"]

RUN_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Prepared:
    """A run, ready to start.

    `training` and `held_out` hold the rows that fit; `batches` index `training`.
    """

    config: TrainConfig
    subset: Subset
    model: ModelInfo
    renderer: Renderer
    max_tokens: int
    training: TrainingRows
    held_out: TrainingRows
    batches: tuple[Batch, ...]

    @property
    def identity(self) -> str:
        """Digest of what decides the result: config, subset content, renderer, format."""
        identity = self.config.identity()
        identity["subset"] = self.subset.digest
        return digest_value(
            {"format": RUN_FORMAT, "config": identity, "renderer": self.renderer.digest}
        )

    def record(self) -> dict[str, Any]:
        """What the config meant here, for record.json."""
        return {
            "format": RUN_FORMAT,
            "identity": self.identity,
            "model": dataclasses.asdict(self.model),
            "subset": {
                "name": self.subset.name,
                "path": str(self.subset.path),
                "digest": self.subset.digest,
            },
            "renderer": {"model": self.renderer.model, "digest": self.renderer.digest},
            "split": {
                "train_fraction": self.config.train_split,
                "seed": self.config.seed,
                "train_rows": len(self.training.rows),
                "held_out_rows": len(self.held_out.rows),
                "train_digest": digest_value(sorted(row.row_id for row in self.training.rows)),
                "held_out_digest": digest_value(sorted(row.row_id for row in self.held_out.rows)),
            },
            "dropped": _sum_counts(self.training.dropped, self.held_out.dropped),
            "total_steps": len(self.batches),
        }


def _sum_counts(first: dict[str, int], second: dict[str, int]) -> dict[str, int]:
    return {name: first.get(name, 0) + second.get(name, 0) for name in {**first, **second}}


def prepare(config: TrainConfig, model: ModelInfo, *, listener: Listener) -> Prepared:
    """Load the subset, render its rows for the model, split them, and lay out all batches.

    Args:
        config: with `model` and `engine.kind` resolved.

    Raises:
        NotFoundError: no such subset.
        ConfigError: settings that this subset cannot satisfy.
        EmptyResultError: no row of it can be trained on.
    """
    subset = load_subset(config.subset)
    renderer = load_renderer(model.name, listener=listener)
    max_tokens = min(config.max_tokens or model.context_tokens, model.context_tokens)
    rows = subset.rows()
    train, held = split_by_question(
        [row.question_id for row in rows], train_fraction=config.train_split, seed=config.seed
    )
    keep_control = subset.metadata.get("config", {}).get("control_tokens") == "keep"
    training = render_rows(
        [rows[i] for i in train], renderer, max_tokens=max_tokens, keep_control_tokens=keep_control
    )
    held_out = render_rows(
        [rows[i] for i in held], renderer, max_tokens=max_tokens, keep_control_tokens=keep_control
    )
    _check(config, subset, training, held_out, max_tokens)
    for part, name in ((training, "training"), (held_out, "held-out")):
        _notice_dropped(part, name, max_tokens, listener)
    return Prepared(
        config=config,
        subset=subset,
        model=model,
        renderer=renderer,
        max_tokens=max_tokens,
        training=training,
        held_out=held_out,
        batches=lay_out(config, subset, training.rows),
    )


def lay_out(config: TrainConfig, subset: Subset, rows: Sequence[Row]) -> tuple[Batch, ...]:
    """The batches of all steps, as indices into `rows`."""
    order = order_rows(
        [row.row_id for row in rows],
        _keys(config, subset, rows),
        epochs=config.epochs,
        mode=config.curriculum_mode,
        missing=config.curriculum_missing,
        key_name=config.curriculum_key,
        seed=config.seed,
    )
    cut = batches(order, config.batch_size, epochs=config.epochs)
    return tuple(cut[: config.max_steps])


def _keys(config: TrainConfig, subset: Subset, rows: Sequence[Row]) -> list[float | None]:
    if config.curriculum_mode == "none":
        return [None] * len(rows)
    frame = subset.frame()
    if (
        config.curriculum_key not in frame.columns
        or not frame[config.curriculum_key].dtype.is_numeric()
    ):
        numeric = [name for name in frame.columns if frame[name].dtype.is_numeric()]
        raise ConfigError(
            f"curriculum_key: the subset {subset.name} has no numeric column "
            f"{config.curriculum_key!r}",
            hint=f"choose one of {', '.join(numeric)}",
        )
    by_id = dict(
        zip(frame["row_id"].to_list(), frame[config.curriculum_key].to_list(), strict=True)
    )
    return [None if (key := by_id[row.row_id]) is None else float(key) for row in rows]


def _check(
    config: TrainConfig,
    subset: Subset,
    training: TrainingRows,
    held_out: TrainingRows,
    max_tokens: int,
) -> None:
    if not training.rows:
        raise EmptyResultError(
            f"no row of {subset.name} can be trained on: "
            + ", ".join(f"{count} {reason}" for reason, count in training.dropped.items()),
            hint=f"rows may hold {max_tokens} of the model's tokens; raise max_tokens, or cut a "
            "subset of shorter rows",
        )
    if NLL in config.evals and not held_out.rows:
        raise ConfigError(
            f"evals.nll needs held-out rows, and train_split {config.train_split} of "
            f"{subset.name} leaves none",
            hint="lower train_split, take a larger subset, or remove nll from evals",
        )


def _notice_dropped(part: TrainingRows, name: str, max_tokens: int, listener: Listener) -> None:
    words = {
        "too_long": f"longer than {max_tokens} of the model's tokens",
        "control_tokens": "spelling one of the model's control tokens",
    }
    for reason, count in part.dropped.items():
        if count:
            listener(Notice(f"{count} {name} rows dropped: {words[reason]}", "warning"))
