"""An in-memory engine: the port's whole behaviour around a tiny real language model.

It stands in for any engine in tests. `cycle_s` makes it a service with clock cycles (one optimiser
step at most in each, and only what was queued when the cycle began); `latency_s` delays samples.
With `VirtualClock` neither costs real time. `requests` records every call in order.
"""

from __future__ import annotations

import asyncio
import itertools
import math
from collections import deque
from collections.abc import Awaitable, Callable, Generator, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np

from openthoughts_cli.engine.base import (
    AdamParams,
    Completion,
    Datum,
    ForwardResult,
    LoraSpec,
    ModelInfo,
    OptimResult,
    SamplingParams,
)
from openthoughts_cli.errors import ConflictError, EngineError, ModelError
from tests.doubles.clocks import Clock, LoopClock
from tests.doubles.memory_model import Adapter, BaseModel, draw

__all__ = ["MemoryEngine", "MemorySampler", "MemoryTrainer", "Request"]

T = TypeVar("T")

DEFAULT_MODELS = (
    ModelInfo("tiny/bigram", 64),
    ModelInfo("tiny/bigram-long", 4096),
    ModelInfo("tiny/frozen", 64, trainable=False),
)


@dataclass(frozen=True, slots=True)
class Request:
    """One call, in the order of the calls: `kind` is the method's name, `owner` whose it was."""

    index: int
    kind: str
    owner: str
    detail: Any = None


class _Answer(Generic[T]):
    """What a request returns: awaiting it may be given up, the request goes on."""

    def __init__(self, future: asyncio.Future[T]) -> None:
        self._future = future

    def __await__(self) -> Generator[Any, None, T]:
        return asyncio.shield(self._future).__await__()


