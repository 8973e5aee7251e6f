"""A sampler that answers with texts of a script, and a renderer whose tokens are characters.

With both, a test says in plain text what is asked and answered; `requests` keeps every request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from openthoughts_cli.chat.renderer import Example, Measure
from openthoughts_cli.engine.base import Completion, ModelInfo, SamplingParams
from tests.doubles.clocks import Clock, LoopClock

__all__ = ["STOP", "Asked", "CharRenderer", "ScriptedSampler"]

STOP = 0


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, with its prompt as text."""

    prompt: str
    params: SamplingParams


class CharRenderer:
    """One token a character; token 0 ends a turn."""

    model = "scripted/model"
    digest = "d" * 32
    vocab_size = 0x110000
    stop_tokens = (STOP,)
    opens_thinking = False

    def prompt(self, question: str) -> tuple[int, ...]:
        return tuple(map(ord, f"Q: {question}\nA:"))

    def answer_text(self, tokens: Sequence[int]) -> str:
        return self.decode(tokens)

    def decode(self, tokens: Sequence[int]) -> str:
        return "".join(chr(token) for token in tokens if token != STOP)

    def example(self, question: str, answer: str) -> Example:
        return Example(self.prompt(question), (*map(ord, answer), STOP))

    def examples(self, rows: Sequence[tuple[str, str]]) -> list[Example]:
        return [self.example(question, answer) for question, answer in rows]

    def measure(self, rows: Sequence[tuple[str, str, int]]) -> list[Measure]:
        return [
            Measure(
                prompt=len(self.prompt(question)),
                question=len(question),
                head=min(cut, len(answer)),
                target=len(answer) + 1,
            )
            for question, answer, cut in rows
        ]

    def target_text(self, answer: str) -> str:
        return answer


Script = Callable[[str, int, SamplingParams], str | Exception]


@dataclass
class ScriptedSampler:
    """`script(prompt, index, params)` gives answer `index` of a request, or the error it ends with.

    An answer longer than `max_tokens` is cut with reason "length". `refuse` may raise at the call.
    """

    script: Script
    context_tokens: int = 4096
    latency_s: float = 0.0
    refuse: Callable[[Asked], None] | None = None
    requests: list[Asked] = field(default_factory=list[Asked])
    in_flight: int = 0
    most_in_flight: int = 0
    logprob: float = -0.5
    clock: Clock = field(default_factory=LoopClock)

    @property
    def model(self) -> ModelInfo:
        return ModelInfo("scripted/model", self.context_tokens)

    def sample(
        self, prompt: Sequence[int], params: SamplingParams
    ) -> Awaitable[tuple[Completion, ...]]:
        asked = Asked("".join(map(chr, prompt)), params)
        if self.refuse is not None:
            self.refuse(asked)
        self.requests.append(asked)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        return asyncio.ensure_future(self._answer(asked))

    def logprobs(self, tokens: Sequence[int]) -> Awaitable[tuple[float | None, ...]]:
        async def answer() -> tuple[float | None, ...]:
            await self.clock.sleep(self.latency_s)
            return (None, *[self.logprob] * (len(tokens) - 1))

        return asyncio.ensure_future(answer())

    async def _answer(self, asked: Asked) -> tuple[Completion, ...]:
        try:
            await self.clock.sleep(self.latency_s)
            texts: list[str] = []
            for index in range(asked.params.n):
                text = self.script(asked.prompt, index, asked.params)
                if isinstance(text, Exception):
                    raise text
                texts.append(text)
            return tuple(_complete(text, asked.params.max_tokens) for text in texts)
        finally:
            self.in_flight -= 1


def _complete(text: str, max_tokens: int) -> Completion:
    tokens = (*map(ord, text), STOP)
    if len(tokens) <= max_tokens:
        return Completion(tokens, "stop")
    return Completion(tokens[:max_tokens], "length")
