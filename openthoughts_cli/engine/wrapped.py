"""What an engine around another engine is: its trainers and samplers wrapped, all else the inner one's."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable

from openthoughts_cli.engine.base import Engine, LoraSpec, ModelInfo, Sampler, Trainer

__all__ = ["WrappedEngine"]


class WrappedEngine(ABC):
    """An `Engine` that says `wrap_trainer` and `wrap_sampler`; closing it closes the inner one."""

    def __init__(self, inner: Engine) -> None:
        self._inner = inner

    @abstractmethod
    def wrap_trainer(self, trainer: Trainer) -> Trainer:
        """What stands in the place of the inner engine's trainer."""

    @abstractmethod
    def wrap_sampler(self, sampler: Sampler) -> Sampler:
        """What stands in the place of the inner engine's sampler."""

    @property
    def kind(self) -> str:
        return self._inner.kind

    @property
    def costs_money(self) -> bool:
        return self._inner.costs_money

    @property
    def deterministic(self) -> bool:
        return self._inner.deterministic

    def models(self) -> Awaitable[tuple[ModelInfo, ...]]:
        return self._inner.models()

    def describe(self, model: str, *, train: bool = False) -> Awaitable[ModelInfo]:
        return self._inner.describe(model, train=train)

    async def create_trainer(self, model: str, lora: LoraSpec) -> Trainer:
        return self.wrap_trainer(await self._inner.create_trainer(model, lora))

    async def resume_trainer(self, state_path: str) -> Trainer:
        return self.wrap_trainer(await self._inner.resume_trainer(state_path))

    async def create_sampler(
        self, model: str | None = None, *, sampler_path: str | None = None
    ) -> Sampler:
        return self.wrap_sampler(await self._inner.create_sampler(model, sampler_path=sampler_path))

    async def close(self) -> None:
        await self._inner.close()

    async def __aenter__(self) -> Engine:
        await self._inner.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._inner.__aexit__(*exc)
