"""The contract's saved states and samplers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import pytest

from openthoughts_cli.engine.base import Engine
from openthoughts_cli.errors import EngineError
from tests.contract.support import (
    Contract,
    assert_scores_as,
    far,
    make_batch,
    near,
    run,
    scored_datum,
    train,
)

__all__ = [
    "test_a_resumed_trainer_continues_with_the_same_losses",
    "test_a_saved_sampler_has_the_weights_of_its_moment",
    "test_a_saved_state_has_the_weights_of_its_place_in_the_queue",
    "test_a_state_resumes_in_another_engine",
    "test_an_unknown_path_is_refused",
]


def test_a_saved_sampler_has_the_weights_of_its_moment(contract: Contract) -> None:
    async def scenario(engine: Engine) -> None:
        trainer = await engine.create_trainer(contract.model, contract.lora)
        batch = make_batch(contract, 1)
        pending: list[Awaitable[object]] = [
            trainer.forward_backward(batch),
            trainer.optim_step(contract.adam),
        ]
        moment = trainer.forward([scored_datum(contract)])
        path = trainer.save_sampler("moment")
        pending += [trainer.forward_backward(batch), trainer.optim_step(contract.adam)]
        sampler = await engine.create_sampler(sampler_path=await path)
        await asyncio.gather(*pending)
        await train(trainer, batch, contract.adam)
        assert far(await moment, await trainer.forward([scored_datum(contract)])) > 1e-4
        await assert_scores_as(contract, sampler, await moment)

    run(contract, scenario)


def test_a_resumed_trainer_continues_with_the_same_losses(contract: Contract) -> None:
    async def scenario(engine: Engine) -> None:
        trainer = await engine.create_trainer(contract.model, contract.lora)
        for seed in (1, 2):
            await train(trainer, make_batch(contract, seed), contract.adam)
        path = await trainer.save_state("resume", ttl_s=3600)
        assert isinstance(path, str)
        expected = [await train(trainer, make_batch(contract, s), contract.adam) for s in (1, 2, 3)]
        resumed = await engine.resume_trainer(path)
        assert resumed.model == trainer.model
        losses = [await train(resumed, make_batch(contract, s), contract.adam) for s in (1, 2, 3)]
        assert losses == pytest.approx(expected, abs=contract.same_tolerance * 40)

    run(contract, scenario)


def test_a_saved_state_has_the_weights_of_its_place_in_the_queue(contract: Contract) -> None:
    async def scenario(engine: Engine) -> None:
        trainer = await engine.create_trainer(contract.model, contract.lora)
        batch = make_batch(contract, 1)
        pending: list[Awaitable[object]] = [
            trainer.forward_backward(batch),
            trainer.optim_step(contract.adam),
        ]
        there = trainer.forward(batch)
        path = trainer.save_state("place")
        pending += [trainer.forward_backward(batch), trainer.optim_step(contract.adam)]
        await asyncio.gather(*pending)
        resumed = await engine.resume_trainer(await path)
        assert near(contract, await there, await resumed.forward(batch))

    run(contract, scenario)


def test_a_state_resumes_in_another_engine(contract: Contract) -> None:
    async def before(engine: Engine) -> tuple[str, str, list[float]]:
        trainer = await engine.create_trainer(contract.model, contract.lora)
        await train(trainer, make_batch(contract, 1), contract.adam)
        state, sampler = await trainer.save_state("other"), await trainer.save_sampler("other")
        return state, sampler, [await train(trainer, make_batch(contract, 2), contract.adam)]

    async def after(engine: Engine) -> list[float]:
        sampler = await engine.create_sampler(sampler_path=sampler_path)
        trainer = await engine.resume_trainer(state)
        await assert_scores_as(contract, sampler, await trainer.forward([scored_datum(contract)]))
        return [await train(trainer, make_batch(contract, 2), contract.adam)]

    state, sampler_path, expected = run(contract, before)
    assert run(contract, after) == pytest.approx(expected, abs=contract.same_tolerance * 40)


def test_an_unknown_path_is_refused(contract: Contract) -> None:
    async def scenario(engine: Engine) -> None:
        trainer = await engine.create_trainer(contract.model, contract.lora)
        state = await trainer.save_state("known")
        with pytest.raises(EngineError):
            await engine.resume_trainer(state + "-not")
        with pytest.raises(EngineError):
            await engine.create_sampler(sampler_path=state + "-not")

    run(contract, scenario)
