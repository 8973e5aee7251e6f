"""When checkpoints are saved and recorded, which can be used, and which are deleted."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from openthoughts_cli.config.train import TrainConfig
from openthoughts_cli.engine.base import LoraSpec, Trainer
from openthoughts_cli.engine.meter import Meter, Price, metered
from openthoughts_cli.errors import EngineError
from openthoughts_cli.events import CheckpointSaved, Event, Notice, StepDone
from openthoughts_cli.runs.layout import RunDirectory
from openthoughts_cli.store import append_line
from openthoughts_cli.training.checkpoints import (
    last_state,
    record_checkpoint,
    remove_leftovers,
    roll,
    usable_samplers,
)
from openthoughts_cli.training.curriculum import batches, order_rows
from openthoughts_cli.training.examples import Packed
from openthoughts_cli.training.loop import Ended, TrainingLoop
from openthoughts_cli.training.progress import KnownSteps
from openthoughts_cli.training.saving import Saver
from openthoughts_cli.training.stop import StopRequest
from tests.doubles.memory_engine import MemoryEngine

MODEL = "tiny/bigram-long"


def some_rows(count: int = 10) -> list[Packed]:
    random = np.random.default_rng(3)
    return [
        Packed(random.integers(0, 20, 6 + index % 5).astype(np.int32), prompt_length=3)
        for index in range(count)
    ]


def config_with(**settings: object) -> TrainConfig:
    given = {"subset": "s", "batch_size": 4, "epochs": 2, "learning_rate": 0.05, "save_every": 0}
    return TrainConfig.model_validate({**given, **settings})


class Ticking:
    """A clock that goes on by `seconds` each time it is looked at."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._now_s = 0.0

    def __call__(self) -> float:
        self._now_s += self._seconds
        return self._now_s


async def run_loop(
    trainer: Trainer, config: TrainConfig, heard: list[Event], **more: object
) -> Ended:
    rows = some_rows()
    order = order_rows([str(i) for i in range(10)], [None] * 10, epochs=config.epochs, mode="none")
    loop = TrainingLoop(
        trainer,
        config,
        packed=rows,
        batches=batches(order, config.batch_size, epochs=config.epochs),
        peak_learning_rate=0.05,
        evals_due=lambda step: (),
        on_checkpoint=lambda event: None,
        stop=StopRequest(),
        listener=heard.append,
        **more,  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    )
    return await loop.run()


def losses(heard: list[Event]) -> list[float]:
    return [event.train_mean_nll for event in heard if isinstance(event, StepDone)]


def train(config: TrainConfig, **more: object) -> tuple[list[Event], MemoryEngine]:
    heard: list[Event] = []

    async def scenario() -> MemoryEngine:
        async with MemoryEngine() as engine:
            trainer = await engine.create_trainer(MODEL, LoraSpec(rank=4, seed=1))
            assert await run_loop(trainer, config, heard, **more) == "done"
        return engine

    return heard, asyncio.run(scenario())


def test_a_checkpoint_is_recorded_only_after_its_steps_are() -> None:
    recorded: list[int] = []

    async def scenario() -> None:
        known = KnownSteps(0)
        async with MemoryEngine() as engine:
            trainer = await engine.create_trainer(MODEL, LoraSpec(rank=4))
            saver = Saver(
                trainer,
                config_with(),
                listener=lambda event: None,
                attempt=1,
                on_checkpoint=lambda event: recorded.append(event.next_step - 1),
                known=known,
            )
            async with saver:
                saver.save(2, 0.5, state=True)
                await asyncio.sleep(0.05)
                assert [r.kind for r in engine.requests][-1] == "save_state"
                assert recorded == []
                known.tell(1)
                await asyncio.sleep(0.01)
                assert recorded == []
                known.tell(2)
                saver.save(3, 0.6, state=True)
                await asyncio.sleep(0.01)
                assert recorded == [2]
                known.give_up()

    asyncio.run(scenario())
    assert recorded == [2]


