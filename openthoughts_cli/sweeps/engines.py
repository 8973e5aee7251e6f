"""One engine for all cells that name the same, and one gate before it for all their requests."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from openthoughts_cli.config.engine import EngineConfig
from openthoughts_cli.digests import digest_value
from openthoughts_cli.engine import open_engine
from openthoughts_cli.engine.base import (
    AdamParams,
    Completion,
    Datum,
    Engine,
    ForwardResult,
    ModelInfo,
    OptimResult,
    Sampler,
    SamplingParams,
    Trainer,
)
from openthoughts_cli.engine.wrapped import WrappedEngine
from openthoughts_cli.events import Listener
from openthoughts_cli.places import runs_dir
from openthoughts_cli.training.job import OpenEngine

__all__ = ["EnginePool", "Gate"]

T = TypeVar("T")


class Gate:
    """Lets at most so many requests be under way at once; the others wait in line.

    Training has a line of its own that goes first, so that a thousand answers of one cell's
    evaluation do not hold up the steps of the others. Within a line the order of the calls holds,
    as the engine port demands.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._under_way = 0
        self._training: deque[Callable[[], None]] = deque()
        self._sampling: deque[Callable[[], None]] = deque()
        self.most_under_way = 0

    def send(self, request: Callable[[], Awaitable[T]], *, trains: bool) -> Awaitable[T]:
        """Call `request` now or as soon as there is room; its result, awaitable."""
        line = self._training if trains else self._sampling
        if self._under_way < self._most and not line:
            return self._start(request)
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        def start() -> None:
            if answer.cancelled() and not trains:
                return  # nobody waits for it any more: it would be paid for nothing
            sent = self._start(request)
            sent.add_done_callback(lambda done: _hand_over(done, answer))

        line.append(start)
        return answer

    def _start(self, request: Callable[[], Awaitable[T]]) -> asyncio.Future[T]:
        self._under_way += 1
        self.most_under_way = max(self.most_under_way, self._under_way)
        sent = asyncio.ensure_future(_called(request))
        sent.add_done_callback(self._ended)
        return sent

    def _ended(self, _: Any) -> None:
        self._under_way -= 1
        while self._under_way < self._most and (self._training or self._sampling):
            (self._training or self._sampling).popleft()()


def _called(request: Callable[[], Awaitable[T]]) -> Awaitable[T]:
    """The request, sent at this very call; one that is refused at once fails when awaited."""
    try:
        return request()
    except Exception as error:  # noqa: BLE001 - handed on to whoever awaits it
        refused: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        refused.set_exception(error)
        return refused


def _hand_over(done: asyncio.Future[T], answer: asyncio.Future[T]) -> None:
    if answer.cancelled():
        if not done.cancelled():
            done.exception()  # looked at, though nobody waits for it any more
    elif done.cancelled():
        answer.cancel()
    elif (error := done.exception()) is not None:
        answer.set_exception(error)
    else:
        answer.set_result(done.result())


class _GatedTrainer:
    def __init__(self, inner: Trainer, gate: Gate) -> None:
        self._inner = inner
        self._gate = gate

    @property
    def model(self) -> ModelInfo:
        return self._inner.model

    def forward(self, batch: Sequence[Datum]) -> Awaitable[ForwardResult]:
        return self._gate.send(lambda: self._inner.forward(batch), trains=True)

    def forward_backward(self, batch: Sequence[Datum]) -> Awaitable[ForwardResult]:
        return self._gate.send(lambda: self._inner.forward_backward(batch), trains=True)

    def optim_step(self, params: AdamParams) -> Awaitable[OptimResult]:
        return self._gate.send(lambda: self._inner.optim_step(params), trains=True)

    def save_state(self, name: str, *, ttl_s: int | None = None) -> Awaitable[str]:
        return self._gate.send(lambda: self._inner.save_state(name, ttl_s=ttl_s), trains=True)

    def save_sampler(self, name: str, *, ttl_s: int | None = None) -> Awaitable[str]:
        return self._gate.send(lambda: self._inner.save_sampler(name, ttl_s=ttl_s), trains=True)


class _GatedSampler:
    def __init__(self, inner: Sampler, gate: Gate) -> None:
        self._inner = inner
        self._gate = gate

    @property
    def model(self) -> ModelInfo:
        return self._inner.model

    def sample(
        self, prompt: Sequence[int], params: SamplingParams
    ) -> Awaitable[tuple[Completion, ...]]:
        return self._gate.send(lambda: self._inner.sample(prompt, params), trains=False)

    def logprobs(self, tokens: Sequence[int]) -> Awaitable[tuple[float | None, ...]]:
        return self._gate.send(lambda: self._inner.logprobs(tokens), trains=False)


class _LentEngine(WrappedEngine):
    """An engine of the pool, as one cell sees it: closing it closes nothing."""

    def __init__(self, inner: Engine, gate: Gate) -> None:
        super().__init__(inner)
        self._gate = gate

    def wrap_trainer(self, trainer: Trainer) -> Trainer:
        return _GatedTrainer(trainer, self._gate)

    def wrap_sampler(self, sampler: Sampler) -> Sampler:
        return _GatedSampler(sampler, self._gate)

    async def close(self) -> None:
        """The pool closes it."""

    async def __aenter__(self) -> Engine:
        return self

    async def __aexit__(self, *exc: object) -> None:
        """The pool closes it."""


class EnginePool:
    """Opens an engine at its first use, lends it, and closes all at the end of its block.

    Args:
        most_requests: of all cells together, at one engine.
        listener: hears what the engines tell.
        opens: how an engine is opened.
    """

    def __init__(
        self, most_requests: int, listener: Listener, opens: OpenEngine = open_engine
    ) -> None:
        self._listener = listener
        self._opens = opens
        self._engines: dict[str, Engine] = {}
        self._opened = contextlib.AsyncExitStack()
        self._most = most_requests
        self.gates: dict[str, Gate] = {}

    async def engine(self, config: EngineConfig) -> Engine:
        """The engine that a resolved config names."""
        key = digest_value(config.identity())
        if key not in self._engines:
            opened = self._opens(
                config, store=runs_dir() / ".draft" / "checkpoints", listener=self._listener
            )
            self._engines[key] = await self._opened.enter_async_context(opened)
            self.gates[key] = Gate(self._most)
        return self._engines[key]

    def lend(self, config: EngineConfig, *, store: Path, listener: Listener) -> Engine:
        """An engine that is open already, for one cell. As `engine.open_engine`.

        Raises:
            KeyError: it was not opened before.
        """
        del store, listener  # a remote engine stores nothing here; the pool's listener hears it
        key = digest_value(config.identity())
        return _LentEngine(self._engines[key], self.gates[key])

    async def __aenter__(self) -> EnginePool:
        return self

    async def __aexit__(self, *exc: Any) -> None:
        self._engines.clear()
        await self._opened.__aexit__(*exc)  # all of them, though one should fail to close
