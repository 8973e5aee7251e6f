"""What every launcher of a sweep's cells must do, whatever it runs them on.

Tasks on an in-memory engine; processes on the local engine (fewer of these, since each imports
torch; all with OT_TEST_SOAK); Ray on a cluster of its own on this machine (`make test-cluster`).
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from openthoughts_cli.config.engine import EngineConfig
from openthoughts_cli.config.subset import SubsetConfig
from openthoughts_cli.config.train import TrainConfig
from openthoughts_cli.data.subset import build_subset
from openthoughts_cli.engine.base import Engine, ModelInfo
from openthoughts_cli.engine.meter import Meter
from openthoughts_cli.events import CheckpointSaved, Event, Listener, Notice, StepDone, silent
from openthoughts_cli.places import runs_dir
from openthoughts_cli.runs.layout import RunDirectory
from openthoughts_cli.runs.lock import locked
from openthoughts_cli.runs.log import step_metrics
from openthoughts_cli.sweeps.engines import EnginePool
from openthoughts_cli.sweeps.launch import CellJob, CellOutcome, Launcher
from openthoughts_cli.sweeps.launch_processes import ProcessLauncher
from openthoughts_cli.sweeps.launch_ray import RayLauncher
from openthoughts_cli.sweeps.launch_tasks import TaskLauncher
from openthoughts_cli.sweeps.shared import SharedSurroundings
from openthoughts_cli.sweeps.states import state_of
from openthoughts_cli.training.planning import plan_run
from tests.doubles.chat_models import chatml_folder
from tests.doubles.memory_engine import MemoryEngine
from tests.doubles.tiny_llama import save_tiny_llama

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SOAK = "OT_TEST_SOAK" in os.environ
RAY = pytest.param("ray", marks=[pytest.mark.cluster, pytest.mark.torch])
PROCESSES = pytest.param("processes", marks=[pytest.mark.torch])
MORE = [
    "tasks",
    pytest.param(
        "processes",
        marks=[pytest.mark.torch, pytest.mark.skipif(not SOAK, reason="long; OT_TEST_SOAK=1")],
    ),
    RAY,
]
WITH_WORKERS = [PROCESSES, RAY]


class Place:
    """A model, a subset, and launchers of one kind that share what outlives a launcher."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind = kind
        self.model = folder / "model"
        self.model.mkdir()
        chatml_folder(self.model)
        if kind != "tasks":
            save_tiny_llama(
                self.model, vocab_size=600, max_position_embeddings=4096, eos_token_id=None,
                bos_token_id=None, pad_token_id=None,
            )  # fmt: skip
        self.subset = build_subset(
            SubsetConfig(
                dataset="sample",
                source=("openmath",),
                limit=12,
                max_tokens=1024,
                tokenizer=str(self.model),
                name="cut",
            )
        )
        self._saved: dict[str, Any] = {}
        self.shared = SharedSurroundings()

    def config(self, **changes: Any) -> TrainConfig:
        kind = "tinker" if self.kind == "tasks" else "local"
        values: dict[str, Any] = {
            "subset": "cut", "model": str(self.model), "engine": kind, "batch_size": 2,
            "epochs": 4, "save_every": 3, "lora_rank": 4, "run_name": "cell",
            "evals": {"nll": {}}, "wandb": {"mode": "disabled"},
        }  # fmt: skip
        return TrainConfig.model_validate({**values, **changes})

    def _open_engine(self, config: EngineConfig, *, store: Path, listener: Listener) -> Engine:
        served = (ModelInfo(str(self.model), 4096),)
        return MemoryEngine(served, vocab_size=600, store=self._saved)

    @asynccontextmanager
    async def launcher(self) -> AsyncGenerator[Launcher]:
        async with EnginePool(64, silent, self._open_engine) as pool:
            made: Launcher
            if self.kind == "tasks":
                made = TaskLauncher(pool, self.shared, Meter(None))
            elif self.kind == "processes":
                made = ProcessLauncher(1)
            else:
                made = RayLauncher(None, {}, Meter(None))
            self._pool = pool
            try:
                yield made
            finally:
                await made.close()

    async def job(self, **changes: Any) -> CellJob:
        config = self.config(**changes)
        planned = None
        if self.kind == "tasks":
            planned = await plan_run(
                config, await self._pool.engine(config.engine), surroundings=self.shared,
                skip_unavailable=False, refuse_stopped=lambda: None, listener=silent,
            )  # fmt: skip
        run = RunDirectory(runs_dir() / "cell")
        return CellJob("cell", "1", config, run, planned)

    def run(
        self,
        hear: Callable[[Launcher, Event], None] = lambda _launcher, _event: None,
        **changes: Any,
    ) -> CellOutcome:
        """One attempt at the cell, in a launcher of its own."""

        async def go() -> CellOutcome:
            async with self.launcher() as launcher:
                job = await self.job(**changes)
                return await launcher.run(job, lambda event: hear(launcher, event))

        return asyncio.run(go())


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setenv("TINKER_API_KEY", "tml-not-used")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return Place(request.param, tmp_path)