class MemoryEngine:
    """See the module. `store` holds saved states; pass a shared one to outlive the engine."""

    def __init__(
        self,
        models: Sequence[ModelInfo] = DEFAULT_MODELS,
        *,
        vocab_size: int = 32,
        store: MutableMapping[str, bytes] | None = None,
        cycle_s: float = 0.0,
        latency_s: float = 0.0,
        clock: Clock | None = None,
        seed: int = 0,
        kind: str = "memory",
        costs_money: bool = False,
    ) -> None:
        self.kind = kind
        self.costs_money = costs_money
        self.deterministic = True
        self.vocab_size = vocab_size
        self.cycle_s = cycle_s
        self.latency_s = latency_s
        self.clock: Clock = clock or LoopClock()
        self.store: MutableMapping[str, bytes] = {} if store is None else store
        self.requests: list[Request] = []
        self.closed = False
        self._models = {info.name: info for info in models}
        self._bases: dict[str, BaseModel] = {}
        self._seed = seed
        self._drawn = itertools.count()
        self._runs = 0
        self._running: set[asyncio.Task[None]] = set()

    def note(self, kind: str, owner: str, detail: Any = None) -> None:
        """Add a call to `requests`; refuse it once the engine is closed."""
        if self.closed:
            raise EngineError("the engine is closed")
        self.requests.append(Request(len(self.requests), kind, owner, detail))

    def base(self, name: str) -> BaseModel:
        if name not in self._bases:
            self._bases[name] = BaseModel(name, self.vocab_size)
        return self._bases[name]

    def later(self, work: Callable[[], T], wait: Callable[[], Awaitable[None]]) -> Awaitable[T]:
        """An answer that `work` gives once `wait` is over."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        async def run() -> None:
            await wait()
            _settle(future, work)

        task = loop.create_task(run())
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return _Answer(future)

    def random(self, seed: int | None, sample: int) -> np.random.Generator:
        start = [1, seed] if seed is not None else [2, self._seed, next(self._drawn)]
        return np.random.default_rng([*start, sample])

    def next_run_id(self) -> str:
        """A run's name that no run before had, in this engine or in its store."""
        stored = (path.split("/")[2] for path in self.store)
        self._runs = 1 + max([self._runs, *(int(run.removeprefix("run-")) for run in stored)])
        return f"run-{self._runs}"

    def _info(self, model: str) -> ModelInfo:
        if model not in self._models:
            raise ModelError(
                f"the model {model!r} is not served", hint=f"served: {', '.join(self._models)}"
            )
        return self._models[model]

    def _load(self, path: str, kind: str) -> tuple[Adapter, dict[str, Any]]:
        if path not in self.store or f"/{kind}/" not in path:
            raise ModelError(f"there is no {kind} at {path}")
        return Adapter.from_bytes(self.store[path])

    async def _latency(self) -> None:
        if self.latency_s:
            await self.clock.sleep(self.latency_s)

    def models(self) -> Awaitable[tuple[ModelInfo, ...]]:
        self.note("models", "engine")
        return self.later(lambda: tuple(self._models.values()), self._latency)

    def describe(self, model: str, *, train: bool = False) -> Awaitable[ModelInfo]:
        def find() -> ModelInfo:
            info = self._info(model)
            if train and not info.trainable:
                raise ModelError(f"the model {model!r} cannot be trained")
            return info

        return self.later(find, self._latency)

    def create_trainer(self, model: str, lora: LoraSpec) -> Awaitable[MemoryTrainer]:
        self.note("create_trainer", "engine", (model, lora))

        def create() -> MemoryTrainer:
            info = self._info(model)
            if not info.trainable:
                raise ModelError(f"the model {model!r} cannot be trained")
            return MemoryTrainer(self, info, Adapter.fresh(self.base(model), lora))

        return self.later(create, self._latency)

    def resume_trainer(self, state_path: str) -> Awaitable[MemoryTrainer]:
        self.note("resume_trainer", "engine", state_path)

        def resume() -> MemoryTrainer:
            adapter, about = self._load(state_path, "weights")
            return MemoryTrainer(self, self._info(about["model"]), adapter)

        return self.later(resume, self._latency)

    def create_sampler(
        self, model: str | None = None, *, sampler_path: str | None = None
    ) -> Awaitable[MemorySampler]:
        if (model is None) == (sampler_path is None):
            raise ValueError("give a model or a sampler_path, and not both")
        self.note("create_sampler", "engine", model or sampler_path)

        def create() -> MemorySampler:
            if model is not None:
                return MemorySampler(self, self._info(model), None)
            adapter, about = self._load(str(sampler_path), "sampler_weights")
            return MemorySampler(self, self._info(about["model"]), adapter)

        return self.later(create, self._latency)

    async def close(self) -> None:
        self.closed = True
        for task in tuple(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def __aenter__(self) -> MemoryEngine:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()


def _settle(future: asyncio.Future[T], work: Callable[[], T]) -> None:
    try:
        result = work()
    except (EngineError, ConflictError) as error:
        future.set_exception(error)
        future.exception()  # a failure that nobody awaits is no news for the loop's log
    else:
        future.set_result(result)


class MemoryTrainer:
    """The weights of one run; requests run strictly in the order of the calls."""

    def __init__(self, engine: MemoryEngine, info: ModelInfo, adapter: Adapter) -> None:
        self.model = info
        self.id = engine.next_run_id()
        self._engine = engine
        self._base = engine.base(info.name)
        self._adapter = adapter
        self._queue: deque[tuple[str, Callable[[], None]]] = deque()
        self._worker: asyncio.Task[None] | None = None

    def _enqueue(self, kind: str, work: Callable[[], T], detail: Any = None) -> Awaitable[T]:
        self._engine.note(kind, self.id, detail)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._queue.append((kind, lambda: _settle(future, work)))
        if self._worker is None or self._worker.done():
            self._worker = loop.create_task(self._work())
        return _Answer(future)

    async def _work(self) -> None:
        while self._queue:
            await self._next_cycle()
            for _ in range(len(self._queue)):  # what comes during this cycle waits for the next
                kind, work = self._queue.popleft()
                work()
                if kind == "optim_step" and self._engine.cycle_s:
                    break

    async def _next_cycle(self) -> None:
        cycle_s, clock = self._engine.cycle_s, self._engine.clock
        if cycle_s:
            now_s = clock.now()
            await clock.sleep((math.floor(now_s / cycle_s) + 1) * cycle_s - now_s)
        else:
            await asyncio.sleep(0)

    def _check(self, batch: Sequence[Datum]) -> tuple[Datum, ...]:
        if not batch:
            raise ValueError("an empty batch")
        longest = max(datum.input_tokens.size for datum in batch)
        if longest > self.model.context_tokens:
            raise ModelError(
                f"a sequence of {longest} tokens does not fit into the context of "
                f"{self.model.context_tokens} tokens of {self.model.name}"
            )
        return tuple(batch)

    def _forward(self, batch: tuple[Datum, ...], *, backward: bool) -> ForwardResult:
        logprobs = tuple(
            self._base.score(datum.input_tokens, datum.target_tokens, self._adapter)
            for datum in batch
        )
        if backward:
            for datum in batch:
                self._adapter.add_gradient(self._base, datum)
        sums = (
            float(-(given.astype(np.float64) * datum.weights.astype(np.float64)).sum())
            for given, datum in zip(logprobs, batch, strict=True)
        )
        return ForwardResult(logprobs, math.fsum(sums))

    def forward(self, batch: Sequence[Datum]) -> Awaitable[ForwardResult]:
        data = self._check(batch)
        return self._enqueue("forward", lambda: self._forward(data, backward=False), data)

    def forward_backward(self, batch: Sequence[Datum]) -> Awaitable[ForwardResult]:
        data = self._check(batch)
        return self._enqueue("forward_backward", lambda: self._forward(data, backward=True), data)

    def optim_step(self, params: AdamParams) -> Awaitable[OptimResult]:
        return self._enqueue("optim_step", lambda: OptimResult(self._adapter.step(params)), params)

    def _save(self, kind: str, name: str, *, optimizer: bool) -> str:
        path = f"memory://{self.id}/{kind}/{name}"
        if path in self._engine.store:
            raise ConflictError(f"{path} exists already")
        about = {"model": self.model.name}
        self._engine.store[path] = self._adapter.to_bytes(about, optimizer=optimizer)
        return path

    def save_state(self, name: str, *, ttl_s: int | None = None) -> Awaitable[str]:
        return self._enqueue(
            "save_state", lambda: self._save("weights", name, optimizer=True), (name, ttl_s)
        )

    def save_sampler(self, name: str, *, ttl_s: int | None = None) -> Awaitable[str]:
        return self._enqueue(
            "save_sampler",
            lambda: self._save("sampler_weights", name, optimizer=False),
            (name, ttl_s),
        )


class MemorySampler:
    """Frozen weights that answer."""

    def __init__(self, engine: MemoryEngine, info: ModelInfo, adapter: Adapter | None) -> None:
        self.model = info
        self._engine = engine
        self._base = engine.base(info.name)
        self._adapter = adapter

    async def _wait(self) -> None:
        if self._engine.latency_s:
            await self._engine.clock.sleep(self._engine.latency_s)
        else:
            await asyncio.sleep(0)

    def _check(self, tokens: Sequence[int], room: int) -> tuple[int, ...]:
        if not tokens:
            raise ValueError("an empty prompt")
        if len(tokens) + room > self.model.context_tokens:
            raise ModelError(
                f"a prompt of {len(tokens)} tokens leaves no room in the context of "
                f"{self.model.context_tokens} tokens of {self.model.name}"
            )
        return tuple(tokens)

    def sample(
        self, prompt: Sequence[int], params: SamplingParams
    ) -> Awaitable[tuple[Completion, ...]]:
        tokens = self._check(prompt, 1)
        self._engine.note("sample", self.model.name, (tokens, params))
        streams = [self._engine.random(params.seed, index) for index in range(params.n)]
        return self._engine.later(
            lambda: tuple(self._complete(tokens, params, rng) for rng in streams), self._wait
        )

    def _complete(
        self, prompt: tuple[int, ...], params: SamplingParams, rng: np.random.Generator
    ) -> Completion:
        room = min(params.max_tokens, self.model.context_tokens - len(prompt))
        tokens: list[int] = []
        logprobs: list[float] = []
        previous = prompt[-1]
        for _ in range(room):
            distribution = self._base.token_logprobs(previous, self._adapter)
            previous = draw(self._base, distribution, params, rng)
            tokens.append(previous)
            logprobs.append(float(np.float32(distribution[previous % self._base.buckets])))
            if previous in params.stop:
                return Completion(tuple(tokens), "stop", tuple(logprobs))
        return Completion(tuple(tokens), "length", tuple(logprobs))

    def logprobs(self, tokens: Sequence[int]) -> Awaitable[tuple[float | None, ...]]:
        given = np.array(self._check(tokens, 0), dtype=np.int64)
        self._engine.note("logprobs", self.model.name, tuple(tokens))

        def score() -> tuple[float | None, ...]:
            scored = self._base.score(given[:-1], given[1:], self._adapter)
            return (None, *scored.tolist())

        return self._engine.later(score, self._wait)
