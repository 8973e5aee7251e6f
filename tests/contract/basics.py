"""The contract's order, awaitables and refusals."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable
from typing import Any

import pytest

from openthoughts_cli.engine.base import Engine, ForwardResult, SamplingParams
from openthoughts_cli.errors import ModelError
from tests.contract.support import Contract, make_batch, make_datum, near, run, train

__all__ = [
    "test_a_cancelled_awaiter_does_not_remove_the_request",
    "test_a_model_that_cannot_be_trained_is_refused",
    "test_an_unknown_model_is_refused",
    "test_awaiting_twice_gives_the_same_answer",
    "test_forward_sees_the_steps_queued_before_it",
    "test_methods_return_awaitables_at_once",
    "test_requests_run_in_the_order_of_the_calls",
    "test_the_model_of_the_contract_is_served",
    "test_too_long_inputs_are_refused",
]


def test_the_model_of_the_contract_is_served(contract: Contract) -> None:
    async def scenario(engine: Engine) -> None:
        served = {info.name: info for info in await engine.models()}
        assert contract.model in served
        assert served[contract.model].context_tokens == contract.context_tokens
        assert served[contract.model].trainable
        trainer = await engine.create_trainer(contract.model, contract.lora)
        assert trainer.model == served[contract.model]
        sampler = await engine.create_sampler(contract.model)
        assert sampler.model.name == contract.model

    run(contract, scenario)


def test_methods_return_awaitables_at_once(contract: Contract) -> None:
    async def scenario(engine: Engine) -> None:
        trainer = await engine.create_trainer(contract.model, contract.lora)
        sampler = await engine.create_sampler(contract.model)
        batch = make_batch(contract, 1)
        answers: list[Awaitable[object]] = [
            engine.models(),
            trainer.forward(batch),
            trainer.forward_backward(batch),
            trainer.optim_step(contract.adam),
            trainer.save_state("awaitables"),
            trainer.save_sampler("awaitables"),
            sampler.sample([1, 2], SamplingParams(max_tokens=1)),
            sampler.logprobs([1, 2]),
        ]
        for answer in answers:
            assert inspect.isawaitable(answer)
            assert not inspect.iscoroutine(answer), "a coroutine takes its place when awaited"
        await asyncio.gather(*answers)

    run(contract, scenario)


def test_awaiting_twice_gives_the_same_answer(contract: Contract) -> None:
    async def scenario(engine: Engine) -> None:
        trainer = await engine.create_trainer(contract.model, contract.lora)
        answer = trainer.forward(make_batch(contract, 1))
        assert (await answer).loss_sum == (await answer).loss_sum

    run(contract, scenario)


def test_requests_run_in_the_order_of_the_calls(contract: Contract) -> None:
    async def one_by_one(engine: Engine) -> list[float]:
        trainer = await engine.create_trainer(contract.model, contract.lora)
        return [
            await train(trainer, make_batch(contract, seed), contract.adam) for seed in (1, 2, 1)
        ]

    async def all_at_once(engine: Engine) -> list[float]:
        trainer = await engine.create_trainer(contract.model, contract.lora)
        losses: list[Awaitable[ForwardResult]] = []
        steps: list[Awaitable[object]] = []
        for seed in (1, 2, 1):
            losses.append(trainer.forward_backward(make_batch(contract, seed)))
            steps.append(trainer.optim_step(contract.adam))
        await asyncio.gather(*reversed(steps))
        return [(await loss).loss_sum for loss in losses]

    expected = run(contract, one_by_one)
    assert run(contract, all_at_once) == pytest.approx(expected, abs=contract.same_tolerance * 40)
    assert expected[2] < expected[0]


def test_forward_sees_the_steps_queued_before_it(contract: Contract) -> None:
    async def scenario(engine: Engine) -> None:
        trainer = await engine.create_trainer(contract.model, contract.lora)
        batch = make_batch(contract, 1)
        before = trainer.forward(batch)
        pending = [trainer.forward_backward(batch), trainer.optim_step(contract.adam)]
        after = trainer.forward(batch)
        later = await trainer.forward(batch)
        assert (await after).loss_sum < (await before).loss_sum
        assert near(contract, await after, later)
        await asyncio.gather(*pending)

    run(contract, scenario)


def test_too_long_inputs_are_refused(contract: Contract) -> None:
    async def scenario(engine: Engine) -> None:
        trainer = await engine.create_trainer(contract.model, contract.lora)
        sampler = await engine.create_sampler(contract.model)
        datum = make_datum(contract, 1, contract.context_tokens + 1)
        with pytest.raises(ModelError):
            await trainer.forward([datum])
        with pytest.raises(ModelError):
            await trainer.forward_backward([datum])
        with pytest.raises(ModelError):
            await sampler.sample([1] * contract.context_tokens, SamplingParams(max_tokens=1))
        with pytest.raises(ModelError):
            await sampler.logprobs([1] * (contract.context_tokens + 1))

    run(contract, scenario)


def test_an_unknown_model_is_refused(contract: Contract) -> None:
    async def scenario(engine: Engine) -> None:
        with pytest.raises(ModelError):
            await engine.create_trainer("nobody/no-such-model", contract.lora)
        with pytest.raises(ModelError):
            await engine.create_sampler("nobody/no-such-model")

    run(contract, scenario)


def test_a_model_that_cannot_be_trained_is_refused(contract: Contract) -> None:
    name = contract.untrainable_model
    if name is None:
        pytest.skip("every model of this engine can be trained")

    async def scenario(engine: Engine) -> None:
        with pytest.raises(ModelError):
            await engine.create_trainer(name, contract.lora)
        assert (await engine.create_sampler(name)).model.name == name

    run(contract, scenario)


def test_a_cancelled_awaiter_does_not_remove_the_request(contract: Contract) -> None:
    async def undisturbed(engine: Engine) -> ForwardResult:
        trainer = await engine.create_trainer(contract.model, contract.lora)
        await train(trainer, make_batch(contract, 1), contract.adam)
        return await trainer.forward(make_batch(contract, 2))

    async def given_up(engine: Engine) -> ForwardResult:
        trainer = await engine.create_trainer(contract.model, contract.lora)
        awaited: list[asyncio.Future[Any]] = [
            asyncio.ensure_future(trainer.forward_backward(make_batch(contract, 1))),
            asyncio.ensure_future(trainer.optim_step(contract.adam)),
        ]
        await asyncio.sleep(0)
        for task in awaited:
            task.cancel()
        outcomes = await asyncio.gather(*awaited, return_exceptions=True)
        assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)
        await trainer.save_state("after-giving-up")
        return await trainer.forward(make_batch(contract, 2))

    expected = run(contract, undisturbed)
    assert near(contract, expected, run(contract, given_up))