@pytest.mark.parametrize("normalization", ["token", "sequence", "sum"])
def test_accumulated_steps_have_the_losses_of_whole_ones(normalization: str) -> None:
    whole, _ = train(config_with(loss_normalization=normalization))
    parts, engine = train(config_with(loss_normalization=normalization, accumulate=3))
    assert losses(parts) == pytest.approx(losses(whole), rel=1e-6)
    kinds = [r.kind for r in engine.requests if r.kind in ("forward_backward", "optim_step")]
    # 4 rows in 3 requests; the epoch's last 2 rows in 2
    full, last = (
        ["forward_backward"] * 3 + ["optim_step"],
        ["forward_backward"] * 2 + ["optim_step"],
    )
    assert kinds == [*full, *full, *last] * 2


def test_the_minimised_loss_is_logged_under_a_name_that_says_its_normalisation() -> None:
    for normalization, name in (
        ("token", "train_loss_per_token"),
        ("sequence", "train_loss_per_sequence"),
        ("sum", "train_loss_sum"),
    ):
        heard, _ = train(config_with(loss_normalization=normalization))
        steps = [event for event in heard if isinstance(event, StepDone)]
        assert all(name in step.extra for step in steps)
        factor = {"token": 1, "sum": steps[0].num_loss_tokens}.get(normalization)
        if factor is not None:
            assert steps[0].extra[name] == pytest.approx(steps[0].train_mean_nll * factor, rel=1e-5)


def test_a_limit_reached_between_parts_of_a_step_leaves_no_half_gradient_behind() -> None:
    heard: list[Event] = []

    async def scenario() -> list[str]:
        meter = Meter(60e-6)
        price = Price(prefill=0, sample=0, train=1.0)
        async with MemoryEngine() as inner:
            trainer = await metered(inner, price, meter).create_trainer(MODEL, LoraSpec(rank=4))

            def afford(parts: object) -> None:
                assert isinstance(parts, list)
                tokens = sum(len(d.input_tokens) + 1 for part in parts for d in part)
                meter.check(price.usd(train=tokens))

            config = config_with(accumulate=4)
            assert await run_loop(trainer, config, heard, afford=afford) == "budget"
            return [r.kind for r in inner.requests]

    kinds = asyncio.run(scenario())
    assert kinds[-2:] == ["optim_step", "save_state"]
    assert len(losses(heard)) == kinds.count("optim_step") >= 1


def test_checkpoints_are_saved_by_the_clock_too() -> None:
    heard, _ = train(config_with(save_every_minutes=1), now_s=Ticking(7.0))
    saved = [event.next_step - 1 for event in heard if isinstance(event, CheckpointSaved)]
    assert saved[-1] == 6
    assert 1 < len(saved) < 6
    heard, _ = train(config_with(save_every_minutes=1), now_s=Ticking(0.1))
    assert [event.next_step - 1 for event in heard if isinstance(event, CheckpointSaved)] == [6]


def test_the_time_to_live_stands_on_all_but_the_final_checkpoint() -> None:
    earliest = datetime.now(UTC) + timedelta(hours=2, seconds=-1)  # it is told in whole seconds
    heard, engine = train(config_with(save_every=2, checkpoint_ttl_hours=2), expires=True)
    latest = datetime.now(UTC) + timedelta(hours=2)
    saved = [event for event in heard if isinstance(event, CheckpointSaved)]
    assert [bool(event.expires_at) for event in saved] == [True, True, False]
    assert earliest <= datetime.fromisoformat(str(saved[0].expires_at)) <= latest
    asked = [r.detail[1] for r in engine.requests if r.kind == "save_state"]
    assert asked == [7200, 7200, None]


def run_with(tmp_path: Path, *saved: CheckpointSaved) -> RunDirectory:
    run = RunDirectory(tmp_path / "r")
    for event in saved:
        record_checkpoint(run, event, attempt=1)
    return run


def local(run_path: Path, step: int, *, final: bool = False) -> CheckpointSaved:
    paths = [run_path / "checkpoints" / kind / f"step-{step}" for kind in ("states", "samplers")]
    for path in paths:
        path.mkdir(parents=True)
        (path / "adapter_model.safetensors").write_bytes(b"x")
    return CheckpointSaved(f"step-{step}", step + 1, 0.0, str(paths[0]), str(paths[1]), final)


