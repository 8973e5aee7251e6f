"""What goes wrong around a run: disks, locks, clocks, subsets, contexts. Each says what to do."""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
import socket
import subprocess
from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from openthoughts_cli.config.engine import EngineConfig
from openthoughts_cli.config.subset import SubsetConfig
from openthoughts_cli.config.train import TrainConfig
from openthoughts_cli.data.subset import build_subset, load_subset
from openthoughts_cli.engine.base import Engine, ModelInfo
from openthoughts_cli.errors import (
    AuthError,
    ConfigError,
    ConflictError,
    DataError,
    EmptyResultError,
    EngineError,
    OtError,
    StorageError,
)
from openthoughts_cli.events import EvalStarted, Event, Listener, Notice, StepDone
from openthoughts_cli.places import runs_dir
from openthoughts_cli.runs.layout import RunDirectory, list_runs
from openthoughts_cli.runs.lock import locked
from openthoughts_cli.runs.log import step_metrics
from openthoughts_cli.store import append_line, read_lines
from openthoughts_cli.training.receipt import read_receipt
from openthoughts_cli.training.stop import StopRequest
from openthoughts_cli.training.verb import Means, TrainResult, train, train_as_task
from tests.doubles.chat_models import chatml_folder
from tests.doubles.memory_engine import MemoryEngine

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer with a chat template; the engine's weights are made of its name."""
    return chatml_folder(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def twelve_rows(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return cut(model, 12, tmp_path_factory.mktemp("subsets") / "small")


def cut(model: Path, limit: int, place: Path) -> Path:
    subset = build_subset(
        SubsetConfig(
            dataset="sample", source=("openmath",), max_tokens=200, limit=limit,
            tokenizer=str(model), name="small", output_dir=place.parent,
        )
    )  # fmt: skip
    return subset.path


class Machine:
    """Runs training in this process on an in-memory engine whose checkpoints outlive it."""

    def __init__(self, model: Path, subset: Path, *, context_tokens: int = 4096) -> None:
        self.store: dict[str, bytes] = {}
        self.model = model
        self.subset = subset
        self.served = (ModelInfo(str(model), context_tokens),)
        self.heard: list[Event] = []

    def _open(self, config: EngineConfig, *, store: Path, listener: Listener) -> Engine:
        return MemoryEngine(self.served, vocab_size=50_000, store=self.store, kind="local")

    def hear(self, event: Event) -> None:
        self.heard.append(event)

    def train(self, *, stop_after: int | None = None, **settings: Any) -> TrainResult:
        """The run `r` of 24 steps or as many as `settings` say; asked to stop behind a step."""
        config = {
            "subset": str(self.subset), "model": str(self.model), "engine": "local",
            "batch_size": 2, "epochs": 4, "train_split": 1.0, "learning_rate": 1e-2,
            "run_name": "r", "save_every": 3, "evals": {}, "wandb": {"mode": "disabled"}, **settings,
        }  # fmt: skip
        stop = StopRequest()

        def hear(event: Event) -> None:
            self.hear(event)
            if isinstance(event, StepDone) and event.step == stop_after:
                stop.request()

        return asyncio.run(
            train_as_task(
                TrainConfig.model_validate(config),
                means=Means(open_engine=self._open),
                stop=stop,
                listener=hear,
            )
        )


def losses(run: RunDirectory) -> list[float]:
    return [record["train_mean_nll"] for record in step_metrics(run)]


@pytest.fixture
def small_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Path]:
    """A disk of 32 KiB for the runs; root alone can make one."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=32k", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("only root can mount a small disk")
    monkeypatch.setenv("OT_RUNS", str(place))
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def remount(place: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(place)], check=True)


def test_a_disk_that_is_full_in_the_middle_stops_the_run_and_space_lets_it_go_on(
    small_disk: Path, model: Path, twelve_rows: Path
) -> None:
    machine = Machine(model, twelve_rows)
    with pytest.raises(StorageError, match="no space left on the disk while writing") as caught:
        machine.train(epochs=8)
    assert "run the same command again" in str(caught.value.hint)
    run = RunDirectory(small_disk / "r")
    before = losses(run)
    assert before
    remount(small_disk, "size=4m")
    assert machine.train(epochs=8).status == "done"
    machine.train(epochs=8, run_name="whole")
    whole = losses(RunDirectory(small_disk / "whole"))
    assert losses(run) == whole
    assert len(before) < len(whole)


def test_the_plan_of_a_run_on_the_service_needs_no_key(
    model: Path, twelve_rows: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TINKER_API_KEY", raising=False)
    config = TrainConfig.model_validate(
        {"subset": str(twelve_rows), "model": str(model), "engine": "tinker", "batch_size": 2,
         "evals": {}, "wandb": {"mode": "disabled"}}
    )  # fmt: skip
    told: list[Event] = []
    plan = train(config, dry_run=True, listener=told.append).plan
    assert plan.costs_money and plan.train_tokens > 0
    (warning,) = [e.text for e in told if isinstance(e, Notice) and e.level == "warning"]
    assert warning.startswith("no Tinker credentials are configured: planned without asking")
    with pytest.raises(AuthError, match="no Tinker credentials are configured"):
        train(config)
    assert list_runs() == []


def test_training_and_an_evaluation_that_fail_together_are_one_error(
    model: Path, twelve_rows: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """asyncio would print the traceback of a task whose failure nobody looked at."""

    class Full(Machine):
        def hear(self, event: Event) -> None:
            if isinstance(event, (StepDone, EvalStarted)) or "failed" in str(event):
                raise StorageError("no space left")

    with pytest.raises(StorageError, match="no space left"):
        Full(model, twelve_rows).train(train_split=0.8, evals={"nll": {"at_start": True}})
    gc.collect()
    assert [record.getMessage() for record in caplog.records if record.name == "asyncio"] == []


def test_a_run_directory_that_is_read_only_is_refused_with_its_path(
    small_disk: Path, model: Path, twelve_rows: Path
) -> None:
    remount(small_disk, "ro")
    with pytest.raises(StorageError, match=rf"cannot write {small_disk}/r.*[Rr]ead-only") as caught:
        Machine(model, twelve_rows).train()
    assert "may write" in str(caught.value.hint)
    remount(small_disk, "rw")
    assert list(small_disk.iterdir()) == []


def test_a_run_that_another_process_holds_is_refused_with_its_pid_and_host(
    model: Path, twelve_rows: Path
) -> None:
    machine = Machine(model, twelve_rows)
    who = f"in use by pid {os.getpid()} on {socket.gethostname()}"
    with locked(RunDirectory(runs_dir() / "r")), pytest.raises(ConflictError, match=who) as caught:
        machine.train()
    assert "--run-name" in str(caught.value.hint)
    assert machine.train().status == "done"


def test_a_clock_that_goes_back_makes_no_time_negative_and_loses_no_step(
    model: Path, twelve_rows: Path
) -> None:
    machine = Machine(model, twelve_rows)
    assert machine.train(stop_after=3).status == "interrupted"
    run = RunDirectory(runs_dir() / "r")
    # As if everything so far had been written by a clock that is a day ahead of now.
    lines = read_lines(run.events_path)
    run.events_path.unlink()
    for line in lines:
        ahead = datetime.fromisoformat(line["time"]) + timedelta(days=1)
        append_line(run.events_path, {**line, "time": ahead.isoformat(timespec="milliseconds")})
    assert machine.train().status == "done"
    assert [record["step"] for record in step_metrics(run)] == list(range(1, 25))
    assert all(record["time/step"] >= 0 for record in step_metrics(run))
    assert 0 <= read_receipt(run)["actual"]["seconds"] < 3600


def test_a_checkpoint_that_has_expired_is_told_of_and_none_left_is_refused(
    model: Path, twelve_rows: Path
) -> None:
    machine = Machine(model, twelve_rows)
    machine.train(stop_after=7)
    run = RunDirectory(runs_dir() / "r")
    past = (datetime.now(UTC) - timedelta(hours=1)).isoformat(timespec="seconds")
    append_line(run.checkpoints_path, {**read_lines(run.checkpoints_path)[-1], "expires_at": past})
    machine.train(stop_after=12)
    told = [event.text for event in machine.heard if isinstance(event, Notice)]
    assert any("expired at" in text and "goes on from step-000006" in text for text in told)
    for line in read_lines(run.checkpoints_path):
        append_line(run.checkpoints_path, {**line, "expires_at": past})
    with pytest.raises(EngineError, match=r"r cannot go on: .*expired at") as caught:
        machine.train()
    assert "checkpoint_ttl_hours" in str(caught.value.hint)


def test_a_subset_whose_rows_were_changed_is_refused(
    model: Path, twelve_rows: Path, tmp_path: Path
) -> None:
    subset = Path(shutil.copytree(twelve_rows, tmp_path / "small"))
    (rows,) = subset.glob("**/*.arrow")
    content = bytearray(rows.read_bytes())
    content[len(content) // 2] ^= 1
    rows.write_bytes(content)
    with pytest.raises(DataError, match="small") as caught:
        Machine(model, subset).train()
    assert caught.value.hint
    assert not runs_dir().exists()


def test_a_run_is_not_gone_on_with_on_other_rows_of_the_same_name(
    model: Path, twelve_rows: Path, tmp_path: Path
) -> None:
    subset = Path(shutil.copytree(twelve_rows, tmp_path / "small"))
    machine = Machine(model, subset)
    machine.train(stop_after=3)
    shutil.rmtree(subset)
    cut(model, 10, subset)
    with pytest.raises((ConfigError, ConflictError), match="subset") as caught:
        machine.train()
    assert "--run-name" in str(caught.value.hint)


def test_rows_longer_than_the_context_are_dropped_and_counted_and_none_left_is_refused(
    model: Path, twelve_rows: Path
) -> None:
    frame = load_subset(str(twelve_rows)).frame()
    middle = sorted(frame["tokens"].to_list())[5]
    machine = Machine(model, twelve_rows, context_tokens=middle)
    result = machine.train(max_steps=1)
    assert result.plan.dropped["too_long"] == sum(frame["tokens"] > middle) > 0
    told = [e.text for e in machine.heard if isinstance(e, Notice) and e.level == "warning"]
    assert any(f"longer than {middle} of the model's tokens" in text for text in told)
    with pytest.raises(EmptyResultError, match="too_long") as caught:
        Machine(model, twelve_rows, context_tokens=20).train(run_name="none")
    assert "20 of the model's tokens" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"curriculum_mode": "easy_to_hard"}, "12 of 12 training rows have none.*only code rows"),
        ({"curriculum_mode": "easy_to_hard", "curriculum_key": "hardness"}, "no numeric column"),
        (
            {"curriculum_mode": "grouped_shuffle", "curriculum_missing": "drop"},
            "drop leaves no rows",
        ),
        ({"evals": {"nll": {}}}, "needs held-out rows"),
    ],
)
def test_settings_that_a_subset_cannot_satisfy_are_refused_by_name(
    settings: dict[str, Any], said: str, model: Path, twelve_rows: Path
) -> None:
    with pytest.raises(OtError, match=said) as caught:
        Machine(model, twelve_rows).train(**settings)
    assert caught.value.exit_code == 2
    assert caught.value.hint
    assert not runs_dir().exists()