def check_done(place: Place) -> None:
    run = RunDirectory(runs_dir() / "cell")
    assert state_of(run) == "done"
    total = run.read_record()["total_steps"]
    assert [line["step"] for line in step_metrics(run)] == list(range(1, total + 1))
    final = run.checkpoints()[-1]
    assert final.final
    if place.kind != "tasks":
        assert final.state_path is not None
        assert Path(final.state_path).is_relative_to(run.path.resolve())
        assert Path(final.state_path).is_dir()
    assert run.read_record()["subset"]["path"] == str(place.subset.path)


@pytest.mark.parametrize("place", MORE, indirect=True)
def test_a_stopped_cell_ends_at_a_checkpoint_and_goes_on_from_it(place: Place) -> None:
    steps: list[int] = []

    def stop_after_two(launcher: Launcher, event: Event) -> None:
        if isinstance(event, StepDone):
            steps.append(event.step)
            if event.step == 2:
                launcher.stop()

    outcome = place.run(stop_after_two, epochs=400, evals={})
    assert outcome.status == "interrupted"
    run = RunDirectory(runs_dir() / "cell")
    assert steps == list(range(1, len(steps) + 1))
    assert run.checkpoints()[-1].batch == steps[-1]
    again: list[int] = []

    def note(launcher: Launcher, event: Event) -> None:
        if isinstance(event, StepDone):
            again.append(event.step)
            if len(again) == 2:
                launcher.stop()

    assert place.run(note, epochs=400, evals={}).status == "interrupted"
    assert again[0] == steps[-1] + 1


@pytest.mark.parametrize("place", MORE, indirect=True)
def test_a_cell_that_fails_is_an_outcome(place: Place) -> None:
    with locked(RunDirectory(runs_dir() / "cell")):
        outcome = place.run()
    assert outcome.status == "failed"
    assert "is in use by" in outcome.error


@pytest.mark.parametrize("place", WITH_WORKERS, indirect=True)
def test_a_killed_worker_is_told_and_the_cell_goes_on_elsewhere(place: Place) -> None:
    pids: list[int] = []
    saved: list[int] = []

    def kill_after_a_checkpoint(launcher: Launcher, event: Event) -> None:
        if isinstance(event, Notice) and ", process " in event.text:
            pids.append(int(event.text.rpartition(" ")[2]))
        if isinstance(event, CheckpointSaved):
            saved.append(event.next_step)
            os.kill(pids[0] if pids else worker_of(launcher), signal.SIGKILL)

    outcome = place.run(kill_after_a_checkpoint, epochs=6)
    assert outcome.status == "died", outcome
    steps: list[int] = []

    def note(launcher: Launcher, event: Event) -> None:
        if isinstance(event, StepDone):
            steps.append(event.step)

    outcome = place.run(note, epochs=6)
    assert outcome.status == "done", outcome
    assert steps[0] >= saved[0]
    check_done(place)


@pytest.mark.parametrize("place", [RAY], indirect=True)
def test_ray_runs_no_more_cells_than_it_has_room_for_and_a_stop_takes_them_from_its_queue(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_OVERRIDE_RESOURCES", '{"CPU": 1}')
    at_work: set[str] = set()
    most: list[int] = []

    async def go() -> list[CellOutcome]:
        async with place.launcher() as launcher:

            async def one(name: str) -> CellOutcome:
                def hear(event: Event) -> None:
                    if isinstance(event, Notice) and ", process " in event.text:
                        at_work.add(name)
                        most.append(len(at_work))

                job = await place.job(run_name=name)
                run = RunDirectory(runs_dir() / name)
                outcome = await launcher.run(dataclasses.replace(job, name=name, run=run), hear)
                at_work.discard(name)
                launcher.stop()
                return outcome

            return await asyncio.gather(*(one(name) for name in ("a", "b", "c")))

    outcomes = asyncio.run(go())
    assert [outcome.status for outcome in outcomes] == ["done", *["interrupted"] * 2], outcomes
    assert max(most) == 1
    assert not RunDirectory(runs_dir() / "c").record_path.exists()


def worker_of(launcher: Launcher) -> int:
    """The process of the one cell that runs."""
    assert isinstance(launcher, ProcessLauncher)
    (pid,) = launcher.pids()
    return pid