def remote(step: int, expires_at: str | None) -> CheckpointSaved:
    path = f"tinker://run/weights/step-{step}"
    return CheckpointSaved(f"step-{step}", step + 1, 0.0, path, path, expires_at=expires_at)


def test_an_expired_checkpoint_is_told_of_and_an_earlier_one_taken(tmp_path: Path) -> None:
    soon, past = "2030-01-01T00:00:00+00:00", "2026-01-01T00:00:00+00:00"
    now = datetime(2027, 1, 1, tzinfo=UTC)
    run = run_with(tmp_path, remote(2, soon), remote(4, past))
    heard: list[Event] = []
    found = last_state(run, heard.append, now=now)
    assert found is not None
    assert found.batch == 2
    (notice,) = heard
    assert isinstance(notice, Notice)
    assert "step-4 expired at 2026-01-01" in notice.text
    assert usable_samplers(run, now=now) == {2: "tinker://run/weights/step-2"}
    with pytest.raises(EngineError, match=r"step-4 expired.*step-2 expired"):
        last_state(run, heard.append, now=datetime(2031, 1, 1, tzinfo=UTC))


def test_a_local_checkpoint_that_somebody_deleted_is_not_tried(tmp_path: Path) -> None:
    run = run_with(tmp_path, local(tmp_path / "r", 2), local(tmp_path / "r", 4))
    (tmp_path / "r/checkpoints/states/step-4/adapter_model.safetensors").unlink()
    (tmp_path / "r/checkpoints/states/step-4").rmdir()
    heard: list[Event] = []
    found = last_state(run, heard.append)
    assert found is not None
    assert found.batch == 2
    assert len(heard) == 1


def test_old_local_checkpoints_roll_away_but_not_what_is_needed(tmp_path: Path) -> None:
    home = tmp_path / "r"
    run = run_with(tmp_path, *(local(home, step) for step in (2, 4, 6)), local(home, 8, final=True))
    roll(run, 2, needed=lambda step: step == 2)
    assert [entry.batch for entry in run.checkpoints()] == [2, 6, 8]
    assert not (home / "checkpoints/states/step-4").exists()
    assert not (home / "checkpoints/samplers/step-4").exists()
    assert (home / "checkpoints/states/step-2").is_dir()
    roll(run, 2, needed=lambda step: False)
    assert [entry.batch for entry in run.checkpoints()] == [6, 8]


def test_checkpoints_on_a_service_and_elsewhere_are_never_deleted(tmp_path: Path) -> None:
    elsewhere = local(tmp_path / "other", 2)
    run = run_with(tmp_path, elsewhere, remote(4, None), local(tmp_path / "r", 6))
    roll(run, 1, needed=lambda step: False)
    assert len(run.checkpoints()) == 3
    assert Path(str(elsewhere.state_path)).is_dir()


def test_what_a_killed_process_left_aside_is_removed(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "r")
    torn = run.store / "states" / ".step-2.partial-abc"
    torn.mkdir(parents=True)
    kept = run.store / "states" / "step-2"
    kept.mkdir()
    moved = run.store / "states" / ".step-4.old-abc"
    (moved / "it").mkdir(parents=True)
    (moved / "it" / "ot.json").touch()
    (run.store / "states" / ".step-2.old-abc" / "it").mkdir(parents=True)  # replaced already
    remove_leftovers(run)
    assert not torn.exists()
    assert sorted(path.name for path in kept.parent.iterdir()) == ["step-2", "step-4"]
    assert (run.store / "states" / "step-4" / "ot.json").is_file()


def test_a_checkpoint_line_torn_by_a_crash_is_owed_work(tmp_path: Path) -> None:
    run = run_with(tmp_path, remote(2, None))
    with run.checkpoints_path.open("a") as file:
        file.write(json.dumps({"name": "step-4", "batch": 4})[:-3])
    append_line(run.checkpoints_path, {"name": "step-6", "batch": 6, "state_path": "tinker://x"})
    assert [entry.batch for entry in run.checkpoints()] == [2, 6]
