"""An engine that computes nothing and takes its time as the Tinker service does: for measuring.

Requests travel for half of `latency_s`, wait for the next clock cycle, are worked on for
`work_share` of it, and travel back. A cycle holds at most one optimiser step. All of a request's
answer is made beforehand, so that the time and the CPU that are seen are the client's own.
"""

from __future__ import annotations

import asyncio
import functools
import math
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from openthoughts_cli.engine.base import (
    AdamParams,
    Completion,
    Datum,
    Float32Array,
    ForwardResult,
    LoraSpec,
    ModelInfo,
    OptimResult,
    SamplingParams,
)
from tests.doubles.clocks import Clock, LoopClock

__all__ = ["ClockedEngine"]

T = TypeVar("T")
_ANSWER = tuple(range(65, 97))


@dataclass(frozen=True, slots=True)
class _Queued(Generic[T]):
    arrives_s: float
    is_step: bool
    result: T
    answer: asyncio.Future[T]


class ClockedEngine:
    """See the module.

    Args:
        cycle_s: length of a clock cycle; 0: everything is answered at once.
        latency_s: of one round trip.
        sample_s: how long an answer is generated, apart from its travel.
        vocab_size: of the model, for servers in front of this engine.
    """

    kind = "clocked"
    costs_money = False
    deterministic = True

    def __init__(
        self,
        *,
        cycle_s: float = 0.0,
        latency_s: float = 0.0,
        sample_s: float = 0.0,
        work_share: float = 0.5,
        context_tokens: int = 32_768,
        clock: Clock | None = None,
    ) -> None:
        self.cycle_s = cycle_s
        self.latency_s = latency_s
        self.sample_s = sample_s
        self.work_share = work_share
        self.clock: Clock = clock or LoopClock()
        self.info = ModelInfo("clocked/model", context_tokens, hidden_size=2560)
        self.began_s: float | None = None

    def now(self) -> float:
        """Seconds since the first request: the first cycle begins with it."""
        now_s = self.clock.now()
        if self.began_s is None:
            self.began_s = now_s
        return now_s - self.began_s

    def later(self, result: T, after_s: float) -> Awaitable[T]:
        async def answer() -> T:
            await self.clock.sleep(after_s)
            return result

        return asyncio.ensure_future(answer())

    def models(self) -> Awaitable[tuple[ModelInfo, ...]]:
        return self.later((self.info,), self.latency_s)

    def describe(self, model: str, *, train: bool = False) -> Awaitable[ModelInfo]:
        return self.later(self.info, self.latency_s)

    def create_trainer(self, model: str, lora: LoraSpec) -> Awaitable[ClockedTrainer]:
        return self.later(ClockedTrainer(self), self.latency_s)

    def resume_trainer(self, state_path: str) -> Awaitable[ClockedTrainer]:
        return self.later(ClockedTrainer(self), self.latency_s)

    def create_sampler(
        self, model: str | None = None, *, sampler_path: str | None = None
    ) -> Awaitable[ClockedSampler]:
        return self.later(ClockedSampler(self), self.latency_s)

    async def close(self) -> None:
        pass

    async def __aenter__(self) -> ClockedEngine:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()


class ClockedTrainer:
    """Requests in the order of the calls, a step a cycle."""

    def __init__(self, engine: ClockedEngine) -> None:
        self.model = engine.info
        self._engine = engine
        self._queue: deque[_Queued[object]] = deque()
        self._worker: asyncio.Task[None] | None = None

    def _ask(self, result: T, *, is_step: bool = False) -> Awaitable[T]:
        engine = self._engine
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        arrives_s = engine.now() + engine.latency_s / 2
        self._queue.append(_Queued(arrives_s, is_step, result, answer))  # type: ignore[arg-type]
        if self._worker is None or self._worker.done():
            self._worker = asyncio.ensure_future(self._work())
        return answer

    async def _work(self) -> None:
        engine = self._engine
        while self._queue:
            if not engine.cycle_s:
                await asyncio.sleep(0)
                while self._queue:
                    _give(self._queue.popleft())
                return
            now_s, cycle_s = engine.now(), engine.cycle_s
            starts_s = (
                max(math.floor(now_s / cycle_s) + 1, math.ceil(self._queue[0].arrives_s / cycle_s))
                * cycle_s
            )
            await engine.clock.sleep(starts_s - now_s)
            self._cycle(starts_s)

    def _cycle(self, starts_s: float) -> None:
        """Take what has arrived, up to one step; it is answered when it was worked on."""
        engine = self._engine
        taken: list[_Queued[object]] = []
        while self._queue and self._queue[0].arrives_s <= starts_s:
            taken.append(self._queue.popleft())
            if taken[-1].is_step:
                break
        ends_s = starts_s + engine.cycle_s * engine.work_share + engine.latency_s / 2

        async def answer() -> None:
            await engine.clock.sleep(ends_s - engine.now())
            for request in taken:
                _give(request)

        _running.add(task := asyncio.ensure_future(answer()))
        task.add_done_callback(_running.discard)

    def forward(self, batch: Sequence[Datum]) -> Awaitable[ForwardResult]:
        return self._ask(_scored(batch))

    def forward_backward(self, batch: Sequence[Datum]) -> Awaitable[ForwardResult]:
        return self._ask(_scored(batch))

    def optim_step(self, params: AdamParams) -> Awaitable[OptimResult]:
        return self._ask(OptimResult(), is_step=True)

    def save_state(self, name: str, *, ttl_s: int | None = None) -> Awaitable[str]:
        return self._ask(f"clocked://weights/{name}")

    def save_sampler(self, name: str, *, ttl_s: int | None = None) -> Awaitable[str]:
        return self._ask(f"clocked://sampler_weights/{name}")


_running: set[asyncio.Future[None]] = set()


def _give(request: _Queued[object]) -> None:
    if not request.answer.done():
        request.answer.set_result(request.result)


@functools.cache
def _ones(length: int) -> Float32Array:
    return np.full(length, -1.0, dtype=np.float32)


def _scored(batch: Sequence[Datum]) -> ForwardResult:
    """A nat a token, whatever is asked; arrays of one length are shared."""
    return ForwardResult(tuple(_ones(datum.input_tokens.size) for datum in batch), 1.0)


class ClockedSampler:
    """Answers of a fixed text after a fixed time."""

    def __init__(self, engine: ClockedEngine) -> None:
        self.model = engine.info
        self._engine = engine

    def _later(self, make: Callable[[], T]) -> Awaitable[T]:
        return self._engine.later(make(), self._engine.latency_s + self._engine.sample_s)

    def sample(
        self, prompt: Sequence[int], params: SamplingParams
    ) -> Awaitable[tuple[Completion, ...]]:
        tokens = (*_ANSWER, *params.stop[:1])
        return self._later(lambda: (Completion(tokens, "stop"),) * params.n)

    def logprobs(self, tokens: Sequence[int]) -> Awaitable[tuple[float | None, ...]]:
        return self._later(lambda: (None, *(-1.0,) * (len(tokens) - 1)))
