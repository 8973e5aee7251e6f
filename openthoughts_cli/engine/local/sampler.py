"""Frozen weights that answer, and the lane in which they do."""

from __future__ import annotations

import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from openthoughts_cli.engine.base import Completion, Datum, ModelInfo, SamplingParams
from openthoughts_cli.engine.local.draw import answer_generator
from openthoughts_cli.engine.local.generate import Generation, Row
from openthoughts_cli.engine.local.lanes import Answer, Turns, closed_error, run_into
from openthoughts_cli.engine.local.memory import memory_errors
from openthoughts_cli.engine.local.scoring import check_tokens, score
from openthoughts_cli.engine.local.weights import Base
from openthoughts_cli.errors import EngineError, ModelError, OtError

__all__ = ["LocalSampler", "SamplingLane"]

T = TypeVar("T")

_STEPS_A_SLICE = 8
_SCORE_TOKENS = 1024
_GATHER_S = 0.02
_LONGEST_GATHER_S = 0.2


class LocalSampler:
    """See `engine.base.Sampler`. `adapter` None is the base model itself."""

    def __init__(
        self, base: Base, adapter: str | None, *, lane: SamplingLane, budget_tokens: int
    ) -> None:
        self.base = base
        self.adapter = adapter
        self.generation = Generation(base, budget_tokens)
        self.to_score: deque[tuple[Datum, Answer[tuple[float | None, ...]]]] = deque()
        self._answers: list[Answer[Any]] = []
        self._lane = lane
        if adapter is not None:
            weakref.finalize(self, base.discard_adapter, adapter).atexit = False

    @property
    def model(self) -> ModelInfo:
        return self.base.info

    @property
    def has_work(self) -> bool:
        return self.generation.has_work or bool(self.to_score)

    def expects(self, answer: Answer[Any]) -> None:
        """The lane took over the work that ends in `answer`."""
        self._answers = [other for other in self._answers if not other.is_done]
        self._answers.append(answer)

    def fail(self, error: BaseException) -> None:
        """Give up all work; whoever awaits it gets `error`."""
        self.generation.abandon()
        self.to_score.clear()
        for answer in self._answers:
            if not answer.is_done:
                answer.fail(error)
        self._answers.clear()

    def sample(
        self, prompt: Sequence[int], params: SamplingParams
    ) -> Answer[tuple[Completion, ...]]:
        answer: Answer[tuple[Completion, ...]] = Answer()
        tokens = tuple(int(token) for token in prompt)
        try:
            self._check(tokens, params)
        except OtError as error:
            answer.fail(error)
            return answer
        found: dict[int, Completion] = {}

        def finisher(index: int) -> Callable[[Completion], None]:
            def finish(completion: Completion) -> None:
                found[index] = completion
                if len(found) == params.n:
                    answer.give(tuple(found[i] for i in range(params.n)))

            return finish

        rows = [
            Row(tokens, params, answer_generator(params.seed, index), finisher(index))
            for index in range(params.n)
        ]
        return self._lane.arrive(self, answer, lambda: self.generation.waiting.extend(rows))

    def logprobs(self, tokens: Sequence[int]) -> Answer[tuple[float | None, ...]]:
        answer: Answer[tuple[float | None, ...]] = Answer()
        ids = np.asarray(tokens, dtype=np.int64)
        try:
            check_tokens(self.base, ids, "the sequence to score")
        except OtError as error:
            answer.fail(error)
            return answer
        if ids.size < 2:
            answer.give((None,) * ids.size)
            return answer
        datum = Datum(ids[:-1], ids[1:], np.zeros(ids.size - 1, np.float32))
        return self._lane.arrive(self, answer, lambda: self.to_score.append((datum, answer)))

    def _check(self, prompt: tuple[int, ...], params: SamplingParams) -> None:
        if not prompt:
            raise EngineError("a prompt needs at least one token")
        if len(prompt) >= self.model.context_tokens:
            raise ModelError(
                f"the prompt has {len(prompt)} tokens, and the context of {self.model.name} "
                f"({self.model.context_tokens} tokens) has to hold the answer as well",
                hint="shorten the prompt, or choose a model with a longer context",
            )
        check_tokens(self.base, np.asarray(prompt, dtype=np.int64), "the prompt")
        good = (
            params.max_tokens >= 1
            and params.n >= 1
            and params.temperature >= 0
            and 0 < params.top_p <= 1
            and params.top_k >= 0
        )
        if not good:
            raise EngineError(
                f"these sampling settings are not possible: {params}",
                hint="max_tokens and n >= 1, temperature >= 0, 0 < top_p <= 1, top_k >= 0",
            )


