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
    from openthoughts_cli.config.sweep import SweepConfig
    from openthoughts_cli.config.train import TrainConfig
    from openthoughts_cli.data.index import drop_parts, stored_indexes
    from openthoughts_cli.data.index_verb import index_dataset, index_state
    from openthoughts_cli.data.inspect import inspect_rows
    from openthoughts_cli.data.push import push_subset
    from openthoughts_cli.data.subset import build_subset, load_subset
    from openthoughts_cli.doctor.examine import examine
    from openthoughts_cli.evals.regrade import regrade_run
    from openthoughts_cli.evals.stored import grade_file
    from openthoughts_cli.evals.verb import run_eval
    from openthoughts_cli.evals.versus import compare_sides
    from openthoughts_cli.explorer.verb import explore
    from openthoughts_cli.export.export import export_weights
    from openthoughts_cli.export.push import push_weights
    from openthoughts_cli.quickstart import quickstart as run_quickstart
    from openthoughts_cli.report.page import write_run_page
    from openthoughts_cli.runs.layout import find_run, list_runs
    from openthoughts_cli.runs.summary import summarise
    from openthoughts_cli.sweeps.layout import list_sweeps, load_sweep
    from openthoughts_cli.sweeps.page import write_sweep_page
    from openthoughts_cli.sweeps.rank import rank_sweep
    from openthoughts_cli.sweeps.verb import run_sweep
    from openthoughts_cli.training.sync import sync_run
    from openthoughts_cli.training.verb import resume_training, train

# Public name -> module:name. A verb whose function has the name of a module here gets another one
# (`quickstart` would be the module as soon as somebody imports that).
_HOMES = {
    "EvalConfig": "openthoughts_cli.config.eval:EvalConfig",
    "SubsetConfig": "openthoughts_cli.config.subset:SubsetConfig",
    "SweepConfig": "openthoughts_cli.config.sweep:SweepConfig",
    "TrainConfig": "openthoughts_cli.config.train:TrainConfig",
    "build_subset": "openthoughts_cli.data.subset:build_subset",
    "compare_sides": "openthoughts_cli.evals.versus:compare_sides",
    "drop_parts": "openthoughts_cli.data.index:drop_parts",
    "examine": "openthoughts_cli.doctor.examine:examine",
    "explore": "openthoughts_cli.explorer.verb:explore",
    "export_weights": "openthoughts_cli.export.export:export_weights",
    "find_run": "openthoughts_cli.runs.layout:find_run",
    "grade_file": "openthoughts_cli.evals.stored:grade_file",
    "index_dataset": "openthoughts_cli.data.index_verb:index_dataset",
    "index_state": "openthoughts_cli.data.index_verb:index_state",
    "inspect_rows": "openthoughts_cli.data.inspect:inspect_rows",
    "list_runs": "openthoughts_cli.runs.layout:list_runs",
    "list_sweeps": "openthoughts_cli.sweeps.layout:list_sweeps",
    "load_config": "openthoughts_cli.config.load:load_config",
    "load_subset": "openthoughts_cli.data.subset:load_subset",
    "load_sweep": "openthoughts_cli.sweeps.layout:load_sweep",
    "push_subset": "openthoughts_cli.data.push:push_subset",
    "push_weights": "openthoughts_cli.export.push:push_weights",
    "rank_sweep": "openthoughts_cli.sweeps.rank:rank_sweep",
    "regrade_run": "openthoughts_cli.evals.regrade:regrade_run",
    "resume_training": "openthoughts_cli.training.verb:resume_training",
    "run_eval": "openthoughts_cli.evals.verb:run_eval",
    "run_quickstart": "openthoughts_cli.quickstart:quickstart",
    "run_sweep": "openthoughts_cli.sweeps.verb:run_sweep",
    "stored_indexes": "openthoughts_cli.data.index:stored_indexes",
    "summarise": "openthoughts_cli.runs.summary:summarise",
    "sync_run": "openthoughts_cli.training.sync:sync_run",
    "train": "openthoughts_cli.training.verb:train",
    "write_run_page": "openthoughts_cli.report.page:write_run_page",
    "write_sweep_page": "openthoughts_cli.sweeps.page:write_sweep_page",
}

__all__ = [
    "EvalConfig",
    "SubsetConfig",
    "SweepConfig",
    "TrainConfig",
    "build_subset",
    "compare_sides",
    "drop_parts",
    "examine",
    "explore",
    "export_weights",
    "find_run",
    "grade_file",
    "index_dataset",
    "index_state",
    "inspect_rows",
    "list_runs",
    "list_sweeps",
    "load_config",
    "load_subset",
    "load_sweep",
    "push_subset",
    "push_weights",
    "rank_sweep",
    "regrade_run",
    "resume_training",
    "run_eval",
    "run_quickstart",
    "run_sweep",
    "stored_indexes",
    "summarise",
    "sync_run",
    "train",
    "write_run_page",
    "write_sweep_page",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, inner = _HOMES[name].partition(":")
    value = getattr(importlib.import_module(module), inner)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
