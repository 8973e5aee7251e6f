"""Money: an upper bound is reserved before a request is sent, and settled when it returns.

`metered` wraps any engine. A request whose upper bound does not fit into the limit any more is not
sent: it raises `BudgetError` at the call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

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
from openthoughts_cli.errors import BudgetError

__all__ = ["Meter", "Price", "metered"]

T = TypeVar("T")


class Price:
    """Dollars for tokens of one model: prefill, sample and train, each per million tokens."""

    def __init__(self, *, prefill: float, sample: float, train: float) -> None:
        self.prefill = prefill
        self.sample = sample
        self.train = train

    def usd(self, *, prefill: int = 0, sample: int = 0, train: int = 0) -> float:
        """Dollars for that many tokens of each kind."""
        return (prefill * self.prefill + sample * self.sample + train * self.train) / 1e6


class Meter:
    """What was spent and what is reserved, against a limit in dollars (None: no limit).

    `before_sending` is called when money is set aside and its request is not sent yet.
    """

    def __init__(self, max_usd: float | None, *, spent_usd: float = 0.0) -> None:
        self.max_usd = max_usd
        self.spent_usd = spent_usd
        self.reserved_usd = 0.0
        self.before_sending: Callable[[], None] | None = None

    def reserve(self, usd: float) -> None:
        """Set `usd` aside for a request.

        Raises:
            BudgetError: it does not fit; nothing was reserved.
        """
        self.check(usd)
        self.reserved_usd += usd

    def check(self, usd: float) -> None:
        """Raise where requests of `usd` together would not fit, before the first is sent."""
        total = self.spent_usd + self.reserved_usd + usd
        if self.max_usd is not None and total > self.max_usd:
            raise BudgetError(
                f"the limit of ${self.max_usd:.2f} is reached: ${self.spent_usd:.2f} spent, "
                f"${self.reserved_usd:.2f} in flight, and the next request may cost ${usd:.4f}",
                hint="raise max_usd and resume the run; what was finished is kept",
            )

    def settle(self, reserved: float, actual: float) -> None:
        """A request returned: its reservation becomes what it really cost."""
        self.reserved_usd = max(self.reserved_usd - reserved, 0.0)
        self.spent_usd += actual

    def pay(
        self, upper: float, send: Callable[[], Awaitable[T]], actual: Callable[[T], float]
    ) -> Awaitable[T]:
        """Reserve `upper`, send the request, and settle it when it ends.

        A request that fails on its way is counted at its upper bound; one that `send` refuses to
        send at all costs nothing.

        Raises:
            BudgetError: `upper` does not fit; nothing was sent.
        """
        self.reserve(upper)
        try:
            if self.before_sending is not None:
                self.before_sending()
            request = send()
        except BaseException:
            self.settle(upper, 0.0)
            raise
        return asyncio.ensure_future(self._watch(request, upper, actual))

    async def _watch(self, request: Awaitable[T], upper: float, actual: Callable[[T], float]) -> T:
        cost = upper
        try:
            result = await request
            cost = actual(result)
            return result
        finally:
            self.settle(upper, cost)


class _MeteredTrainer:
    def __init__(self, inner: Trainer, price: Price, meter: Meter) -> None:
        self._inner = inner
        self._price = price
        self._meter = meter

    @property
    def model(self) -> ModelInfo:
        return self._inner.model

    def _train_cost(self, batch: Sequence[Datum]) -> float:
        # the last target is a token of the row as well, hence the + 1
        return self._price.usd(train=sum(len(datum.input_tokens) + 1 for datum in batch))

    def forward(self, batch: Sequence[Datum]) -> Awaitable[ForwardResult]:
        cost = self._train_cost(batch)
        return self._meter.pay(cost, lambda: self._inner.forward(batch), lambda _: cost)

    def forward_backward(self, batch: Sequence[Datum]) -> Awaitable[ForwardResult]:
        cost = self._train_cost(batch)
        return self._meter.pay(cost, lambda: self._inner.forward_backward(batch), lambda _: cost)

    def optim_step(self, params: AdamParams) -> Awaitable[OptimResult]:
        return self._inner.optim_step(params)

    def save_state(self, name: str, *, ttl_s: int | None = None) -> Awaitable[str]:
        return self._inner.save_state(name, ttl_s=ttl_s)

    def save_sampler(self, name: str, *, ttl_s: int | None = None) -> Awaitable[str]:
        return self._inner.save_sampler(name, ttl_s=ttl_s)


class _MeteredSampler:
    def __init__(self, inner: Sampler, price: Price, meter: Meter) -> None:
        self._inner = inner
        self._price = price
        self._meter = meter

    @property
    def model(self) -> ModelInfo:
        return self._inner.model

    def sample(
        self, prompt: Sequence[int], params: SamplingParams
    ) -> Awaitable[tuple[Completion, ...]]:
        price = self._price
        # whether a prompt with n samples is billed once or n times is not published: count n
        upper = price.usd(prefill=len(prompt) * params.n, sample=params.n * params.max_tokens)

        def actual(answers: tuple[Completion, ...]) -> float:
            tokens = sum(len(answer.tokens) for answer in answers)
            return price.usd(prefill=len(prompt) * params.n, sample=tokens)

        return self._meter.pay(upper, lambda: self._inner.sample(prompt, params), actual)

    def logprobs(self, tokens: Sequence[int]) -> Awaitable[tuple[float | None, ...]]:
        cost = self._price.usd(prefill=len(tokens))
        return self._meter.pay(cost, lambda: self._inner.logprobs(tokens), lambda _: cost)


class _MeteredEngine(WrappedEngine):
    def __init__(self, inner: Engine, price: Price, meter: Meter) -> None:
        super().__init__(inner)
        self._price = price
        self._meter = meter

    def wrap_trainer(self, trainer: Trainer) -> Trainer:
        return _MeteredTrainer(trainer, self._price, self._meter)

    def wrap_sampler(self, sampler: Sampler) -> Sampler:
        return _MeteredSampler(sampler, self._price, self._meter)


def metered(engine: Engine, price: Price, meter: Meter) -> Engine:
    """`engine` with every request that costs money counted on `meter`."""
    return _MeteredEngine(engine, price, meter)
