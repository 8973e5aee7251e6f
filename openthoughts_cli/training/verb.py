"""`ot train` as one function, for a new run, a sweep's cell, and a run that goes on."""

from __future__ import annotations

from openthoughts_cli.config.train import TrainConfig
from openthoughts_cli.engine.tinker.addresses import refuse_foreign
from openthoughts_cli.events import Listener, silent
from openthoughts_cli.runs.layout import find_run
from openthoughts_cli.training.job import Confirm, Job, Means, OpenEngine, TrainResult
from openthoughts_cli.training.resume import recorded_config
from openthoughts_cli.training.stop import StopRequest
from openthoughts_cli.waiting import run_to_end

__all__ = [
    "Confirm",
    "Means",
    "OpenEngine",
    "TrainResult",
    "resume_training",
    "train",
    "train_as_task",
]


def train(
    config: TrainConfig,
    *,
    confirm: Confirm | None = None,
    dry_run: bool = False,
    skip_unavailable: bool = False,
    measure: bool = False,
    stop: StopRequest | None = None,
    listener: Listener = silent,
) -> TrainResult:
    """Fine-tune a model on a subset; the run's directory holds all that came of it.

    Args:
        confirm: called with the plan before anything is trained or paid; raises to refuse.
        dry_run: make the plan and stop.
        skip_unavailable: leave out benchmarks that cannot run here, instead of refusing.
        measure: before the first run of a model on this machine, take some seconds to measure how
            fast it is, for the plan's expected time.
        stop: set `requested` to end at the next step with a checkpoint.

    Raises:
        OtError: of the kind that says what is wrong; what was finished is kept.
    """
    stop = stop or StopRequest()
    job = Job(config, confirm, dry_run, skip_unavailable, stop, listener, measure=measure)
    return run_to_end(job.begin(), on_interrupt=stop.request)


async def train_as_task(
    config: TrainConfig,
    *,
    means: Means,
    skip_unavailable: bool = False,
    stop: StopRequest | None = None,
    listener: Listener = silent,
) -> TrainResult:
    """`train` for a loop that runs already, beside other runs; an unfinished run of the name is
    gone on with. Nobody is asked: whoever calls has agreed to the plan.

    Raises:
        As `train`.
    """
    stop = stop or StopRequest()
    return await Job(config, None, False, skip_unavailable, stop, listener, means).begin()


def resume_training(
    run: str,
    *,
    config: TrainConfig | None = None,
    confirm: Confirm | None = None,
    dry_run: bool = False,
    skip_unavailable: bool = False,
    stop: StopRequest | None = None,
    listener: Listener = silent,
) -> TrainResult:
    """Go on with an unfinished run from its last checkpoint; evaluations that are owed are done.

    Args:
        config: other settings than it began with; see `training.resume` for what may differ. Its
            server is taken as named by the caller.

    Raises:
        NotFoundError: no such run.
        UsageError: the run's record names a server that this person has not named yet.
        ConfigError: a setting, the subset or the renderer is no longer what the run began with.
        EngineError: all its checkpoints have expired.
    """
    directory = find_run(run)
    if config is None:
        config = recorded_config(directory)
        refuse_foreign(config.engine, directory.run_id)
    stop = stop or StopRequest()
    job = Job(config, confirm, dry_run, skip_unavailable, stop, listener)
    return run_to_end(job.go_on(directory), on_interrupt=stop.request)
