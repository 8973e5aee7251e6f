"""Everything a run needs, worked out before anything is trained or paid."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from openthoughts_cli.config.benchmark import NLL
from openthoughts_cli.config.train import TrainConfig
from openthoughts_cli.data.split import split_by_question
from openthoughts_cli.data.subset import Subset
from openthoughts_cli.digests import digest_value
from openthoughts_cli.engine.base import ModelInfo
from openthoughts_cli.errors import ConfigError, EmptyResultError
from openthoughts_cli.events import Listener, Notice
from openthoughts_cli.training.curriculum import Batch, batches, order_rows
from openthoughts_cli.training.examples import TrainingRows

if TYPE_CHECKING:
    from openthoughts_cli.chat.renderer import Renderer
    from openthoughts_cli.data.rows import Row
    from openthoughts_cli.training.surroundings import Surroundings

__all__ = ["RUN_FORMAT", "Prepared", "lay_out", "prepare", "run_identity"]

RUN_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Prepared:
    """A run, ready to start.

    `training` and `held_out` hold the rows that fit; `batches` index `training`. `evaluation` is the
    subset that `held_out` in the config names; None where the held-out rows are of `subset`.
    """

    config: TrainConfig
    subset: Subset
    model: ModelInfo
    renderer: Renderer
    max_tokens: int
    training: TrainingRows
    held_out: TrainingRows
    batches: tuple[Batch, ...]
    evaluation: Subset | None = None

    @property
    def identity(self) -> str:
        """As `run_identity`."""
        evaluation = None if self.evaluation is None else self.evaluation.digest
        return run_identity(
            self.config,
            subset_digest=self.subset.digest,
            held_out_digest=evaluation,
            renderer_digest=self.renderer.digest,
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
            **self._evaluation_record(),
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

    def _evaluation_record(self) -> dict[str, Any]:
        subset = self.evaluation
        if subset is None:
            return {}
        about = {"name": subset.name, "path": str(subset.path), "digest": subset.digest}
        return {"held_out": about}


def run_identity(
    config: TrainConfig, *, subset_digest: str, held_out_digest: str | None, renderer_digest: str
) -> str:
    """Digest of what decides a run's result: config, content of its subsets, renderer, format.

    Args:
        config: with `model` and `engine.kind` resolved.
        held_out_digest: of the subset that `held_out` names; None where it names none.
    """
    identity = config.identity()
    identity["subset"] = subset_digest
    del identity["held_out"]
    if held_out_digest is not None:
        identity["held_out"] = held_out_digest
    return digest_value({"format": RUN_FORMAT, "config": identity, "renderer": renderer_digest})


def _sum_counts(first: dict[str, int], second: dict[str, int]) -> dict[str, int]:
    return {name: first.get(name, 0) + second.get(name, 0) for name in {**first, **second}}


def prepare(
    config: TrainConfig, model: ModelInfo, *, surroundings: Surroundings, listener: Listener
) -> Prepared:
    """Load the subset, render its rows for the model, split them, and lay out all batches.

    Args:
        config: with `model` and `engine.kind` resolved.

    Raises:
        NotFoundError: no such subset.
        ConfigError: settings that this subset cannot satisfy.
        EmptyResultError: no row of it can be trained on.
    """
    around = surroundings
    subset = around.load_subset(config.subset)
    evaluation = None if config.held_out is None else around.load_subset(config.held_out)
    renderer = around.load_renderer(model.name, listener)
    max_tokens = min(config.max_tokens or model.context_tokens, model.context_tokens)
    train, held = _sides(config, subset, evaluation, around, listener)
    training = around.render(
        train,
        renderer,
        max_tokens=max_tokens,
        keep_control_tokens=_keeps_control(subset),
    )
    held_out = around.render(
        held,
        renderer,
        # the same rows for all runs that name them, whatever their own max_tokens
        max_tokens=max_tokens if evaluation is None else model.context_tokens,
        keep_control_tokens=_keeps_control(evaluation or subset),
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
        evaluation=evaluation,
    )


def _sides(
    config: TrainConfig,
    subset: Subset,
    evaluation: Subset | None,
    around: Surroundings,
    listener: Listener,
) -> tuple[list[Row], list[Row]]:
    """The rows to train on and the rows held out. No question stands on both sides."""
    rows = around.rows(subset)
    if evaluation is None:
        train, held = split_by_question(
            [row.question_id for row in rows], train_fraction=config.train_split, seed=config.seed
        )
        return [rows[i] for i in train], [rows[i] for i in held]
    held_out = around.rows(evaluation)
    asked = {row.question_id for row in held_out}
    train_rows = [row for row in rows if row.question_id not in asked]
    if left_out := len(rows) - len(train_rows):
        listener(
            Notice(f"{left_out} rows of {subset.name} left out: {evaluation.name} asks the same")
        )
    return train_rows, held_out


def _keeps_control(subset: Subset) -> bool:
    return subset.metadata.get("config", {}).get("control_tokens") == "keep"


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
    if not training.rows and not any(training.dropped.values()):
        raise EmptyResultError(
            f"no row of {subset.name} can be trained on: {config.held_out} asks all its questions",
            hint="hold out other rows, or train on another subset",
        )
    if not training.rows:
        raise EmptyResultError(
            f"no row of {subset.name} can be trained on: "
            + ", ".join(f"{count} {reason}" for reason, count in training.dropped.items()),
            hint=f"rows may hold {max_tokens} of the model's tokens; raise max_tokens, or cut a "
            "subset of shorter rows",
        )
    if NLL in config.evals and not held_out.rows and config.held_out is not None:
        raise ConfigError(
            f"no row of {config.held_out} fits the model, so nll has none to read",
            hint="raise max_tokens, or hold out shorter rows",
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
