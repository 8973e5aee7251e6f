"""What the app was started with. It comes through the environment, so that `ot explore`, a host
that runs app.py and a test all say it in one way.

    OT_EXPLORE_DATASET    the data set shown first
    OT_EXPLORE_TOKENIZER  whose tokens
    OT_EXPLORE_FULL       1: of a large hub data set all files
    OT_EXPLORE_TARGET     subset:<name>, run:<id> or sweep:<name>: what is opened first
    OT_EXPLORE_PUBLIC     1: read only, without local paths, runs or "save"
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from openthoughts_cli import places
from openthoughts_cli.errors import NotFoundError

__all__ = ["Kind", "Settings", "inside"]

Kind = Literal["", "subset", "run", "sweep"]
_FIRST: dict[Kind, str] = {"": "data_set", "subset": "subset", "run": "runs", "sweep": "sweep"}


@dataclass(frozen=True, slots=True)
class Settings:
    """What `ot explore` was asked for."""

    dataset: str | None = None
    tokenizer: str | None = None
    full: bool = False
    target_kind: Kind = ""
    target: str = ""
    """The name below its root, or, given on the command line, the path of what is opened first."""
    public: bool = False

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read them from the environment (default: the process's)."""
        found = os.environ if environ is None else environ
        kind, _, target = found.get("OT_EXPLORE_TARGET", "").partition(":")
        public, full = (_is_true(found, f"OT_EXPLORE_{name}") for name in ("PUBLIC", "FULL"))
        known: Kind = kind if kind in ("subset", "run", "sweep") and not public else ""  # pyright: ignore[reportAssignmentType]
        return cls(
            dataset=found.get("OT_EXPLORE_DATASET") or None,
            tokenizer=found.get("OT_EXPLORE_TOKENIZER") or None,
            full=full,
            target_kind=known,
            target=target if known else "",
            public=public,
        )

    def to_environ(self) -> dict[str, str]:
        """The variables that say the same."""
        values = {
            "OT_EXPLORE_DATASET": self.dataset or "",
            "OT_EXPLORE_TOKENIZER": self.tokenizer or "",
            "OT_EXPLORE_TARGET": f"{self.target_kind}:{self.target}" if self.target_kind else "",
            "OT_EXPLORE_FULL": "1" if self.full else "",
            "OT_EXPLORE_PUBLIC": "1" if self.public else "",
        }
        return {name: value for name, value in values.items() if value}

    @property
    def first_page(self) -> str:
        """The address of the page that is opened first, below that of the app."""
        return _FIRST[self.target_kind]

    @property
    def subsets_root(self) -> Path:
        """Where subsets are found by name."""
        return places.subsets_dir()

    @property
    def runs_root(self) -> Path:
        """Where runs are found by id."""
        return places.runs_dir()

    @property
    def sweeps_root(self) -> Path:
        """Where sweeps are found by name."""
        return places.sweeps_dir()

    def place_of(self, kind: Literal["subset", "run", "sweep"], name: str) -> Path:
        """The directory of a subset, run or sweep of this name, which may come from a URL.

        A name is one plain part of a path below its root. What was given on the command line may
        be a path anywhere: whoever can type there owns the files.

        Raises:
            NotFoundError: the name would leave the root.
        """
        if kind == self.target_kind and name and name == self.target:
            here = Path(name).expanduser()
            if here.exists() and ("/" in name or os.sep in name):
                return here
        roots = {"subset": self.subsets_root, "run": self.runs_root, "sweep": self.sweeps_root}
        return inside(roots[kind], name)


def _is_true(environ: Mapping[str, str], name: str) -> bool:
    return environ.get(name, "").lower() in ("1", "yes", "true", "on")


def inside(root: Path, name: str) -> Path:
    """`root / name`, for a plain name that does not lead out of the root, links followed.

    Raises:
        NotFoundError: it is no plain name, or leads elsewhere.
    """
    plain = name not in ("", ".", "..") and not set(name) & {"/", "\\", "\0"}
    if plain:
        place = root / name
        if place.resolve().is_relative_to(root.resolve()):
            return place
    raise NotFoundError(
        f"{name!r} cannot be the name of something in {root.name or root}",
        hint="choose one from the lists of the pages",
    )
