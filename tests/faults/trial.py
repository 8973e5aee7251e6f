"""One training against a disturbed server, to its end, and what is compared of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from openthoughts_cli.config.train import TrainConfig
from openthoughts_cli.engine.base import ModelInfo
from openthoughts_cli.errors import OtError
from openthoughts_cli.places import runs_dir
from openthoughts_cli.runs.layout import RunDirectory
from openthoughts_cli.runs.log import eval_metrics, run_status, step_metrics
from openthoughts_cli.store import read_lines
from openthoughts_cli.training.verb import resume_training, train
from tests.doubles.memory_engine import MemoryEngine
from tests.doubles.memory_model import Adapter
from tests.doubles.tinker_faults import DisturbedServer, Ending, FaultSchedule

__all__ = ["Outcome", "Trial", "check_changes", "config_of", "disturbed_run", "open_server"]

_MOST_ATTEMPTS = 4
_SILENT: tuple[Ending, ...] = ("never", "gone", "silent")
_SAYS: dict[Ending, tuple[str, ...]] = {
    "never": ("no answer",),
    "unpaid": ("402", "payment"),
    "revoked": ("401", "revoked"),
    "forgotten": ("404", "session", "lost"),
    "gone": ("no answer", "cannot be reached", "connection"),
    "silent": ("no answer", "cannot be reached"),
    "sampler-lost": ("404", "sampling session"),
}


_COMPARED = (
    "step",
    "epoch",
    "learning_rate",
    "num_tokens",
    "num_loss_tokens",
    "train_mean_nll",
    "train_loss_per_token",
    "optim/grad_norm",
)


@dataclass(frozen=True)
class Outcome:
    """What must be equal whatever happened: losses, scores, answers, saved weights."""

    steps: list[dict[str, Any]]
    scores: dict[str, list[tuple[int, dict[str, float]]]]
    answers: dict[tuple[Any, ...], str]
    states: dict[int, bytes]
    samplers: dict[int, bytes]


@dataclass
class Trial:
    """How a disturbed run went."""

    attempts: int = 0
    said: list[str] = field(default_factory=list[str])
    outcome: Outcome | None = None


def open_server(schedule: FaultSchedule | None, model: str) -> DisturbedServer:
    """A server of one model, whose name is also the folder of its tokenizer."""
    unpaid = schedule is not None and schedule.ending == "unpaid"
    return DisturbedServer(
        schedule,
        open_engine=lambda: MemoryEngine([ModelInfo(model, 4096)], vocab_size=512),
        client_config={"billing_exception_max_pause_duration_sec": 1} if unpaid else {},
        poll_s=0.3,
    )


def config_of(name: str, server: DisturbedServer, model: str) -> TrainConfig:
    """A run of 12 steps with 4 states, and 8 evaluations on 7 sets of weights."""
    ending = None if server.schedule is None else server.schedule.ending
    return TrainConfig.model_validate(
        {
            "subset": "small",
            "model": model,
            "run_name": name,
            "batch_size": 3,
            "epochs": 3,
            "learning_rate": 0.01,
            "save_every": 3,
            "engine": {
                "kind": "tinker",
                "base_url": server.url,
                "patience_minutes": 0.2 if ending in _SILENT else 10.0,
            },
            "wandb": {"mode": "disabled"},
            "evals": {
                "nll": {"every": 3, "at_start": True},
                "arithmetic": {"every": 4, "limit": 2, "n": 2, "max_tokens": 6},
            },
        }
    )


def disturbed_run(name: str, server: DisturbedServer, model: str) -> Trial:
    """Train; when the ending ends it, mend the server and go on, until the run is done.

    Going on has the patience of a server without an ending.
    """
    trial = Trial()
    begun = RunDirectory(runs_dir() / name).config_path
    while trial.attempts < _MOST_ATTEMPTS:
        trial.attempts += 1
        ending = None if server.schedule is None else server.schedule.ending
        try:
            config = config_of(name, server, model)
            result = resume_training(name, config=config) if begun.exists() else train(config)
        except OtError as error:
            _check_ended_well(name, ending, error)
            trial.said.append(error.message)
        else:
            assert result.status == "done"
            if not result.failures:
                trial.outcome = outcome_of(name, server)
                return trial
            assert ending == "sampler-lost", result.failures
            assert all(_is_said(ending, text) for text in result.failures), result.failures
            trial.said.extend(result.failures)
        server.mend()
    raise AssertionError(f"not done after {trial.attempts} attempts: {trial.said}")


def _check_ended_well(name: str, ending: Ending | None, error: OtError) -> None:
    """The failure says what, leaves a state that can go on, and has the exit code of a failure."""
    assert ending is not None, f"passing faults ended the run: {error.message}"
    assert _is_said(ending, error.message), f"{ending}: {error.message}"
    assert error.exit_code == 1
    assert error.hint
    run = RunDirectory(runs_dir() / name)
    if run.config_path.exists():
        assert run_status(run) == "failed"


def _is_said(ending: Ending, text: str) -> bool:
    return any(words in text for words in _SAYS[ending])


def outcome_of(name: str, server: DisturbedServer) -> Outcome:
    run = RunDirectory(runs_dir() / name)
    return Outcome(
        steps=[{key: record[key] for key in _COMPARED} for record in step_metrics(run)],
        scores={name: list(scores) for name, scores in eval_metrics(run).items()},
        answers={
            (path.parent.name, line["problem"], line["sample"]): line["completion"]
            for path in sorted(run.path.glob("evals/arithmetic/step-*/samples.jsonl"))
            for line in read_lines(path)
            if "completion" in line
        },
        states=_weights(run, "state_path", server),
        samplers=_weights(run, "sampler_path", server),
    )


def _weights(run: RunDirectory, key: str, server: DisturbedServer) -> dict[int, bytes]:
    engine = server.engine
    assert isinstance(engine, MemoryEngine)
    return {
        line["batch"]: engine.store[server.saved[line[key]].engine_path]
        for line in read_lines(run.checkpoints_path)
        if line.get(key)
    }


def check_changes(server: DisturbedServer, whole: Sequence[bytes]) -> None:
    """No request that changes weights was done twice, left out, or done out of order."""
    assert server.violations == []
    for run in server.history:
        start = 0
        if run.resumed_from is not None:
            engine = server.engine
            assert isinstance(engine, MemoryEngine)
            state = engine.store[server.saved[run.resumed_from].engine_path]
            start = 2 * Adapter.from_bytes(state)[0].steps
        assert run.changes == list(whole[start : start + len(run.changes)])
