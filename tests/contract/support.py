"""What the contract's tests share: the engine under test, its batches, and comparisons."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from openthoughts_cli.engine.base import (
    AdamParams,
    Completion,
    Datum,
    Engine,
    ForwardResult,
    LoraSpec,
    Sampler,
    SamplingParams,
    Trainer,
)

__all__ = [
    "Contract",
    "assert_scores_as",
    "far",
    "make_batch",
    "make_datum",
    "near",
    "run",
    "sample",
    "scaled",
    "scored_datum",
    "train",
]

T = TypeVar("T")


@dataclass(frozen=True)
class Contract:
    """An engine under test.

    `open_engine` makes a fresh engine that sees the states which others of this contract saved.
    `nats_tolerance` is how far two log-probabilities of one token may differ between the training
    and the sampling path; `same_tolerance` between two runs of the same requests (0: bit for bit).
    """

    open_engine: Callable[[], Engine]
    model: str
    vocab_size: int
    context_tokens: int
    untrainable_model: str | None = None
    nats_tolerance: float = 1e-5
    same_tolerance: float = 0.0
    learning_rate: float = 0.05
    rank: int = 4

    @property
    def lora(self) -> LoraSpec:
        return LoraSpec(rank=self.rank, seed=7)

    @property
    def adam(self) -> AdamParams:
        return AdamParams(learning_rate=self.learning_rate)

    @property
    def plain(self) -> AdamParams:
        """No momentum: a step without gradient moves nothing."""
        return AdamParams(learning_rate=self.learning_rate, beta1=0.0, beta2=0.0)

    @property
    def descent(self) -> AdamParams:
        """Gradient descent in Adam's clothes: a huge eps makes the step linear in the gradient."""
        return AdamParams(learning_rate=self.learning_rate * 100, beta1=0.0, beta2=0.0, eps=1e2)


def run(contract: Contract, scenario: Callable[[Engine], Awaitable[T]]) -> T:
    """The scenario's result on a fresh engine, which is closed afterwards."""

    async def main() -> T:
        async with contract.open_engine() as engine:
            return await scenario(engine)

    return asyncio.run(main())


def make_datum(contract: Contract, seed: int, length: int = 12) -> Datum:
    """A sequence with a pattern to learn; its first third carries no loss."""
    rng = np.random.default_rng(seed)
    start, stride = rng.integers(0, contract.vocab_size, 2)
    tokens = (start + (1 + stride % 5) * np.arange(length + 1)) % contract.vocab_size
    weights = np.ones(length, dtype=np.float32)
    weights[: length // 3] = 0.0
    return Datum(tokens[:-1].astype(np.int64), tokens[1:].astype(np.int64), weights)


def make_batch(contract: Contract, seed: int, size: int = 3) -> list[Datum]:
    return [make_datum(contract, seed * 100 + index) for index in range(size)]


def scaled(batch: Sequence[Datum], factor: float) -> list[Datum]:
    return [
        Datum(datum.input_tokens, datum.target_tokens, datum.weights * np.float32(factor))
        for datum in batch
    ]


async def train(trainer: Trainer, batch: Sequence[Datum], params: AdamParams) -> float:
    result = trainer.forward_backward(batch)
    step = trainer.optim_step(params)
    loss = (await result).loss_sum
    await step
    return loss


def near(contract: Contract, first: ForwardResult, second: ForwardResult) -> bool:
    """Whether two passes said the same, as exactly as this engine repeats itself."""
    pairs = zip(first.logprobs, second.logprobs, strict=True)
    return all(
        np.allclose(one, other, rtol=0.0, atol=contract.same_tolerance) for one, other in pairs
    )


def far(first: ForwardResult, second: ForwardResult) -> float:
    """The largest difference in nats between two passes over the same batch."""
    pairs = zip(first.logprobs, second.logprobs, strict=True)
    return max(float(np.abs(one - other).max()) for one, other in pairs)


def scored_datum(contract: Contract) -> Datum:
    return make_datum(contract, 1, 10)


async def assert_scores_as(contract: Contract, sampler: Sampler, result: ForwardResult) -> None:
    datum = scored_datum(contract)
    tokens = [*datum.input_tokens.tolist(), int(datum.target_tokens[-1])]
    scored = await sampler.logprobs(tokens)
    assert len(scored) == len(tokens)
    assert scored[0] is None
    given = np.array([value for value in scored[1:] if value is not None])
    assert given.shape == result.logprobs[0].shape
    assert np.abs(given - result.logprobs[0]).max() <= contract.nats_tolerance


async def sample(sampler: Sampler, params: SamplingParams) -> tuple[Completion, ...]:
    return await sampler.sample([1, 2, 3], params)
