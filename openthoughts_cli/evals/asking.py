"""Sending an evaluation's requests: which samples are owed, with which seed, and waiting for money.

Seeds: a request's seed is a stable hash of (settings.seed, problem id, index of its first missing
sample), so that every problem has its own, a continued request does not repeat the recorded
samples, and two checkpoints are asked with the same seeds. Where the service does not honour seeds
the samples of one request still differ, because n is asked for at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from openthoughts_cli.config.benchmark import BenchmarkConfig
from openthoughts_cli.engine.base import Completion, Sampler, SamplingParams
from openthoughts_cli.errors import BudgetError
from openthoughts_cli.problems.problem import Problem, stable_hash

__all__ = ["Ask", "Requests", "sampling_seed"]


class Ask(NamedTuple):
    """What is owed for one problem: the indices of its missing samples."""

    problem: Problem
    prompt: tuple[int, ...]
    missing: tuple[int, ...]


def sampling_seed(seed: int, problem_id: str, first_sample: int) -> int:
    """The seed of the request whose first sample has that index; 31 bits."""
    return stable_hash("sample", seed, problem_id, first_sample) & 0x7FFFFFFF


class Requests:
    """The requests to one sampler, by one benchmark's settings."""

    def __init__(self, sampler: Sampler, settings: BenchmarkConfig, stop: tuple[int, ...]) -> None:
        self._sampler = sampler
        self._settings = settings
        self._stop = stop
        self._in_flight = 0
        self._returns = 0
        self._returned = asyncio.Condition()

    async def send(
        self, prompt: tuple[int, ...], *, n: int, seed: int, wait: Callable[[], bool]
    ) -> tuple[Completion, ...]:
        """Send one request; when money is only reserved elsewhere, wait until it is settled.

        Args:
            wait: whether to wait at all; asked when there is no money for the request.

        Raises:
            BudgetError: the money does not suffice, whatever comes back.
            OtError: as the sampler does.
        """
        room = self._sampler.model.context_tokens - len(prompt)
        params = SamplingParams(
            max_tokens=min(self._settings.max_tokens, room),
            n=n,
            temperature=self._settings.temperature,
            top_p=self._settings.top_p,
            seed=seed,
            stop=self._stop,
        )
        while True:
            try:
                answer = self._sampler.sample(prompt, params)
                break
            except BudgetError:
                if self._in_flight == 0 or not wait():
                    raise
                seen = self._returns
                async with self._returned:
                    await self._returned.wait_for(lambda seen=seen: self._returns != seen)
        self._in_flight += 1
        try:
            return await _shielded(answer)
        finally:
            self._in_flight -= 1
            self._returns += 1
            async with self._returned:
                self._returned.notify_all()


async def _shielded(request: Awaitable[tuple[Completion, ...]]) -> tuple[Completion, ...]:
    """Await a request without ever cancelling it: a queued request is let go to its end."""
    future = asyncio.ensure_future(request)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        future.add_done_callback(lambda done: done.cancelled() or done.exception())
        raise
