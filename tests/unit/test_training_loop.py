"""The loop against the in-memory engine: its order, its numbers, its stops."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from openthoughts_cli.config.train import TrainConfig
from openthoughts_cli.engine.base import (
    AdamParams,
    Datum,
    ForwardResult,
    LoraSpec,
    OptimResult,
    Trainer,
)
from openthoughts_cli.engine.meter import Meter, Price, metered
from openthoughts_cli.errors import EngineError, ModelError
from openthoughts_cli.events import CheckpointSaved, Event, StepDone
from openthoughts_cli.training.curriculum import Batch, batches, order_rows
from openthoughts_cli.training.examples import Packed, collate
from openthoughts_cli.training.loop import Ended, TrainingLoop
from openthoughts_cli.training.schedule import learning_rate_at
from openthoughts_cli.training.stop import StopRequest
from tests.doubles.memory_engine import MemoryEngine, MemoryTrainer

MODEL = "tiny/bigram-long"


def some_rows(count: int = 10) -> list[Packed]:
    random = np.random.default_rng(3)
    return [
        Packed(random.integers(0, 20, 6 + index % 5).astype(np.int32), prompt_length=3)
        for index in range(count)
    ]


def config_with(**settings: object) -> TrainConfig:
    given = {"subset": "s", "batch_size": 4, "epochs": 2, "learning_rate": 0.05, "save_every": 2}
    return TrainConfig.model_validate({**given, **settings})


def laid_out(config: TrainConfig, rows: list[Packed]) -> list[Batch]:
    order = order_rows(
        [str(i) for i in range(len(rows))], [None] * len(rows), epochs=config.epochs, mode="none"
    )
    return batches(order, config.batch_size, epochs=config.epochs)


async def run_loop(
    trainer: Trainer,
    config: TrainConfig,
    rows: list[Packed],
    heard: list[Event],
    *,
    stop: StopRequest | None = None,
    first_step: int = 1,
    evals_due: Callable[[int], tuple[str, ...]] = lambda step: (),
    on_event: Callable[[Event], None] = lambda event: None,
) -> Ended:
    def hear(event: Event) -> None:
        heard.append(event)
        on_event(event)

    loop = TrainingLoop(
        trainer,
        config,
        packed=rows,
        batches=laid_out(config, rows),
        peak_learning_rate=float(config.learning_rate),
        evals_due=evals_due,
        on_checkpoint=lambda event: None,
        stop=stop or StopRequest(),
        listener=hear,
        first_step=first_step,
    )
    return await loop.run()


def losses(heard: list[Event]) -> dict[int, float]:
    return {event.step: event.train_mean_nll for event in heard if isinstance(event, StepDone)}


def checkpoints(heard: list[Event]) -> list[CheckpointSaved]:
    return [event for event in heard if isinstance(event, CheckpointSaved)]


async def fresh(engine: MemoryEngine) -> Trainer:
    return await engine.create_trainer(MODEL, LoraSpec(rank=4, seed=1))


@pytest.mark.parametrize("normalization", ["token", "sequence", "sum"])
@pytest.mark.parametrize("depth", [1, 2, 5])
def test_the_losses_are_those_of_a_plain_loop(
    tmp_path: Path, normalization: str, depth: int
) -> None:
    config = config_with(loss_normalization=normalization, pipeline_depth=depth, save_every=0)
    rows = some_rows()

    async def plain() -> dict[int, float]:
        expected: dict[int, float] = {}
        async with MemoryEngine() as engine:
            trainer = await fresh(engine)
            cut = laid_out(config, rows)
            for step, batch in enumerate(cut, start=1):
                some = [rows[row] for row in batch.rows]
                result = await trainer.forward_backward(collate(some, config.loss_normalization))
                rate = learning_rate_at(step, total_steps=len(cut), peak=0.05, schedule="linear")
                await trainer.optim_step(AdamParams(rate))
                summed = sum(
                    -float(logprobs[-row.num_loss_tokens :].astype(np.float64).sum())
                    for logprobs, row in zip(result.logprobs, some, strict=True)
                )
                expected[step] = summed / sum(row.num_loss_tokens for row in some)
        return expected

    async def pipelined() -> dict[int, float]:
        heard: list[Event] = []
        async with MemoryEngine() as engine:
            ended = await run_loop(await fresh(engine), config, rows, heard)
        assert ended == "done"
        return losses(heard)

    found = asyncio.run(pipelined())
    assert found == asyncio.run(plain())
    assert len(found) == 6
    assert found[6] < found[1]


def test_a_batch_is_queued_before_the_one_before_it_is_awaited() -> None:
    config = config_with(pipeline_depth=2, save_every=0)
    rows = some_rows()
    known_at: dict[int, int] = {}

    async def scenario() -> None:
        async with MemoryEngine() as engine:

            def hear(event: Event) -> None:
                if isinstance(event, StepDone):
                    queued = [r for r in engine.requests if r.kind == "forward_backward"]
                    known_at[event.step] = len(queued)

            await run_loop(await fresh(engine), config, rows, [], on_event=hear)
            kinds = [
                r.kind for r in engine.requests if r.kind in ("forward_backward", "optim_step")
            ]
            assert kinds == ["forward_backward", "optim_step"] * 6

    asyncio.run(scenario())
    assert known_at == {1: 2, 2: 3, 3: 4, 4: 5, 5: 6, 6: 6}


def test_a_save_is_queued_directly_behind_its_step_and_records_the_next_position() -> None:
    config = config_with(save_every=2, pipeline_depth=3)
    rows = some_rows()

    async def scenario() -> list[Event]:
        heard: list[Event] = []
        async with MemoryEngine() as engine:
            await run_loop(
                await fresh(engine),
                config,
                rows,
                heard,
                evals_due=lambda step: ("nll",) if step in (3, 6) else (),
            )
            kinds = [r.kind for r in engine.requests]
        steps = 0
        saved_after: list[tuple[str, int]] = []
        for kind in kinds:
            steps += kind == "optim_step"
            if kind.startswith("save"):
                saved_after.append((kind, steps))
        assert saved_after == [
            ("save_state", 2),
            ("save_sampler", 3),
            ("save_state", 4),
            ("save_state", 6),
            ("save_sampler", 6),
        ]
        return heard

    saved = checkpoints(asyncio.run(scenario()))
    assert [(c.next_step, bool(c.state_path), bool(c.sampler_path), c.final) for c in saved] == [
        (3, True, False, False),
        (4, False, True, False),
        (5, True, False, False),
        (7, True, True, True),
    ]
    assert [c.epoch for c in saved] == pytest.approx([0.8, 1.0, 1.4, 2.0])


@pytest.mark.parametrize("stop_after", [1, 2, 3, 4, 5])
def test_a_stop_saves_and_a_resumed_run_has_the_losses_of_an_undisturbed_one(
    stop_after: int,
) -> None:
    config = config_with(save_every=0)
    rows = some_rows()

    async def scenario() -> None:
        whole: list[Event] = []
        async with MemoryEngine() as engine:
            await run_loop(await fresh(engine), config, rows, whole)

        heard: list[Event] = []
        stop = StopRequest()

        def ask(event: Event) -> None:
            if isinstance(event, StepDone) and event.step == stop_after:
                stop.request()

        async with MemoryEngine() as engine:
            ended = await run_loop(
                await fresh(engine), config, rows, heard, stop=stop, on_event=ask
            )
            # the last step may have been queued when the stop was heard; then the run is done
            if ended == "interrupted":
                (saved,) = checkpoints(heard)
                assert saved.state_path is not None
                assert saved.next_step - 1 == max(losses(heard))
                trainer = await engine.resume_trainer(saved.state_path)
                assert (
                    await run_loop(trainer, config, rows, heard, first_step=saved.next_step)
                    == "done"
                )
        assert losses(heard) == losses(whole)

    asyncio.run(scenario())


def test_the_money_limit_stops_at_a_checkpoint_with_every_step_recorded() -> None:
    config = config_with(save_every=0)
    rows = some_rows()

    async def scenario() -> None:
        heard: list[Event] = []
        meter = Meter(90e-6)
        async with MemoryEngine() as inner:
            engine = metered(inner, Price(prefill=0, sample=0, train=1.0), meter)
            trainer = await engine.create_trainer(MODEL, LoraSpec(rank=4))
            ended = await run_loop(trainer, config, rows, heard)
        steps = [event for event in heard if isinstance(event, StepDone)]
        assert ended == "budget"
        assert [c.next_step for c in checkpoints(heard)] == [len(steps) + 1]
        assert 0 < meter.spent_usd <= 90e-6
        assert meter.spent_usd == pytest.approx(sum(s.num_tokens for s in steps) / 1e6)

    asyncio.run(scenario())


def test_an_engine_error_ends_the_run_and_is_not_swallowed() -> None:
    config = config_with(save_every=0)
    rows = [Packed(np.zeros(5000, dtype=np.int32), 1), *some_rows(3)]

    async def scenario() -> None:
        async with MemoryEngine() as engine:
            await run_loop(await fresh(engine), config, rows, [])

    with pytest.raises(ModelError, match="does not fit into the context"):
        asyncio.run(scenario())


class _BrokenFrom(MemoryTrainer):
    """A trainer whose log-probabilities are `value` from its `first`th batch on."""

    def __init__(self, inner: MemoryTrainer, first: int, value: float) -> None:
        self.__dict__.update(inner.__dict__)
        self.batches_left = first - 1
        self.value = value

    def forward_backward(self, batch: Sequence[Datum]) -> Awaitable[ForwardResult]:
        request = super().forward_backward(batch)
        self.batches_left -= 1
        return request if self.batches_left >= 0 else self._break(request)

    async def _break(self, request: Awaitable[ForwardResult]) -> ForwardResult:
        result = await request
        broken = tuple(np.full_like(logprobs, self.value) for logprobs in result.logprobs)
        return ForwardResult(broken, float("nan"))


@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_a_loss_that_is_no_number_ends_the_run_with_what_came_before_kept(value: float) -> None:
    config = config_with(save_every=1, pipeline_depth=3)
    heard: list[Event] = []

    async def scenario() -> None:
        async with MemoryEngine() as engine:
            trainer = await engine.create_trainer(MODEL, LoraSpec(rank=4, seed=1))
            await run_loop(_BrokenFrom(trainer, 4, value), config, some_rows(), heard)

    with pytest.raises(EngineError, match=r"the loss of step 4 is (nan|inf)") as caught:
        asyncio.run(scenario())
    assert "learning_rate" in str(caught.value.hint)
    assert sorted(losses(heard)) == [1, 2, 3]
    assert [saved.next_step for saved in checkpoints(heard)] == [2, 3, 4]


def test_a_metric_that_is_no_number_is_left_out_and_the_run_goes_on() -> None:
    heard: list[Event] = []

    class Odd(MemoryTrainer):
        def __init__(self, inner: MemoryTrainer) -> None:
            self.__dict__.update(inner.__dict__)

        def optim_step(self, params: AdamParams) -> Awaitable[OptimResult]:
            return self._with_odd(super().optim_step(params))

        async def _with_odd(self, request: Awaitable[OptimResult]) -> OptimResult:
            return OptimResult({**(await request).metrics, "odd": float("inf"), "even": 2.0})

    async def scenario() -> Ended:
        async with MemoryEngine() as engine:
            trainer = await engine.create_trainer(MODEL, LoraSpec(rank=4, seed=1))
            return await run_loop(Odd(trainer), config_with(), some_rows(), heard)

    assert asyncio.run(scenario()) == "done"
    (first, *_) = [event for event in heard if isinstance(event, StepDone)]
    assert first.extra["optim/even"] == 2.0
    assert "optim/odd" not in first.extra


def test_requests_behind_a_failed_one_are_not_reported_as_forgotten(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Failing(MemoryTrainer):
        def __init__(self, inner: MemoryTrainer) -> None:
            self.__dict__.update(inner.__dict__)

        async def _fails(self) -> ForwardResult:
            await asyncio.sleep(0.001)
            raise EngineError("the service is gone")

        def forward_backward(self, batch: Sequence[Datum]) -> Awaitable[ForwardResult]:
            return asyncio.ensure_future(self._fails())

    async def scenario() -> None:
        async with MemoryEngine() as engine:
            trainer = Failing(await engine.create_trainer(MODEL, LoraSpec(rank=4)))
            with pytest.raises(EngineError, match="the service is gone"):
                await run_loop(trainer, config_with(pipeline_depth=4), some_rows(), [])
            await asyncio.sleep(0.01)

    asyncio.run(scenario())
    gc.collect()
    assert caplog.records == []


def test_a_run_of_one_row_trains_one_step_an_epoch() -> None:
    heard: list[Event] = []

    async def scenario() -> Ended:
        async with MemoryEngine() as engine:
            return await run_loop(await fresh(engine), config_with(), some_rows(1), heard)

    assert asyncio.run(scenario()) == "done"
    assert sorted(losses(heard)) == [1, 2]
