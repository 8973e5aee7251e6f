"""Where things live on this machine: the cache, the subsets, the runs, the sweeps, and what is
remembered of their owner."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["cache_dir", "index_dir", "runs_dir", "state_dir", "subsets_dir", "sweeps_dir"]


def cache_dir() -> Path:
    """The directory for what can be fetched or made again: `$OT_CACHE`, else the user's cache."""
    if chosen := os.environ.get("OT_CACHE"):
        return Path(chosen).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("openthoughts-cli", appauthor=False))


def index_dir() -> Path:
    """The directory for the indexes of data sets: `$OT_INDEX`, else `index` in the cache."""
    if chosen := os.environ.get("OT_INDEX"):
        return Path(chosen).expanduser()
    return cache_dir() / "index"


def state_dir() -> Path:
    """The directory for what this person has done before and the cache may not forget:
    `$OT_STATE`, else the user's own."""
    if chosen := os.environ.get("OT_STATE"):
        return Path(chosen).expanduser()
    import platformdirs

    return Path(platformdirs.user_state_dir("openthoughts-cli", appauthor=False))


def subsets_dir() -> Path:
    """The directory that holds subsets by name: `$OT_SUBSETS`, else `./subsets`."""
    return Path(os.environ.get("OT_SUBSETS", "subsets")).expanduser()


def runs_dir() -> Path:
    """The directory that holds runs by id: `$OT_RUNS`, else `./runs`."""
    return Path(os.environ.get("OT_RUNS", "runs")).expanduser()


def sweeps_dir() -> Path:
    """The directory that holds sweeps by name: `$OT_SWEEPS`, else `./sweeps`."""
    return Path(os.environ.get("OT_SWEEPS", "sweeps")).expanduser()
