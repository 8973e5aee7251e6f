"""The rows that `nll` reads: the held-out side of a subset, split as the run split it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from openthoughts_cli.config.eval import EvalConfig
from openthoughts_cli.data.split import split_by_question
from openthoughts_cli.data.subset import load_subset
from openthoughts_cli.errors import EmptyResultError, IntegrityError, UsageError

if TYPE_CHECKING:
    from openthoughts_cli.data.rows import Row
    from openthoughts_cli.runs.layout import RunDirectory

__all__ = ["HeldOut", "held_out_rows"]


class HeldOut(NamedTuple):
    """Held-out rows, and the subset they are of."""

    subset: str
    rows: tuple[Row, ...]


def held_out_rows(config: EvalConfig, run: RunDirectory | None) -> HeldOut:
    """The rows that were not trained on: of the run's subset and split, or as `config` says.

    Raises:
        UsageError: neither a run nor a subset says which rows.
        NotFoundError: the subset does not exist.
        IntegrityError: it is not the subset that the run was trained on any more.
        EmptyResultError: the split holds nothing out.
    """
    name, fraction, seed = config.subset, config.train_split, config.split_seed
    digest, whole = None, False
    if run is not None:
        trained = run.read_config()
        apart = trained.get("held_out") is not None
        recorded = run.read_record().get("held_out" if apart else "subset") or {}
        fraction, seed = float(trained["train_split"]), int(trained["seed"])
        if name is None:
            named = trained["held_out"] if apart else trained["subset"]
            name, digest = str(recorded.get("path") or named), recorded.get("digest")
            whole = apart
    if name is None:
        raise UsageError(
            "nll needs held-out rows", hint="say of which subset with --subset, or give a --run"
        )
    subset = load_subset(name)
    if digest is not None and subset.digest != digest:
        raise IntegrityError(
            f"the subset {subset.name} is not what the run was trained on: its digest is "
            f"{subset.digest[:12]}, and the run's {str(digest)[:12]}",
            hint="restore it, or name another with --subset",
        )
    rows = subset.rows()
    if whole:
        return HeldOut(subset.name, tuple(rows))
    _, held = split_by_question(
        [row.question_id for row in rows], train_fraction=fraction, seed=seed
    )
    if not held:
        raise EmptyResultError(
            f"a train_split of {fraction:g} holds no row of {subset.name} out",
            hint="lower train_split, or measure on another subset",
        )
    return HeldOut(subset.name, tuple(rows[index] for index in held))
