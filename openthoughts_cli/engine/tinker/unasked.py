"""The Tinker service for a plan without credentials: nothing is sent, and nothing can be started."""

from __future__ import annotations

from collections.abc import Awaitable

from openthoughts_cli.engine.base import LoraSpec, ModelInfo, Sampler, Trainer
from openthoughts_cli.engine.tinker.models import assumed_model
from openthoughts_cli.errors import AuthError

__all__ = ["UnaskedTinker"]


class UnaskedTinker:
    """Takes every model as served; see `assumed_model`.

    Args:
        error: what stands in the way of the service itself; raised by all that would need it.
    """

    kind = "tinker"
    costs_money = True
    deterministic = False

    def __init__(self, error: AuthError) -> None:
        self._error = error

    async def models(self) -> tuple[ModelInfo, ...]:
        """None is known."""
        return ()

    async def describe(self, model: str, *, train: bool = False) -> ModelInfo:
        """The model, taken as served."""
        del train
        return assumed_model(model)

    def create_trainer(self, model: str, lora: LoraSpec) -> Awaitable[Trainer]:
        del model, lora
        raise self._error

    def resume_trainer(self, state_path: str) -> Awaitable[Trainer]:
        del state_path
        raise self._error

    def create_sampler(
        self, model: str | None = None, *, sampler_path: str | None = None
    ) -> Awaitable[Sampler]:
        del model, sampler_path
        raise self._error

    async def close(self) -> None:
        """Nothing is open."""

    async def __aenter__(self) -> UnaskedTinker:
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Nothing is open."""
