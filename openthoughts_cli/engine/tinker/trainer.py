"""A training run on a Tinker server, behind the port."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import tinker

from openthoughts_cli.engine.base import (
    AdamParams,
    Datum,
    Float32Array,
    ForwardResult,
    ModelInfo,
    OptimResult,
)
from openthoughts_cli.engine.tinker.failures import OTHER_VERSION
from openthoughts_cli.engine.tinker.futures import Requests
from openthoughts_cli.engine.tinker.patience import Patience
from openthoughts_cli.errors import EngineError, ModelError

if TYPE_CHECKING:
    from tinker.types import OptimStepResponse

__all__ = ["TinkerTrainer"]

_LOSS = "cross_entropy"
_PLACE_TIMEOUT_S = 60.0


class TinkerTrainer:
    """Each method hands its request to the SDK at the call; the SDK keeps their order.

    After a request that failed no other is sent: see `futures.Requests`.
    """

    def __init__(self, client: tinker.TrainingClient, model: ModelInfo, patience: Patience) -> None:
        self.model = model
        self._client = client
        self._requests = Requests(patience, in_order=True)

    def forward(self, batch: Sequence[Datum]) -> Awaitable[ForwardResult]:
        data = self._checked(batch)
        return self._requests.answered(self._client.forward(_sent(data), _LOSS), _reader(data))

    def forward_backward(self, batch: Sequence[Datum]) -> Awaitable[ForwardResult]:
        data = self._checked(batch)
        return self._requests.answered(
            self._client.forward_backward(_sent(data), _LOSS), _reader(data)
        )

    def optim_step(self, params: AdamParams) -> Awaitable[OptimResult]:
        self._requests.refuse_if_failed()
        sent = tinker.AdamParams(
            learning_rate=params.learning_rate,
            beta1=params.beta1,
            beta2=params.beta2,
            eps=params.eps,
            weight_decay=params.weight_decay,
            grad_clip_norm=params.grad_clip_norm,
        )
        return self._requests.answered(self._client.optim_step(sent), _read_step)

    def save_state(self, name: str, *, ttl_s: int | None = None) -> Awaitable[str]:
        self._requests.refuse_if_failed()
        return self._requests.answered(
            self._client.save_state(name, ttl_seconds=ttl_s), lambda response: response.path
        )

    def save_sampler(self, name: str, *, ttl_s: int | None = None) -> Awaitable[str]:
        self._requests.refuse_if_failed()
        request = self._client.save_weights_for_sampler(name, ttl_seconds=ttl_s)
        self._place_taken()
        return self._requests.answered(request, lambda response: response.path)

    def _place_taken(self) -> None:
        """Wait (microseconds) until the SDK's loop has begun what was handed to it so far.

        tinker 0.38 gives `save_weights_for_sampler` its place in the order not at the call but in
        the first step of a coroutine on its own loop, so that a request made right after could
        overtake it and the saved weights would hold a step too many. That loop is first in, first
        out: once it has run an empty coroutine, the earlier one has taken its place.
        """
        turn = self._client.holder.run_coroutine_threadsafe(_nothing()).future()
        try:
            turn.result(_PLACE_TIMEOUT_S)
        except TimeoutError:
            raise EngineError(
                f"the Tinker SDK did not accept a request within {_PLACE_TIMEOUT_S:.0f} s",
                hint="resume the run: its checkpoints are kept",
            ) from None

    def _checked(self, batch: Sequence[Datum]) -> tuple[Datum, ...]:
        """The batch, refused before it takes a place in the order if the server would refuse it."""
        if not batch:
            raise ValueError("an empty batch")
        self._requests.refuse_if_failed()
        longest = max(datum.input_tokens.size for datum in batch)
        if longest > self.model.context_tokens:
            raise ModelError(
                f"a sequence of {longest:,} tokens does not fit into the context of "
                f"{self.model.context_tokens:,} tokens of {self.model.name}",
                hint="lower max_tokens, or choose a model with a longer context",
            )
        return tuple(batch)


async def _nothing() -> None:
    """Done as soon as it is begun."""


def _sent(batch: Sequence[Datum]) -> list[tinker.Datum]:
    return [
        tinker.Datum(
            model_input=tinker.ModelInput.from_ints(datum.input_tokens.tolist()),
            loss_fn_inputs={
                "target_tokens": tinker.TensorData.from_numpy(
                    np.ascontiguousarray(datum.target_tokens, dtype=np.int64)
                ),
                "weights": tinker.TensorData.from_numpy(
                    np.ascontiguousarray(datum.weights, dtype=np.float32)
                ),
            },
        )
        for datum in batch
    ]


def _reader(batch: Sequence[Datum]) -> Callable[[tinker.ForwardBackwardOutput], ForwardResult]:
    """Reads the answer to `batch`. The loss is computed here: servers name and scale it freely."""

    def read(output: tinker.ForwardBackwardOutput) -> ForwardResult:
        if len(output.loss_fn_outputs) != len(batch):
            raise EngineError(
                f"the server answered {len(output.loss_fn_outputs)} sequences for a batch of "
                f"{len(batch)}",
                hint=OTHER_VERSION,
            )
        logprobs = tuple(
            _read_logprobs(fields, datum)
            for fields, datum in zip(output.loss_fn_outputs, batch, strict=True)
        )
        sums = (
            float(-(given.astype(np.float64) * datum.weights.astype(np.float64)).sum())
            for given, datum in zip(logprobs, batch, strict=True)
        )
        return ForwardResult(logprobs, math.fsum(sums))

    return read


def _read_logprobs(fields: dict[str, tinker.TensorData], datum: Datum) -> Float32Array:
    if "logprobs" not in fields:
        raise EngineError(
            "the server's answer lacks the log-probabilities of the targets", hint=OTHER_VERSION
        )
    given = np.array(fields["logprobs"].to_numpy(), dtype=np.float32)
    if given.shape != datum.target_tokens.shape:
        raise EngineError(
            f"the server answered log-probabilities of shape {given.shape} for targets of shape "
            f"{datum.target_tokens.shape}",
            hint=OTHER_VERSION,
        )
    return given


def _read_step(response: OptimStepResponse) -> OptimResult:
    return OptimResult(dict(response.metrics or {}))
