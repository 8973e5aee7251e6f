"""Sweeps in this process on a scripted engine: identity, resumption, reuse, money, common ground."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import pytest
from rich.console import Console

from openthoughts_cli.cli.render.sweep import render_sweep_result
from openthoughts_cli.cli.sweep import raise_unless_done
from openthoughts_cli.config.engine import EngineConfig
from openthoughts_cli.config.sweep import SweepConfig
from openthoughts_cli.engine.base import Engine, LoraSpec, ModelInfo
from openthoughts_cli.errors import (
    ConfigError,
    ConflictError,
    EngineError,
    InterruptedByUser,
    OtError,
    StorageError,
)
from openthoughts_cli.events import Event, Listener, Notice, StepDone
from openthoughts_cli.places import runs_dir, sweeps_dir
from openthoughts_cli.runs.layout import RunDirectory, list_runs
from openthoughts_cli.runs.lock import locked
from openthoughts_cli.runs.log import run_status, step_metrics
from openthoughts_cli.sweeps.claims import claim_runs
from openthoughts_cli.sweeps.launch import CellEnded, CellTold
from openthoughts_cli.sweeps.layout import load_sweep
from openthoughts_cli.sweeps.plan import SweepPlan
from openthoughts_cli.sweeps.verb import SweepResult, run_sweep
from openthoughts_cli.training.stop import StopRequest
from tests.doubles.chat_models import chatml_folder
from tests.doubles.memory_engine import MemoryEngine, MemoryTrainer

pytestmark = pytest.mark.slow


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("TINKER_API_KEY", "tml-not-used")
    folder = tmp_path / "model"
    folder.mkdir()
    chatml_folder(folder)
    return str(folder)


class PickyEngine(MemoryEngine):
    """Refuses adapters of some ranks, as a service would."""

    def __init__(self, *refused: int, **settings: Any) -> None:
        super().__init__(**settings)
        self._refused = refused

    def create_trainer(self, model: str, lora: LoraSpec) -> Awaitable[MemoryTrainer]:
        if lora.rank in self._refused:
            raise EngineError(f"rank {lora.rank} is out of stock")
        return super().create_trainer(model, lora)


def opening(model: str, *refused: int) -> Callable[..., Engine]:
    """Opens in-memory engines that serve `model` and keep their checkpoints between openings."""
    saved: dict[str, Any] = {}

    def open_engine(config: EngineConfig, *, store: Path, listener: Listener) -> Engine:
        served = (ModelInfo(model, 4096),)
        return PickyEngine(*refused, models=served, vocab_size=600, store=saved)

    return open_engine


def grid(model: str, **changes: Any) -> SweepConfig:
    subset = {
        "dataset": "sample", "source": ["openmath"], "limit": 8, "max_tokens": 2048,
        "tokenizer": model,
    }  # fmt: skip
    base = {
        "engine": "tinker", "model": model, "batch_size": 2, "epochs": 1, "save_every": 1,
        "evals": {"nll": {"every": 2}}, "wandb": {"mode": "disabled"},
    }  # fmt: skip
    values: dict[str, Any] = {
        "name": "s",
        "base": base,
        "subset": subset,
        "axes": {"train.learning_rate": [0.01, 0.02]},
    }
    return SweepConfig.model_validate({**values, **changes})


def states(name: str = "s") -> dict[str, str]:
    return {cell.name: cell.state for cell in load_sweep(name).cells}


def test_a_sweep_runs_its_cells_and_again_none(model: str) -> None:
    engine = opening(model)
    first = run_sweep(grid(model), open_engine=engine)
    assert (first.status, first.done) == ("done", 2)
    assert states() == {"learning_rate=0.01": "done", "learning_rate=0.02": "done"}
    sweep = load_sweep("s")
    assert sweep.baseline == "learning_rate=0.01"
    assert [cell.axes for cell in sweep.cells][1] == {"train.learning_rate": 0.02}
    logs = {run.run_id: run.events_path.read_bytes() for run in list_runs()}
    again = run_sweep(grid(model), open_engine=engine)
    assert (again.status, again.plan.sentence()) == ("done", "2 done, 0 to run")
    assert {run.run_id: run.events_path.read_bytes() for run in list_runs()} == logs


def test_what_is_added_is_run_and_another_sweep_reuses_it(model: str) -> None:
    engine = opening(model)
    run_sweep(grid(model), open_engine=engine)
    more = grid(model, axes={"train.learning_rate": [0.01, 0.02, 0.04]})
    assert run_sweep(more, dry_run=True, open_engine=engine).plan.sentence() == "2 done, 1 to run"
    assert run_sweep(more, open_engine=engine).status == "done"
    other = run_sweep(grid(model, name="other"), open_engine=engine)
    assert other.plan.sentence() == "2 done (2 reused), 0 to run"
    assert states("other") == {"learning_rate=0.01": "done", "learning_rate=0.02": "done"}
    assert len(list_runs()) == 3


def test_two_sweeps_that_share_cells_and_start_together_train_each_once(model: str) -> None:
    """Both have planned before either has a run; the slower one then finds runs of the other's."""
    both_planned = threading.Barrier(2, timeout=60)
    told: list[Event] = []

    def run(name: str) -> SweepResult:
        def agree(plan: SweepPlan) -> None:
            both_planned.wait()

        engine = opening(model)  # of its own: the double counts its trainers from one
        return run_sweep(
            grid(model, name=name), open_engine=engine, confirm=agree, listener=told.append
        )

    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(run, ("one", "other"))
    assert (one.status, one.done, other.status, other.done) == ("done", 2, "done", 2)
    runs = list_runs()
    assert len(runs) == 2
    for run_ in runs:
        assert run_status(run_) == "done"
        steps = [record["step"] for record in step_metrics(run_)]
        assert steps == list(range(1, len(steps) + 1))
    for name in ("one", "other"):
        assert set(states(name).values()) == {"done"}
    shared = [
        event.text for event in told if isinstance(event, Notice) and "has this cell" in event.text
    ]
    assert len(shared) == 2
    third_grid = grid(model, name="third", axes={"train.lora_rank": [4]})
    run_sweep(third_grid, open_engine=opening(model))
    claims = json.loads((runs_dir() / ".cells.json").read_text())
    third = load_sweep("third").cells[0].run
    assert third is not None
    assert list(claims.values()) == [third.run_id]  # those of the others have served their time


