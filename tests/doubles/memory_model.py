"""A real, tiny language model in numpy: what the in-memory engine trains and samples.

The next token depends on the one before it. Logits are a frozen table plus a low-rank adapter,
`base[previous] + A[previous] @ B`, so LoRA's rank and seed mean what they mean elsewhere. Large
vocabularies are folded into buckets: a token is as likely as its bucket, shared evenly among the
bucket's tokens, which is a proper distribution over the whole vocabulary.

All arithmetic is float64 and single-threaded in order, so equal calls give equal bits.
"""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from openthoughts_cli.engine.base import AdamParams, Datum, Float32Array, LoraSpec, SamplingParams

__all__ = ["Adapter", "BaseModel", "draw"]

Float64Array = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]


def _seed_of(*parts: object) -> int:
    digest = hashlib.blake2b("\x1f".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")


class BaseModel:
    """Frozen base weights, made from the model's name alone."""

    def __init__(self, name: str, vocab_size: int, *, max_buckets: int = 128) -> None:
        self.name = name
        self.vocab_size = vocab_size
        self.buckets = min(vocab_size, max_buckets)
        rng = np.random.default_rng(_seed_of("base", name))
        self.table: Float64Array = rng.normal(0.0, 0.7, (self.buckets, self.buckets))
        counts = np.bincount(np.arange(vocab_size) % self.buckets, minlength=self.buckets)
        self.sizes: Float64Array = counts.astype(np.float64)
        self.log_sizes: Float64Array = np.log(self.sizes)

    def bucket_of(self, tokens: Int64Array) -> Int64Array:
        return tokens % self.buckets

    def log_probabilities(
        self, previous: Int64Array, adapter: Adapter | None
    ) -> tuple[Float64Array, Float64Array]:
        """Log-probabilities of buckets, [N, buckets], and the buckets' probabilities."""
        rows = self.bucket_of(previous)
        logits = self.table[rows]
        if adapter is not None:
            logits = logits + adapter.a[rows] @ adapter.b
        logits = logits - logits.max(axis=1, keepdims=True)
        logprobs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        return logprobs, np.exp(logprobs)

    def score(
        self, previous: Int64Array, following: Int64Array, adapter: Adapter | None
    ) -> Float32Array:
        """Natural-log probability of each following token, float32 [N]."""
        logprobs, _ = self.log_probabilities(previous, adapter)
        buckets = self.bucket_of(following)
        picked = logprobs[np.arange(len(buckets)), buckets] - self.log_sizes[buckets]
        return picked.astype(np.float32)

    def token_logprobs(self, previous: int, adapter: Adapter | None) -> Float64Array:
        """Log-probability of each single token of a bucket after one token, [buckets]."""
        logprobs, _ = self.log_probabilities(np.array([previous]), adapter)
        return logprobs[0] - self.log_sizes


@dataclass
class Adapter:
    """The trained weights, their gradients so far and Adam's memory of them."""

    a: Float64Array
    b: Float64Array
    grad_a: Float64Array = field(init=False)
    grad_b: Float64Array = field(init=False)
    moments: dict[str, Float64Array] = field(default_factory=dict[str, Float64Array])
    steps: int = 0

    def __post_init__(self) -> None:
        self._zero_gradients()

    @classmethod
    def fresh(cls, base: BaseModel, lora: LoraSpec) -> Adapter:
        """B is zero, so that a fresh adapter changes nothing."""
        rng = np.random.default_rng(_seed_of("lora", base.name, lora.rank, lora.seed))
        a = rng.normal(0.0, lora.rank**-0.5, (base.buckets, lora.rank))
        return cls(a, np.zeros((lora.rank, base.buckets)))

    def _zero_gradients(self) -> None:
        self.grad_a = np.zeros_like(self.a)
        self.grad_b = np.zeros_like(self.b)

    def add_gradient(self, base: BaseModel, datum: Datum) -> None:
        """Add the exact gradient of the datum's weighted sum of -logprob."""
        rows = base.bucket_of(datum.input_tokens)
        _, probabilities = base.log_probabilities(datum.input_tokens, self)
        error = probabilities
        error[np.arange(len(rows)), base.bucket_of(datum.target_tokens)] -= 1.0
        error *= datum.weights.astype(np.float64)[:, None]
        self.grad_b += self.a[rows].T @ error
        np.add.at(self.grad_a, rows, error @ self.b.T)

    def step(self, params: AdamParams) -> dict[str, float]:
        """torch.optim.AdamW's update, with the gradient clipped by its global norm first."""
        norm = float(np.sqrt((self.grad_a**2).sum() + (self.grad_b**2).sum()))
        scale = 1.0
        if params.grad_clip_norm > 0 and norm > params.grad_clip_norm:
            scale = params.grad_clip_norm / norm
        self.steps += 1
        for name in ("a", "b"):
            self._update(name, getattr(self, f"grad_{name}") * scale, params)
        self._zero_gradients()
        return {"grad_norm": norm}

    def _update(self, name: str, gradient: Float64Array, params: AdamParams) -> None:
        weights: Float64Array = getattr(self, name)
        first = self.moments.get(f"{name}.m", np.zeros_like(weights))
        second = self.moments.get(f"{name}.v", np.zeros_like(weights))
        first = params.beta1 * first + (1 - params.beta1) * gradient
        second = params.beta2 * second + (1 - params.beta2) * gradient**2
        self.moments[f"{name}.m"], self.moments[f"{name}.v"] = first, second
        unbiased_first = first / (1 - params.beta1**self.steps)
        unbiased_second = second / (1 - params.beta2**self.steps)
        decayed = weights * (1 - params.learning_rate * params.weight_decay)
        change = params.learning_rate * unbiased_first / (np.sqrt(unbiased_second) + params.eps)
        setattr(self, name, decayed - change)

    def frozen(self) -> Adapter:
        """A copy of the weights alone, which later training cannot reach."""
        return Adapter(self.a.copy(), self.b.copy())

    def to_bytes(self, about: dict[str, Any], *, optimizer: bool) -> bytes:
        """Everything needed to go on; gradients that no step has used are not part of a state."""
        arrays: dict[str, npt.NDArray[Any]] = {"a": self.a, "b": self.b}
        if optimizer:
            arrays |= {f"moment:{key}": value for key, value in self.moments.items()}
        header = json.dumps({**about, "steps": self.steps if optimizer else 0}).encode()
        arrays["header"] = np.frombuffer(header, dtype=np.uint8)
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **arrays)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> tuple[Adapter, dict[str, Any]]:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            about: dict[str, Any] = json.loads(arrays["header"].tobytes())
            adapter = cls(arrays["a"], arrays["b"])
            adapter.moments = {
                key.removeprefix("moment:"): arrays[key]
                for key in arrays.files
                if key.startswith("moment:")
            }
        adapter.steps = about["steps"]
        return adapter, about


