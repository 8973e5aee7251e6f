"""What an `ot eval` means here: engine, model and benchmarks, and where its records go."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from openthoughts_cli.config.benchmark import BenchmarkConfig
from openthoughts_cli.config.engine import EngineConfig
from openthoughts_cli.config.eval import EvalConfig
from openthoughts_cli.digests import digest_value
from openthoughts_cli.engine import default_model, resolve_engine
from openthoughts_cli.engine.tinker.addresses import refuse_foreign
from openthoughts_cli.errors import UsageError
from openthoughts_cli.evals.benchmark import Benchmark
from openthoughts_cli.evals.target import targets_of
from openthoughts_cli.events import Listener, silent
from openthoughts_cli.places import runs_dir
from openthoughts_cli.runs.layout import RunDirectory, list_runs, new_run_id
from openthoughts_cli.runs.log import run_status

__all__ = ["home_of", "identity_of", "refuse_one_name_twice", "resolve_config"]


def resolve_config(
    config: EvalConfig, run: RunDirectory | None, *, listener: Listener = silent
) -> EvalConfig:
    """The config with engine, model and benchmarks decided; a run's own stand where nothing was said.

    Raises:
        UsageError: no benchmark is named, it is not known whose weights are meant, or the run's
            record names a server that this person has not named, or a Python file as a benchmark.
    """
    engine, model = config.engine, config.model
    benchmarks = config.benchmarks
    if run is not None:
        from openthoughts_cli.config.train import TrainConfig

        if run.read_record().get("kind") == "eval":
            raise UsageError(
                f"{run.run_id} is an evaluation, not a training run",
                hint="give --run a run of ot train",
            )
        trained = TrainConfig.model_validate(run.read_config())
        if engine.kind == "auto":
            engine = _recorded_engine(trained.engine, run, named=engine.base_url)
        model = model or str((run.read_record().get("model") or {}).get("name") or "")
        model = model or trained.model
        benchmarks = benchmarks or _recorded_benchmarks(trained.evals, run)
    elif config.checkpoint is not None and model is None:
        targets_of(None, config.checkpoint)  # refuses what is no path
        raise UsageError(
            f"it is not known from which model {config.checkpoint} was trained",
            hint="name the base model with --model, or the run with --run",
        )
    if not benchmarks:
        raise UsageError(
            "no benchmark is named", hint="name one with -b, e.g. -b arithmetic; see --list"
        )
    engine = resolve_engine(engine, listener=listener)
    return config.model_copy(
        update={
            "engine": engine,
            "model": model or default_model(engine.kind),
            "benchmarks": benchmarks,
        }
    )


def _recorded_engine(engine: EngineConfig, run: RunDirectory, *, named: str | None) -> EngineConfig:
    """The engine that a run was trained on, at the address that was `named` now, if one was."""
    if named is not None:
        return engine.model_copy(update={"base_url": named})
    refuse_foreign(engine, run.run_id)
    return engine


def _recorded_benchmarks(
    recorded: Mapping[str, BenchmarkConfig], run: RunDirectory
) -> dict[str, BenchmarkConfig]:
    """The benchmarks that a run was measured on. The run may be another's: no file that only its
    record names is run, and programs run unprotected only when that is said now."""
    for name in recorded:
        if ".py:" in name:
            raise UsageError(
                f"{run.run_id} was measured by the code in {name}, which would be run",
                hint=f"if you trust that file, name it: -b {shlex.quote(name)}; or name others",
            )
    return {
        name: settings.model_copy(update={"unsafe_no_sandbox": False})
        for name, settings in recorded.items()
    }


def home_of(config: EvalConfig, run: RunDirectory | None) -> RunDirectory:
    """The run's own directory; for a base model its named, its unfinished, or a new one."""
    if config.output_dir is not None:
        return RunDirectory(config.output_dir / config.name if config.name else config.output_dir)
    if config.name is not None:
        return RunDirectory(runs_dir() / config.name)
    if run is not None:
        return run
    identity = identity_of(config)
    for earlier in reversed(list_runs()):
        same = earlier.record_path.exists() and earlier.read_record().get("identity") == identity
        if same and run_status(earlier) != "done":
            return earlier
    subject = f"eval-{Path(str(config.model)).name}"
    return RunDirectory(runs_dir() / new_run_id(subject, identity, now=datetime.now(UTC)))


def identity_of(config: EvalConfig) -> str:
    """The digest of what is measured, by which an unfinished evaluation is found again."""
    return digest_value(config.identity())


def refuse_one_name_twice(kinds: Mapping[str, Benchmark]) -> None:
    """Records are kept by a benchmark's own name, which two files of the user's may share."""
    places: dict[str, str] = {}
    for place, kind in kinds.items():
        if kind.name in places:
            raise UsageError(
                f"{places[kind.name]} and {place} are both named {kind.name}: their records would mix",
                hint="give the classes different names",
            )
        places[kind.name] = place