def test_a_claim_that_is_damaged_or_names_another_place_is_nobodys() -> None:
    mine = {"i" * 32: RunDirectory(runs_dir() / "mine")}
    for claims in ("{", '{"%s": "../x"}' % ("i" * 32), '{"%s": 3}' % ("i" * 32)):
        runs_dir().mkdir(parents=True, exist_ok=True)
        (runs_dir() / ".cells.json").write_text(claims)
        assert claim_runs(mine) == mine
    yours = {"i" * 32: RunDirectory(runs_dir() / "yours")}
    assert claim_runs(yours) == mine
    mine["i" * 32].path.mkdir()
    mine["i" * 32].record_path.write_text("damaged")  # begun, and lost: nobody can go on with it
    assert claim_runs(yours) == yours


def test_the_plan_of_a_grid_for_the_service_needs_no_key(
    model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TINKER_API_KEY")
    told: list[Event] = []
    planned = run_sweep(grid(model), dry_run=True, listener=told.append).plan
    assert planned.costs_money
    assert planned.train_tokens > 0
    (warning,) = [e.text for e in told if isinstance(e, Notice) and e.level == "warning"]
    assert warning.startswith("no Tinker credentials are configured: planned without asking")
    with pytest.raises(ConfigError, match="no Tinker credentials are configured"):
        run_sweep(grid(model))
    assert list_runs() == []


def test_cells_that_leave_a_sweep_are_told_of(model: str) -> None:
    told: list[Event] = []
    engine = opening(model)
    run_sweep(grid(model), open_engine=engine, listener=told.append)
    assert not any("leave its table" in event.text for event in told if isinstance(event, Notice))
    other = grid(model, axes={"train.learning_rate": [0.02, 0.03]})
    run_sweep(other, open_engine=engine, listener=told.append)
    (warning,) = [e.text for e in told if isinstance(e, Notice) and "leave its table" in e.text]
    assert warning.startswith("s is a sweep already, and 1 of its 2 cells is not in this grid")
    assert len(list_runs()) == 3


def test_a_dry_run_trains_nothing_and_writes_no_sweep(model: str) -> None:
    planned = run_sweep(grid(model), dry_run=True, open_engine=opening(model))
    assert planned.status == "planned"
    assert planned.plan.train_tokens > 0
    assert list_runs() == []
    assert not (sweeps_dir() / "s").exists()


def test_a_stopped_sweep_goes_on_to_the_losses_of_an_undisturbed_one(model: str) -> None:
    engine = opening(model)
    stop = StopRequest()
    long: dict[str, Any] = {**grid(model).model_dump()["base"], "epochs": 4}

    def stop_in_the_middle(event: Event) -> None:
        if isinstance(event, CellTold) and isinstance(event.event, StepDone):
            stop.requested |= event.event.step >= 2  # and stays so at the other cell's first step

    first = run_sweep(
        grid(model, base=long), open_engine=engine, stop=stop, listener=stop_in_the_middle
    )
    assert first.status == "interrupted"
    assert set(states().values()) <= {"interrupted", "waiting"}
    assert (
        "resume"
        in run_sweep(grid(model, base=long), dry_run=True, open_engine=engine).plan.sentence()
    )
    assert run_sweep(grid(model, base=long), open_engine=engine).status == "done"
    whole = run_sweep(grid(model, base=long, name="whole", seeds=(0,)), open_engine=engine)
    assert whole.plan.sentence() == "2 done (2 reused), 0 to run"
    for run in list_runs():
        steps = [record["step"] for record in step_metrics(run)]
        assert steps == list(range(1, len(steps) + 1))


def test_a_stop_that_comes_when_all_is_done_changes_nothing(model: str) -> None:
    stop = StopRequest()
    ended: list[str] = []

    def note(event: Event) -> None:
        if isinstance(event, CellEnded):
            ended.append(event.cell)
            stop.requested = len(ended) == 2

    result = run_sweep(grid(model), open_engine=opening(model), stop=stop, listener=note)
    assert (result.status, result.done) == ("done", 2)


def test_an_interrupt_that_nobody_asked_for_before_fails_no_cell(model: str) -> None:
    """From Python there is no handler that makes the first Ctrl-C a request."""
    engine = opening(model)
    pressed: list[str] = []

    def interrupt(event: Event) -> None:
        if isinstance(event, CellTold) and isinstance(event.event, StepDone) and not pressed:
            pressed.append(event.cell)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_sweep(grid(model), open_engine=engine, listener=interrupt)
    assert set(states().values()) == {"interrupted"}
    assert run_sweep(grid(model), open_engine=engine).status == "done"


def test_a_stop_before_the_start_starts_nothing(model: str) -> None:
    with pytest.raises(InterruptedByUser):
        run_sweep(grid(model), open_engine=opening(model), stop=StopRequest(requested=True))
    assert list_runs() == []


def test_a_failed_cell_leaves_the_others_and_is_tried_again_on_request(model: str) -> None:
    heard: list[CellEnded] = []

    def hear(event: Event) -> None:
        if isinstance(event, CellEnded):
            heard.append(event)

    ranks = grid(model, axes={"train.lora_rank": [4, 8]})
    result = run_sweep(ranks, open_engine=opening(model, 8), listener=hear)
    assert result.status == "partial"
    assert {name: out.error for name, out in result.failures.items()} == {
        "lora_rank=8": "rank 8 is out of stock"
    }
    assert [event.outcome.status for event in heard] == ["failed", "done"]
    assert states() == {"lora_rank=4": "done", "lora_rank=8": "failed"}
    assert load_sweep("s").cells[1].reason == "rank 8 is out of stock"
    left = run_sweep(ranks, open_engine=opening(model))
    assert left.outcomes == {}
    assert left.plan.sentence() == "1 done, 0 to run, 1 failed (--retry-failed tries it again)"
    assert left.status == "partial"
    tried = run_sweep(ranks, open_engine=opening(model), retry_failed=True)
    assert (tried.status, list(tried.outcomes)) == ("done", ["lora_rank=8"])


class FullDisk(MemoryEngine):
    """Finds no room for a trainer's files."""

    def create_trainer(self, model: str, lora: LoraSpec) -> Awaitable[MemoryTrainer]:
        raise StorageError("no space left on the disk while writing x", hint="free some space")


def test_a_full_disk_stops_cells_that_the_same_command_goes_on_with(model: str) -> None:
    def open_full(config: EngineConfig, *, store: Path, listener: Listener) -> Engine:
        return FullDisk(models=(ModelInfo(model, 4096),), vocab_size=600)

    result = run_sweep(grid(model), open_engine=open_full)
    assert (result.status, result.done, result.failures) == ("failed", 0, {})
    assert {out.error for out in result.stopped.values()} == {
        "no space left on the disk while writing x"
    }
    shown = Console(file=io.StringIO(), width=80)
    shown.print(render_sweep_result(result))
    text = cast("io.StringIO", shown.file).getvalue()
    assert "stopped" in text and "free some space" in text
    with pytest.raises(OtError, match="none of the 2 cells is done, 2 stopped") as caught:
        raise_unless_done(result)
    assert caught.value.hint == "fix the cause; the same command goes on with those that stopped"
    assert set(states().values()) == {"interrupted"}
    assert run_sweep(grid(model), open_engine=opening(model)).status == "done"


def test_the_first_failure_stops_the_others_where_that_is_asked_for(model: str) -> None:
    ranks = grid(model, axes={"train.lora_rank": [8, 4, 16, 2]}, at_once=1)
    result = run_sweep(ranks, open_engine=opening(model, 8), fail_fast=True)
    assert (result.status, list(result.outcomes)) == ("failed", ["lora_rank=8"])


def test_two_sweeps_of_one_name_at_once_are_refused(model: str) -> None:
    with (
        locked(RunDirectory(sweeps_dir() / "s")),
        pytest.raises(ConflictError, match="run by another process"),
    ):
        run_sweep(grid(model), open_engine=opening(model))


def test_the_same_run_twice_is_refused_before_anything_starts(model: str) -> None:
    same = grid(model, axes={"train.save_every": [1, 2]})  # changes no result
    with pytest.raises(ConfigError, match="same run as save_every=1"):
        run_sweep(same, open_engine=opening(model))
    assert list_runs() == []


def test_cells_that_cannot_be_are_all_found_before_anything_starts(model: str) -> None:
    impossible = grid(model, axes={"train.max_tokens": [4, 5, 2048]})
    with pytest.raises(ConfigError) as caught:
        run_sweep(impossible, open_engine=opening(model))
    assert "max_tokens=4" in caught.value.message
    assert "max_tokens=5" in caught.value.message
    assert "max_tokens=2048" not in caught.value.message
    nothing = grid(model, axes={"subset.min_tokens": [0, 2040]})
    with pytest.raises(ConfigError, match="no row passed the filters"):
        run_sweep(nothing, open_engine=opening(model))
    assert list_runs() == []


def test_seeds_have_other_held_out_rows_until_the_grid_names_common_ones(model: str) -> None:
    engine = opening(model)
    apart = run_sweep(grid(model, seeds=(0, 1), axes={}), open_engine=engine)
    assert "2 different sets of rows" in str(apart.plan.uncommon)
    assert "2 different sets" in str(load_sweep("s").uncommon_ground)
    common = {
        "dataset": "sample", "source": ["openmath"], "limit": 4, "seed": 9, "max_tokens": 2048,
        "tokenizer": model,
    }  # fmt: skip
    together = run_sweep(
        grid(model, name="common", seeds=(0, 1), axes={}, held_out=common), open_engine=engine
    )
    assert together.plan.uncommon is None
    sweep = load_sweep("common")
    assert sweep.uncommon_ground is None
    assert sweep.held_out is not None
    records = [cell.run.read_record() for cell in sweep.cells if cell.run is not None]
    assert {record["split"]["held_out_rows"] for record in records} == {4}
    assert {record["held_out"]["digest"] for record in records} == {sweep.held_out["digest"]}
    for cell in together.plan.cells:
        assert cell.planned is not None
        prepared = cell.planned.prepared
        held = {row.question_id for row in prepared.held_out.rows}
        assert not held & {row.question_id for row in prepared.training.rows}


def test_the_limit_of_a_sweep_holds_for_all_its_cells_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TINKER_API_KEY", "tml-not-used")
    priced = "Qwen/Qwen3-4B-Instruct-2507"
    saved: dict[str, Any] = {}

    def open_engine(config: EngineConfig, *, store: Path, listener: Listener) -> Engine:
        engine = MemoryEngine((ModelInfo(priced, 4096),), vocab_size=151_936, store=saved)
        engine.costs_money = True
        return engine

    def run(max_usd: float, *, dry_run: bool = False) -> SweepResult:
        axes = {"train.learning_rate": [0.01, 0.02, 0.03, 0.04]}
        config = grid(priced, axes=axes, max_usd=max_usd)
        return run_sweep(config, open_engine=open_engine, dry_run=dry_run)

    whole_usd = run(1.0, dry_run=True).plan.most_usd
    assert whole_usd is not None
    limit = whole_usd / 3
    stopped = run(limit)
    assert stopped.status == "budget"
    assert 0 < stopped.spent_usd <= limit
    assert stopped.done < 4
    more = run(1.0)
    assert (more.status, more.done) == ("done", 4)
    assert more.plan.spent_usd == pytest.approx(stopped.spent_usd)


def test_results_edited_by_hand_are_owed_again(model: str) -> None:
    engine = opening(model)
    run_sweep(grid(model), open_engine=engine)
    run = list_runs()[0]
    scores = next(run.path.glob("evals/nll/step-*/scores.json"))
    scores.unlink()
    assert sorted(states().values()) == ["done", "interrupted"]
    assert run_sweep(grid(model), open_engine=engine).status == "done"
    assert scores.is_file()
    run.record_path.write_text("{")
    assert sorted(states().values()) == ["done", "waiting"]
    sweep_json = sweeps_dir() / "s" / "sweep.json"
    sweep_json.write_text(json.dumps({"format": 1, "cells": [{}]}))
    assert run_sweep(grid(model), dry_run=True, open_engine=engine).plan.counts()["done"] == 1


def test_cells_have_their_sweep_as_group_and_their_difference_as_name(model: str) -> None:
    run_sweep(grid(model), open_engine=opening(model))
    wandb = [run.read_config()["wandb"] for run in list_runs()]
    assert {settings["group"] for settings in wandb} == {"s"}
    assert {settings["name"] for settings in wandb} == {"learning_rate=0.01", "learning_rate=0.02"}
    assert runs_dir().is_dir()
