"""The contract's forward passes, gradients and steps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from openthoughts_cli.engine.base import AdamParams, Datum, Engine, ForwardResult, LoraSpec
from tests.contract.support import Contract, far, make_batch, make_datum, near, run, scaled, train

__all__ = [
    "test_a_batch_of_different_lengths_keeps_its_shapes",
    "test_a_step_without_learning_rate_leaves_the_weights",
    "test_a_step_zeroes_the_gradients",
    "test_equal_seeds_train_equally",
    "test_forward_agrees_with_forward_backward",
    "test_forward_leaves_no_gradient",
    "test_gradients_add_up_over_batches",
    "test_gradients_are_of_the_weighted_sum",
    "test_logprobs_have_the_shapes_of_the_targets",
    "test_the_loss_is_the_weighted_sum",
    "test_tokens_without_weight_do_not_train",
    "test_training_lowers_the_loss",
    "test_two_trainers_do_not_share_weights",
    "test_weight_decay_and_clipping_change_the_step",
]


def test_logprobs_have_the_shapes_of_the_targets(contract: Contract) -> None:
    async def scenario(engine: Engine) -> None:
        trainer = await engine.create_trainer(contract.model, contract.lora)
        batch = make_batch(contract, 1)
        for result in (await trainer.forward(batch), await trainer.forward_backward(batch)):
            assert len(result.logprobs) == len(batch)
            for given, datum in zip(result.logprobs, batch, strict=True):
                assert given.dtype == np.float32
                assert given.shape == datum.target_tokens.shape
                assert np.isfinite(given).all()
                assert (given <= 1e-6).all()

    run(contract, scenario)


def test_a_batch_of_different_lengths_keeps_its_shapes(contract: Contract) -> None:
    async def scenario(engine: Engine) -> None:
        trainer = await engine.create_trainer(contract.model, contract.lora)
        batch = [make_datum(contract, seed, length) for seed, length in ((1, 1), (2, 20), (3, 7))]
        together = await trainer.forward(batch)
        assert [given.size for given in together.logprobs] == [1, 20, 7]
        for index, datum in enumerate(batch):
            alone = await trainer.forward([datum])
            difference = np.abs(alone.logprobs[0] - together.logprobs[index]).max()
            assert difference <= contract.nats_tolerance, "padding must not be seen"

    run(contract, scenario)


def test_the_loss_is_the_weighted_sum(contract: Contract) -> None:
    async def scenario(engine: Engine) -> None:
        trainer = await engine.create_trainer(contract.model, contract.lora)
        batch = scaled(make_batch(contract, 1), 0.5) + make_batch(contract, 2)
        for result in (await trainer.forward(batch), await trainer.forward_backward(batch)):
            expected = -sum(
                float((given.astype(np.float64) * datum.weights).sum())
                for given, datum in zip(result.logprobs, batch, strict=True)
            )
            assert result.loss_sum == pytest.approx(expected, rel=1e-6)

    run(contract, scenario)


def test_forward_agrees_with_forward_backward(contract: Contract) -> None:
    async def scenario(engine: Engine) -> None:
        trainer = await engine.create_trainer(contract.model, contract.lora)
        batch = make_batch(contract, 1)
        forward, both = await trainer.forward(batch), await trainer.forward_backward(batch)
        assert far(forward, both) <= contract.nats_tolerance

    run(contract, scenario)


def test_forward_leaves_no_gradient(contract: Contract) -> None:
    async def scenario(engine: Engine) -> None:
        trainer = await engine.create_trainer(contract.model, contract.lora)
        batch = make_batch(contract, 1)
        before = await trainer.forward(batch)
        await trainer.optim_step(contract.plain)
        assert near(contract, before, await trainer.forward(batch))

    run(contract, scenario)


def test_training_lowers_the_loss(contract: Contract) -> None:
    async def scenario(engine: Engine) -> None:
        trainer = await engine.create_trainer(contract.model, contract.lora)
        batch = make_batch(contract, 1)
        losses = [await train(trainer, batch, contract.adam) for _ in range(6)]
        assert losses[-1] < 0.95 * losses[0]

    run(contract, scenario)


def test_gradients_add_up_over_batches(contract: Contract) -> None:
    async def scenario(engine: Engine) -> None:
        first, second = make_batch(contract, 1), make_batch(contract, 2)
        apart = await engine.create_trainer(contract.model, contract.lora)
        await train(apart, first + second, contract.adam)  # leave the start, where LoRA's B is 0
        together = await engine.create_trainer(contract.model, contract.lora)
        await train(together, first + second, contract.adam)

        await apart.forward_backward(first)
        await train(apart, second, contract.descent)
        await train(together, first + second, contract.descent)
        results = [await trainer.forward(first + second) for trainer in (apart, together)]
        assert far(*results) <= contract.nats_tolerance

    run(contract, scenario)


def test_gradients_are_of_the_weighted_sum(contract: Contract) -> None:
    async def scenario(engine: Engine) -> None:
        batch = make_batch(contract, 1)

        async def after(batches: Sequence[Sequence[Datum]]) -> ForwardResult:
            trainer = await engine.create_trainer(contract.model, contract.lora)
            await train(trainer, batch, contract.adam)
            for each in batches:
                await trainer.forward_backward(each)
            await trainer.optim_step(contract.descent)
            return await trainer.forward(batch)

        once, twice = await after([batch]), await after([batch, batch])
        doubled = await after([scaled(batch, 2.0)])
        assert far(twice, doubled) <= contract.nats_tolerance
        assert far(once, doubled) > 10 * far(twice, doubled)
        assert once.loss_sum != doubled.loss_sum, "a mean would hide the weights"

    run(contract, scenario)


def test_tokens_without_weight_do_not_train(contract: Contract) -> None:
    async def scenario(engine: Engine) -> None:
        trainer = await engine.create_trainer(contract.model, contract.lora)
        batch = make_batch(contract, 1)
        before = await trainer.forward(batch)
        assert await train(trainer, scaled(batch, 0.0), contract.plain) == 0.0
        assert near(contract, before, await trainer.forward(batch))

    run(contract, scenario)


def test_a_step_zeroes_the_gradients(contract: Contract) -> None:
    async def scenario(engine: Engine) -> None:
        trainer = await engine.create_trainer(contract.model, contract.lora)
        batch = make_batch(contract, 1)
        start = await trainer.forward(batch)
        await train(trainer, batch, contract.plain)
        once = await trainer.forward(batch)
        await trainer.optim_step(contract.plain)
        again = await trainer.forward(batch)
        assert far(start, once) > 10 * contract.nats_tolerance
        assert near(contract, once, again)

    run(contract, scenario)


def test_a_step_without_learning_rate_leaves_the_weights(contract: Contract) -> None:
    async def scenario(engine: Engine) -> None:
        trainer = await engine.create_trainer(contract.model, contract.lora)
        batch = make_batch(contract, 1)
        before = await trainer.forward(batch)
        await train(trainer, batch, AdamParams(learning_rate=0.0))
        assert near(contract, before, await trainer.forward(batch))

    run(contract, scenario)


def test_weight_decay_and_clipping_change_the_step(contract: Contract) -> None:
    async def scenario(engine: Engine) -> None:
        batch = make_batch(contract, 1)

        async def after(params: AdamParams) -> ForwardResult:
            trainer = await engine.create_trainer(contract.model, contract.lora)
            await train(trainer, batch, contract.adam)
            await train(trainer, batch, params)
            return await trainer.forward(batch)

        rate, eps = contract.descent.learning_rate, contract.descent.eps
        still = await after(AdamParams(learning_rate=0.0))
        free = await after(AdamParams(rate, beta1=0.0, beta2=0.0, eps=eps))
        clipped = await after(AdamParams(rate, beta1=0.0, beta2=0.0, eps=eps, grad_clip_norm=1e-6))
        decayed = await after(
            AdamParams(rate, beta1=0.0, beta2=0.0, eps=eps, weight_decay=0.5 / rate)
        )
        assert far(still, free) > contract.nats_tolerance
        assert far(still, clipped) < far(still, free) / 10
        assert far(free, decayed) > contract.nats_tolerance

    run(contract, scenario)


def test_equal_seeds_train_equally(contract: Contract) -> None:
    async def losses(engine: Engine, lora: LoraSpec) -> list[float]:
        trainer = await engine.create_trainer(contract.model, lora)
        return [await train(trainer, make_batch(contract, 1), contract.adam) for _ in range(3)]

    async def scenario(engine: Engine) -> None:
        first = await losses(engine, LoraSpec(contract.rank, seed=7))
        again = await losses(engine, LoraSpec(contract.rank, seed=7))
        other = await losses(engine, LoraSpec(contract.rank, seed=8))
        assert again == pytest.approx(first, abs=contract.same_tolerance * 40)
        assert other[0] == pytest.approx(first[0], abs=contract.nats_tolerance * 40)
        assert other[2] != first[2]

    run(contract, scenario)


def test_two_trainers_do_not_share_weights(contract: Contract) -> None:
    async def scenario(engine: Engine) -> None:
        batch = make_batch(contract, 1)
        one = await engine.create_trainer(contract.model, contract.lora)
        other = await engine.create_trainer(contract.model, contract.lora)
        before = await other.forward(batch)
        await train(one, batch, contract.adam)
        assert near(contract, before, await other.forward(batch))

    run(contract, scenario)
