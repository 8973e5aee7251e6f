"""The engine port: where weights live and samples come from, in the project's own types.

The semantics are Tinker's. Every method is a plain `def` that takes its place in the order at the
call and returns an awaitable: an `async def` would take its place only when awaited, and the order
of training requests would be lost. A trainer's requests run strictly in the order of the calls;
a queued request is never cancelled, so callers shield what they await.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = [
    "AdamParams",
    "Completion",
    "Datum",
    "Engine",
    "FinishReason",
    "ForwardResult",
    "LoraSpec",
    "ModelInfo",
    "OptimResult",
    "Sampler",
    "SamplingParams",
    "Trainer",
]

Int64Array: TypeAlias = npt.NDArray[np.int64]
Float32Array: TypeAlias = npt.NDArray[np.float32]

FinishReason: TypeAlias = Literal["stop", "length"]


@dataclass(frozen=True, slots=True)
class Datum:
    """One training sequence, already shifted by one.

    `input_tokens[i]` is followed by `target_tokens[i]`, whose loss counts `weights[i]` times.
    All three have the same length N >= 1.
    """

    input_tokens: Int64Array
    target_tokens: Int64Array
    weights: Float32Array

    def __post_init__(self) -> None:
        shapes = {self.input_tokens.shape, self.target_tokens.shape, self.weights.shape}
        if len(shapes) != 1 or self.input_tokens.ndim != 1 or self.input_tokens.size == 0:
            raise ValueError(f"a datum needs three vectors of one length >= 1, got {shapes}")


@dataclass(frozen=True, slots=True)
class ForwardResult:
    """What a forward (and backward) pass says.

    `logprobs[i]` is float32, one natural-log probability for each target token of datum i.
    `loss_sum` is the weighted token SUM of -logprob over all data, in nats.
    """

    logprobs: tuple[Float32Array, ...]
    loss_sum: float


@dataclass(frozen=True, slots=True)
class AdamParams:
    """One optimiser step's settings; they may change from step to step."""

    learning_rate: float
    beta1: float = 0.9
    beta2: float = 0.95
    eps: float = 1e-12
    weight_decay: float = 0.0
    grad_clip_norm: float = 0.0


@dataclass(frozen=True, slots=True)
class OptimResult:
    """What the engine reports of a step, by its own metric names (may be empty)."""

    metrics: dict[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True, slots=True)
class LoraSpec:
    """The adapter: its rank (a power of two), the seed of its first weights, the adapted parts."""

    rank: int = 32
    seed: int = 0
    attn: bool = True
    mlp: bool = True
    unembed: bool = True


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How answers are drawn.

    `top_k` = 0 means no limit. `seed` makes a request repeatable where the engine can
    (`Engine.deterministic`). `stop` are token ids that end an answer; the stop token is the last of
    the returned tokens. With `n` > 1 the samples of one request differ.
    """

    max_tokens: int
    n: int = 1
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int | None = None
    stop: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Completion:
    """One drawn answer.

    `tokens` includes the stop token where one ended it. `logprobs` has one natural-log probability
    a token, under the model's own distribution at temperature 1 as far as the engine tells, or None.
    `finish_reason`: "stop" (a stop token) or "length" (max_tokens, or the context was full).
    """

    tokens: tuple[int, ...]
    finish_reason: FinishReason
    logprobs: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model that an engine serves. `context_tokens` counts prompt and answer together.

    `hidden_size` is the width of its residual stream, where the engine knows it.
    """

    name: str
    context_tokens: int
    trainable: bool = True
    sampleable: bool = True
    hidden_size: int | None = None


class Trainer(Protocol):
    """The weights of one LoRA run, with their optimiser."""

    @property
    def model(self) -> ModelInfo: ...

    def forward(self, batch: Sequence[Datum]) -> Awaitable[ForwardResult]:
        """Log-probabilities under the weights as of the last queued optimiser step."""
        ...

    def forward_backward(self, batch: Sequence[Datum]) -> Awaitable[ForwardResult]:
        """The same, and the gradient of the weighted SUM of -logprob is added up."""
        ...

    def optim_step(self, params: AdamParams) -> Awaitable[OptimResult]:
        """One Adam step with the gradients added up so far, which are then zero."""
        ...

    def save_state(self, name: str, *, ttl_s: int | None = None) -> Awaitable[str]:
        """Store weights and optimiser as of the queued steps; the path resumes training."""
        ...

    def save_sampler(self, name: str, *, ttl_s: int | None = None) -> Awaitable[str]:
        """Store the weights as of the queued steps; the path opens samplers."""
        ...


class Sampler(Protocol):
    """Frozen weights that answer."""

    @property
    def model(self) -> ModelInfo: ...

    def sample(
        self, prompt: Sequence[int], params: SamplingParams
    ) -> Awaitable[tuple[Completion, ...]]:
        """`params.n` completions of one prompt."""
        ...

    def logprobs(self, tokens: Sequence[int]) -> Awaitable[tuple[float | None, ...]]:
        """Natural-log probability of each given token after those before it; the first is None."""
        ...


class Engine(Protocol):
    """Makes trainers and samplers. Close it when done; an async context manager does."""

    @property
    def kind(self) -> str: ...

    @property
    def costs_money(self) -> bool: ...

    @property
    def deterministic(self) -> bool:
        """Whether the same requests give the same results, bit for bit, on this machine."""
        ...

    def models(self) -> Awaitable[tuple[ModelInfo, ...]]:
        """What is served. A local engine names the models it knows; others may still load."""
        ...

    def describe(self, model: str, *, train: bool = False) -> Awaitable[ModelInfo]:
        """One model, without loading its weights where that can be avoided.

        Raises `ModelError` when it is unknown, or with `train` when it cannot be trained.
        """
        ...

    def create_trainer(self, model: str, lora: LoraSpec) -> Awaitable[Trainer]:
        """Raises `ModelError` when the model is unknown or cannot be trained."""
        ...

    def resume_trainer(self, state_path: str) -> Awaitable[Trainer]:
        """A trainer with the weights and the optimiser of a saved state."""
        ...

    def create_sampler(
        self, model: str | None = None, *, sampler_path: str | None = None
    ) -> Awaitable[Sampler]:
        """A sampler of a base model, or of saved weights; give exactly one of the two."""
        ...

    async def close(self) -> None: ...

    async def __aenter__(self) -> Engine: ...

    async def __aexit__(self, *exc: object) -> None: ...