def draw(
    base: BaseModel, logprobs: Float64Array, params: SamplingParams, rng: np.random.Generator
) -> int:
    """One token: temperature, then top_k, then top_p. Ties go to the smaller token id.

    `logprobs` are those of one token of each bucket, [buckets]; bucket b holds the tokens b,
    b + buckets, b + 2 * buckets, ... of the vocabulary.
    """
    if params.temperature == 0 or params.top_k == 1:
        return int(logprobs.argmax())
    order = np.argsort(-logprobs, kind="stable")
    sizes = base.sizes[order]
    if params.top_k > 0:
        sizes = _first(sizes, params.top_k)
    chances = np.exp((logprobs[order] - logprobs.max()) / params.temperature)
    chances /= (sizes * chances).sum()
    if params.top_p < 1:
        before = np.concatenate([[0.0], (sizes * chances).cumsum()[:-1]])
        needed = np.ceil((params.top_p - before) / chances - 1e-9)
        sizes = np.minimum(sizes, np.maximum(needed, 0))
        sizes[0] = max(sizes[0], 1)
    mass = sizes * chances
    place = int(rng.choice(len(mass), p=mass / mass.sum()))
    within = int(rng.integers(int(sizes[place])))
    return int(order[place]) + within * base.buckets


def _first(sizes: Float64Array, count: int) -> Float64Array:
    """How many tokens of each bucket are among the first `count`."""
    before = np.concatenate([[0.0], sizes.cumsum()[:-1]])
    return np.clip(count - before, 0, sizes)
