"""What a name on the command line means: a subset, a run or a sweep."""

from __future__ import annotations

from pathlib import Path

from openthoughts_cli import places
from openthoughts_cli.data.subset import subset_names
from openthoughts_cli.errors import NotFoundError, UsageError
from openthoughts_cli.explorer.settings import Kind, Settings
from openthoughts_cli.runs.layout import list_runs
from openthoughts_cli.words import AFTER_SENTENCE, did_you_mean

__all__ = ["find_settings"]

_MARKS: tuple[tuple[Kind, str], ...] = (
    ("subset", "metadata.json"),
    ("sweep", "sweep.json"),
    ("run", "config.json"),
)
"""By which file a directory is known. A subset has a config.json too, so it comes first."""


def find_settings(
    target: str | None,
    *,
    dataset: str | None = None,
    tokenizer: str | None = None,
    full: bool = False,
    public: bool = False,
) -> Settings:
    """The settings for what is opened first.

    Raises:
        NotFoundError: nothing of that name; the message lists what there is.
        UsageError: a target on a public app, which has neither subsets nor runs.
    """
    if target is None:
        return Settings(dataset, tokenizer, full, public=public)
    if public:
        raise UsageError(
            f"--public shows the data set alone, not {target}", hint="leave out one of the two"
        )
    for root in (places.subsets_dir(), places.runs_dir(), places.sweeps_dir()):
        kind = _kind_of(root / target) if "/" not in target else ""
        if kind:
            return Settings(dataset, tokenizer, full, kind, target)
    here = Path(target).expanduser()
    kind = _kind_of(here)
    if kind:
        return Settings(dataset, tokenizer, full, kind, str(here.resolve()))
    subsets, runs = subset_names(), [run.run_id for run in list_runs()]
    guess = did_you_mean(target, [*subsets, *runs], AFTER_SENTENCE)
    raise NotFoundError(
        f"there is no subset, run or sweep {target!r}{guess}",
        hint=f"subsets: {', '.join(subsets[-8:]) or 'none yet'}; "
        f"runs: {', '.join(runs[-8:]) or 'none yet'}; a data set is given with --dataset",
    )


def _kind_of(place: Path) -> Kind:
    for kind, mark in _MARKS:
        if (place / mark).is_file():
            return kind
    return ""
