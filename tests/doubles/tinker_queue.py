"""What a Tinker server keeps: promises, sessions, runs whose requests have an order, saved weights."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from openthoughts_cli.engine.base import Engine, LoraSpec, ModelInfo, Sampler, Trainer
from openthoughts_cli.errors import ConflictError, EngineError

__all__ = ["Outcome", "Promise", "Run", "SamplingSession", "Saved", "Session"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a request ended: a JSON answer, a protobuf answer, or the user's fault."""

    json: dict[str, Any] | None = None
    proto: bytes | None = None
    error: str | None = None


class Promise:
    """A request on its way. `start` is called at once, in order; its result is awaited in a task.

    `change` is what it does to the weights, without whose they are and where in the order: equal
    for equal work, None for a request that changes nothing.
    """

    def __init__(
        self,
        request_id: str,
        digest: bytes,
        start: Callable[[], Awaitable[Outcome]],
        *,
        change: bytes | None = None,
    ) -> None:
        self.request_id = request_id
        self.digest = digest
        self.change = change
        self._start = start
        self._done = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.outcome: Outcome | None = None

    def begin(self) -> None:
        """Call `start` now, so that the request takes its place in the engine's order."""
        try:
            answer = self._start()
        except (EngineError, ConflictError, ValueError) as error:
            self._end(Outcome(error=str(error)))
        else:
            self._task = asyncio.get_running_loop().create_task(self._follow(answer))

    async def _follow(self, answer: Awaitable[Outcome]) -> None:
        try:
            self._end(await answer)
        except (EngineError, ConflictError, ValueError) as error:
            self._end(Outcome(error=str(error)))

    def _end(self, outcome: Outcome) -> None:
        self.outcome = outcome
        self._done.set()

    async def wait(self, seconds: float) -> Outcome | None:
        """The outcome, waited for at most `seconds`; None when it is still to come."""
        try:
            await asyncio.wait_for(self._done.wait(), seconds)
        except TimeoutError:
            return None
        return self.outcome


@dataclass
class Session:
    session_id: str
    heard_at: float
    heartbeats: int = 0
    ended: str | None = None
    """How it ended: as the client said (success, errored, interrupted), or lapsed."""


@dataclass
class Run:
    """A training run: its requests are done in the order of their sequence ids, without gaps.

    `changes` is what was done to its weights, in order: one entry a time, were it done twice.
    """

    model_id: str
    info: ModelInfo
    lora: LoraSpec
    trainer: Trainer
    next_seq: int = 1
    promises: dict[int, Promise] = field(default_factory=dict[int, Promise])
    changes: list[bytes] = field(default_factory=list[bytes])
    resumed_from: str | None = None

    def accept(self, seq_id: int, promise: Promise) -> Promise:
        """Take a request in; begin it, and those that waited for it, when its turn is there.

        The same request sent again is the same promise.

        Raises:
            ValueError: the sequence id cannot be, or another request has it.
        """
        known = self.promises.get(seq_id)
        if known is not None:
            if known.digest != promise.digest:
                raise ValueError(f"another request has seq_id {seq_id} of {self.model_id}")
            return known
        if seq_id < 1:
            raise ValueError(f"seq_id {seq_id} of {self.model_id} is out of range")
        self.promises[seq_id] = promise
        while self.next_seq in self.promises:
            begun = self.promises[self.next_seq]
            if begun.change is not None:
                self.changes.append(begun.change)
            begun.begin()
            self.next_seq += 1
        return promise


@dataclass
class SamplingSession:
    sampling_session_id: str
    info: ModelInfo
    sampler: Sampler
    model_path: str | None
    digest: bytes
    asked: list[str] = field(default_factory=list[str])
    told: list[str] = field(default_factory=list[str])
    """Those of `asked` that a poll for finished requests has named."""


@dataclass(frozen=True)
class Saved:
    """Weights behind a tinker:// path. `expires_at` is in the server's time, in seconds."""

    engine_path: str
    base_model: str
    lora: LoraSpec
    trains: bool
    expires_at: float | None = None

    async def open_sampler(self, engine: Engine) -> Sampler:
        return await engine.create_sampler(sampler_path=self.engine_path)

    async def open_trainer(self, engine: Engine) -> Trainer:
        return await engine.resume_trainer(self.engine_path)
