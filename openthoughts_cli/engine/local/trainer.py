"""A LoRA run: an adapter on the shared base, its gradient so far, and its Adam."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from openthoughts_cli.engine.base import (
    AdamParams,
    Datum,
    ForwardResult,
    LoraSpec,
    ModelInfo,
    OptimResult,
)
from openthoughts_cli.engine.local.checkpoint import SavedState, write_sampler, write_state
from openthoughts_cli.engine.local.lanes import Answer, Lane, Turns
from openthoughts_cli.engine.local.memory import memory_errors
from openthoughts_cli.engine.local.scoring import check_data, score
from openthoughts_cli.engine.local.weights import Base
from openthoughts_cli.errors import EngineError

__all__ = ["LocalTrainer"]

T = TypeVar("T")

_MOMENTS = ("exp_avg", "exp_avg_sq")


class LocalTrainer:
    """See `engine.base.Trainer`. Made by the engine, in its training lane."""

    def __init__(
        self,
        base: Base,
        adapter: str,
        lora: LoraSpec,
        *,
        lane: Lane,
        turns: Turns,
        store: Path,
        micro_batch_tokens: int,
    ) -> None:
        self._base = base
        self._adapter = adapter
        self._lora = lora
        self._lane = lane
        self._turns = turns
        self._store = store
        self._micro_batch_tokens = micro_batch_tokens
        self._failed: str | None = None
        self._steps = 0
        self._parameters = base.parameters(adapter)
        for parameter in self._parameters.values():
            parameter.grad = torch.zeros_like(parameter)
        self._optimizer = torch.optim.AdamW(list(self._parameters.values()))
        weakref.finalize(self, base.discard_adapter, adapter).atexit = False

    @property
    def model(self) -> ModelInfo:
        return self._base.info

    @property
    def lora(self) -> LoraSpec:
        return self._lora

    def forward(self, batch: Sequence[Datum]) -> Answer[ForwardResult]:
        data = tuple(batch)
        return self._submit(lambda: self._score(data, backward=False), breaks=False)

    def forward_backward(self, batch: Sequence[Datum]) -> Answer[ForwardResult]:
        data = tuple(batch)
        return self._submit(lambda: self._score(data, backward=True), breaks=True)

    def optim_step(self, params: AdamParams) -> Answer[OptimResult]:
        return self._submit(lambda: self._step(params), breaks=True)

    def save_state(self, name: str, *, ttl_s: int | None = None) -> Answer[str]:
        """A folder states/<name> in the engine's store. Local checkpoints never expire."""
        del ttl_s
        return self._submit(lambda: self._save_state(name), breaks=False)

    def save_sampler(self, name: str, *, ttl_s: int | None = None) -> Answer[str]:
        """A folder samplers/<name> in the engine's store: a PEFT adapter."""
        del ttl_s
        return self._submit(lambda: self._save_sampler(name), breaks=False)

    def restore(self, state: SavedState) -> None:
        """Take over the weights and the optimiser of a saved state, while holding the turn."""
        self._base.set_adapter_weights(self._adapter, state.adapter)
        for name, parameter in self._parameters.items():
            if f"{name}.exp_avg" in state.optimizer:
                self._optimizer.state[parameter] = {
                    "step": torch.tensor(float(state.steps)),
                    **{m: state.optimizer[f"{name}.{m}"].to(parameter) for m in _MOMENTS},
                }
            if f"{name}.grad" in state.optimizer:
                parameter.grad = state.optimizer[f"{name}.grad"].to(parameter)
        self._steps = state.steps

    def _submit(self, work: Callable[[], T], *, breaks: bool) -> Answer[T]:
        """Queue `work`. When `breaks`, its failure makes the later requests fail too: a gradient
        or a step would be missing from what they stand for."""

        def run() -> T:
            if self._failed is not None:
                raise EngineError(
                    f"an earlier request of this trainer failed: {self._failed}",
                    hint="resume from the last saved state",
                )
            try:
                with memory_errors():
                    return work()
            except BaseException as error:
                if breaks:
                    self._failed = str(error) or type(error).__name__
                raise

        return self._lane.submit(run)

    def _score(self, data: Sequence[Datum], *, backward: bool) -> ForwardResult:
        check_data(self._base, data)
        logprobs = score(
            self._base,
            data,
            budget_tokens=self._micro_batch_tokens,
            turn=self._turns.training,
            adapter=self._adapter,
            backward=backward,
        )
        losses = [
            -float(np.dot(datum.weights.astype(np.float64), row.astype(np.float64)))
            for datum, row in zip(data, logprobs, strict=True)
        ]
        return ForwardResult(logprobs=logprobs, loss_sum=float(sum(losses)))

    def _step(self, params: AdamParams) -> OptimResult:
        with self._turns.training():
            self._base.activate(self._adapter)
            weights = list(self._parameters.values())
            norm = float(
                torch.nn.utils.get_total_norm([w.grad for w in weights if w.grad is not None])
            )
            if not np.isfinite(norm):
                raise EngineError(
                    f"the gradient of step {self._steps + 1} is not finite (norm {norm})",
                    hint="lower the learning rate, or resume from an earlier state",
                )
            if params.grad_clip_norm > 0:
                torch.nn.utils.clip_grad_norm_(weights, params.grad_clip_norm)
            self._optimizer.param_groups[0].update(
                lr=params.learning_rate,
                betas=(params.beta1, params.beta2),
                eps=params.eps,
                weight_decay=params.weight_decay,
            )
            self._optimizer.step()
            self._optimizer.zero_grad(set_to_none=False)
            self._steps += 1
        return OptimResult({"grad_norm": norm})

    def _save_state(self, name: str) -> str:
        with self._turns.training():
            state = SavedState(
                model=self._base.info.name,
                lora=self._lora,
                adapter=self._base.adapter_weights(self._adapter),
                optimizer=self._optimizer_tensors(),
                steps=self._steps,
            )
        config = self._base.adapter_config(self._adapter)
        return str(write_state(self._store, name, config, state))

    def _optimizer_tensors(self) -> dict[str, torch.Tensor]:
        tensors: dict[str, torch.Tensor] = {}
        for name, parameter in self._parameters.items():
            for moment in _MOMENTS if parameter in self._optimizer.state else ():
                tensors[f"{name}.{moment}"] = self._optimizer.state[parameter][moment]
            if parameter.grad is not None and bool(parameter.grad.any()):
                tensors[f"{name}.grad"] = parameter.grad
        return {key: value.detach().to("cpu", copy=True) for key, value in tensors.items()}

    def _save_sampler(self, name: str) -> str:
        with self._turns.training():
            adapter = self._base.adapter_weights(self._adapter)
        config = self._base.adapter_config(self._adapter)
        return str(write_sampler(self._store, name, self._base.info.name, config, adapter))
