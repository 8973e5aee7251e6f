"""Cut a subset of OpenThoughts3, fine-tune on it, and find out which recipe is better.

The public functions, one a verb, for notebooks and scripts. Each is imported when it is first used,
so that `import openthoughts_cli` costs nothing::

    import openthoughts_cli as ot
    subset = ot.build_subset(ot.SubsetConfig(dataset="sample", limit=64))
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from openthoughts_cli.config.eval import EvalConfig
    from openthoughts_cli.config.load import load_config
    from openthoughts_cli.config.subset import SubsetConfig
    from openthoughts_cli.config.train import TrainConfig
    from openthoughts_cli.data.subset import build_subset, load_subset
    from openthoughts_cli.training.verb import train

# Kept sorted; a test loads each of them.
_HOMES = {
    "EvalConfig": "openthoughts_cli.config.eval",
    "SubsetConfig": "openthoughts_cli.config.subset",
    "TrainConfig": "openthoughts_cli.config.train",
    "build_subset": "openthoughts_cli.data.subset",
    "load_config": "openthoughts_cli.config.load",
    "load_subset": "openthoughts_cli.data.subset",
    "train": "openthoughts_cli.training.verb",
}

__all__ = [
    "EvalConfig",
    "SubsetConfig",
    "TrainConfig",
    "build_subset",
    "load_config",
    "load_subset",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
