"""The contract's samples and scores."""

from __future__ import annotations

import asyncio

import pytest

from openthoughts_cli.engine.base import Engine, SamplingParams
from openthoughts_cli.errors import OtError
from tests.contract.support import (
    Contract,
    assert_scores_as,
    make_batch,
    run,
    sample,
    scored_datum,
    train,
)

__all__ = [
    "test_a_context_that_fills_up_ends_the_answer",
    "test_a_fresh_trainer_starts_from_the_base_model",
    "test_a_sampler_needs_exactly_one_source",
    "test_a_seed_repeats_a_request",
    "test_a_stop_token_ends_the_answer_and_is_part_of_it",
    "test_answers_of_one_request_differ",
    "test_given_tokens_score_as_in_forward",
    "test_greedy_by_temperature_by_top_k_and_by_top_p_agree",
    "test_max_tokens_ends_the_answer",
    "test_sampled_logprobs_are_those_of_the_model",
]


def test_a_fresh_trainer_starts_from_the_base_model(contract: Contract) -> None:
    async def scenario(engine: Engine) -> None:
        trainer = await engine.create_trainer(contract.model, contract.lora)
        sampler = await engine.create_sampler(contract.model)
        await assert_scores_as(contract, sampler, await trainer.forward([scored_datum(contract)]))

    run(contract, scenario)


def test_given_tokens_score_as_in_forward(contract: Contract) -> None:
    async def scenario(engine: Engine) -> None:
        trainer = await engine.create_trainer(contract.model, contract.lora)
        for seed in (1, 2, 3):
            await train(trainer, make_batch(contract, seed), contract.adam)
        path = await trainer.save_sampler("scores")
        sampler = await engine.create_sampler(sampler_path=path)
        await assert_scores_as(contract, sampler, await trainer.forward([scored_datum(contract)]))

    run(contract, scenario)


def test_max_tokens_ends_the_answer(contract: Contract) -> None:
    async def scenario(engine: Engine) -> None:
        sampler = await engine.create_sampler(contract.model)
        answers = await sample(sampler, SamplingParams(max_tokens=5, n=3, seed=1))
        assert len(answers) == 3
        for answer in answers:
            assert len(answer.tokens) == 5
            assert answer.finish_reason == "length"
            assert all(0 <= token < contract.vocab_size for token in answer.tokens)
            assert answer.logprobs is None or len(answer.logprobs) == 5

    run(contract, scenario)


def test_a_stop_token_ends_the_answer_and_is_part_of_it(contract: Contract) -> None:
    async def scenario(engine: Engine) -> None:
        sampler = await engine.create_sampler(contract.model)
        params = SamplingParams(max_tokens=6, temperature=0.0)
        (whole,) = await sample(sampler, params)
        stop = whole.tokens[2]
        cut = whole.tokens[: whole.tokens.index(stop) + 1]
        (answer,) = await sample(
            sampler, SamplingParams(max_tokens=6, temperature=0.0, stop=(stop,))
        )
        assert answer.tokens == cut
        assert answer.finish_reason == "stop"
        everything = tuple(range(contract.vocab_size))
        answers = await sample(sampler, SamplingParams(max_tokens=6, n=2, stop=everything))
        assert [(len(each.tokens), each.finish_reason) for each in answers] == [(1, "stop")] * 2

    run(contract, scenario)


def test_greedy_by_temperature_by_top_k_and_by_top_p_agree(contract: Contract) -> None:
    async def scenario(engine: Engine) -> None:
        sampler = await engine.create_sampler(contract.model)
        greedy = await sample(sampler, SamplingParams(max_tokens=6, temperature=0.0))
        by_top_k = await sample(sampler, SamplingParams(max_tokens=6, top_k=1))
        by_top_p = await sample(sampler, SamplingParams(max_tokens=6, top_p=1e-9))
        assert greedy[0].tokens == by_top_k[0].tokens == by_top_p[0].tokens
        best = (await sampler.logprobs([1, 2, 3, greedy[0].tokens[0]]))[-1]
        others = await asyncio.gather(*[sampler.logprobs([1, 2, 3, token]) for token in range(8)])
        assert best is not None
        assert all(other[-1] is not None and other[-1] <= best + 1e-6 for other in others)

    run(contract, scenario)


def test_a_seed_repeats_a_request(contract: Contract) -> None:
    async def scenario(engine: Engine) -> None:
        sampler = await engine.create_sampler(contract.model)
        params = SamplingParams(max_tokens=8, n=2, seed=11)
        first, again = await sample(sampler, params), await sample(sampler, params)
        other = await sample(sampler, SamplingParams(max_tokens=8, n=2, seed=12))
        assert [answer.tokens for answer in first] == [answer.tokens for answer in again]
        assert [answer.tokens for answer in first] != [answer.tokens for answer in other]

    run(contract, scenario)


def test_answers_of_one_request_differ(contract: Contract) -> None:
    async def scenario(engine: Engine) -> None:
        sampler = await engine.create_sampler(contract.model)
        for seed in (11, None):
            answers = await sample(sampler, SamplingParams(max_tokens=12, n=4, seed=seed))
            assert len({answer.tokens for answer in answers}) > 1

    run(contract, scenario)


def test_sampled_logprobs_are_those_of_the_model(contract: Contract) -> None:
    async def scenario(engine: Engine) -> None:
        sampler = await engine.create_sampler(contract.model)
        for temperature, top_p, top_k in ((1.0, 1.0, 0), (0.7, 0.8, 5)):
            params = SamplingParams(6, 1, temperature, top_p, top_k, seed=3)
            (answer,) = await sample(sampler, params)
            if answer.logprobs is None:
                continue
            scored = await sampler.logprobs([1, 2, 3, *answer.tokens])
            for given, expected in zip(answer.logprobs, scored[3:], strict=True):
                assert expected is not None
                assert given == pytest.approx(expected, abs=contract.nats_tolerance)

    run(contract, scenario)


def test_a_context_that_fills_up_ends_the_answer(contract: Contract) -> None:
    async def scenario(engine: Engine) -> None:
        sampler = await engine.create_sampler(contract.model)
        prompt = [1] * (contract.context_tokens - 3)
        (answer,) = await sampler.sample(prompt, SamplingParams(max_tokens=50, seed=1))
        assert len(answer.tokens) == 3
        assert answer.finish_reason == "length"

    run(contract, scenario)


def test_a_sampler_needs_exactly_one_source(contract: Contract) -> None:
    async def scenario(engine: Engine) -> None:
        with pytest.raises((ValueError, OtError)):
            await engine.create_sampler()
        with pytest.raises((ValueError, OtError)):
            await engine.create_sampler(contract.model, sampler_path="some/path")

    run(contract, scenario)