class SamplingLane:
    """One thread that serves all samplers in turn, a slice each."""

    def __init__(self, turns: Turns, name: str) -> None:
        self._turns = turns
        self._name = name
        self._changed = threading.Condition()
        self._arrivals: deque[tuple[LocalSampler | None, Answer[Any], Callable[[], Any]]] = deque()
        self._busy: deque[LocalSampler] = deque()
        self._thread: threading.Thread | None = None
        self._closed = False

    def submit(self, work: Callable[[], T]) -> Answer[T]:
        """Run `work` between two slices."""
        return self.arrive(None, Answer(), work)

    def arrive(
        self, sampler: LocalSampler | None, answer: Answer[T], enqueue: Callable[[], Any]
    ) -> Answer[T]:
        """Have the thread call `enqueue`, which adds work for `sampler` that ends in `answer`.

        Without a sampler, what `enqueue` returns is the answer.
        """
        with self._changed:
            if self._closed:
                answer.fail(closed_error())
                return answer
            self._arrivals.append((sampler, answer, enqueue))
            if self._thread is None:
                # A daemon: an engine that nobody closed must not keep the interpreter alive.
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
            self._changed.notify()
        return answer

    def close(self) -> None:
        """Stop after the piece of work in hand; what is not done fails."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()
        for _, answer, _ in self._arrivals:
            answer.fail(closed_error())
        self._arrivals.clear()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._arrivals or self._busy or self._closed)
                idle = not self._busy
            if self._closed:
                for sampler in self._busy:
                    sampler.fail(closed_error())
                self._busy.clear()
                return
            if idle:
                self._gather()
            self._take_arrivals()
            if self._busy:
                self._serve(self._busy[0])

    def _gather(self) -> None:
        """Wait until no more requests come, so that a burst is one batch, the same each time."""
        end = time.monotonic() + _LONGEST_GATHER_S
        seen = -1
        with self._changed:
            while len(self._arrivals) != seen and time.monotonic() < end and not self._closed:
                if all(sampler is None for sampler, _, _ in self._arrivals):
                    return
                seen = len(self._arrivals)
                self._changed.wait_for(lambda: self._closed, _GATHER_S)

    def _take_arrivals(self) -> None:
        while True:
            with self._changed:
                if not self._arrivals:
                    return
                sampler, answer, enqueue = self._arrivals.popleft()
            if sampler is None:
                run_into(answer, enqueue)
                continue
            enqueue()
            sampler.expects(answer)
            if sampler not in self._busy:
                self._busy.append(sampler)

    def _serve(self, sampler: LocalSampler) -> None:
        """A slice for this sampler, which then goes to the end of the line."""
        self._busy.popleft()
        try:
            with memory_errors():
                if sampler.to_score:
                    self._score(sampler)
                if sampler.generation.has_work:
                    self._slice(sampler)
        except BaseException as error:  # noqa: BLE001 - it belongs to those who await
            sampler.fail(error)
        if sampler.has_work:
            self._busy.append(sampler)

    def _score(self, sampler: LocalSampler) -> None:
        waiting = list(sampler.to_score)
        sampler.to_score.clear()
        rows = score(
            sampler.base,
            [datum for datum, _ in waiting],
            budget_tokens=_SCORE_TOKENS,
            turn=self._turns.sampling,
            adapter=sampler.adapter,
        )
        for (_, answer), row in zip(waiting, rows, strict=True):
            answer.give((None, *row.tolist()))

    def _slice(self, sampler: LocalSampler) -> None:
        with self._turns.sampling() as over:
            sampler.base.activate(sampler.adapter)
            for _ in range(_STEPS_A_SLICE):
                sampler.generation.step()
                if over() or self._closed or not sampler.generation.has_work:
                    return
