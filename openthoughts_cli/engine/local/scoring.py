"""Log-probabilities of given tokens, and their gradient, in pieces that fit the memory.

A batch goes through the model in micro-batches of a token budget, sorted by length and padded on
the right. The vocabulary's scores are the largest array of all, so they are made for a few
positions at a time; where a gradient is wanted, the piece's own backward pass runs at once and
only the gradient of its input is kept (the loss is a sum, so the pieces are independent).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager

import numpy as np
import numpy.typing as npt
import torch

from openthoughts_cli.engine.base import Datum
from openthoughts_cli.engine.local.weights import Base
from openthoughts_cli.errors import EngineError, ModelError

__all__ = ["check_data", "check_tokens", "micro_batches", "score"]

_SCORES_AT_ONCE = 1 << 24
"""Elements of positions x vocabulary: 64 MiB in float32."""

Float32Array = npt.NDArray[np.float32]


def check_data(base: Base, batch: Sequence[Datum]) -> None:
    """Refuse what the model cannot take, before anything is computed.

    Raises:
        EngineError: no data, or a token id outside of the vocabulary.
        ModelError: a sequence longer than the context.
    """
    if not batch:
        raise EngineError("a batch needs at least one datum")
    for index, datum in enumerate(batch):
        check_tokens(base, datum.input_tokens, f"datum {index}")
        check_tokens(base, datum.target_tokens, f"datum {index}")


def check_tokens(base: Base, tokens: npt.NDArray[np.int64], what: str) -> None:
    """The same for one sequence of token ids."""
    if tokens.size > base.info.context_tokens:
        raise ModelError(
            f"{what} has {tokens.size} tokens and the context of {base.info.name} is "
            f"{base.info.context_tokens}",
            hint="lower the token limit of the subset, or choose a model with a longer context",
        )
    if tokens.size and (int(tokens.min()) < 0 or int(tokens.max()) >= base.vocab_size):
        raise EngineError(
            f"{what} has a token id outside of the vocabulary of {base.info.name} "
            f"(0 to {base.vocab_size - 1})",
            hint="the tokens were made by another model's tokenizer",
        )


def micro_batches(lengths: Sequence[int], budget_tokens: int) -> list[list[int]]:
    """Indices in groups of at most `budget_tokens` padded tokens (or of one sequence).

    Longest first, so that what does not fit the memory fails at once; ties keep their order.
    """
    groups: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if groups and (len(groups[-1]) + 1) * lengths[groups[-1][0]] <= budget_tokens:
            groups[-1].append(index)
        else:
            groups.append([index])
    return groups


def score(
    base: Base,
    batch: Sequence[Datum],
    *,
    budget_tokens: int,
    turn: Callable[[], AbstractContextManager[object]],
    adapter: str | None,
    backward: bool = False,
    scores_at_once: int = _SCORES_AT_ONCE,
) -> tuple[Float32Array, ...]:
    """Log-probability of every target token, one float32 vector a datum, in the batch's order.

    Args:
        budget_tokens: most padded tokens at once; a longer single sequence is recomputed layer by
            layer in the backward pass instead of kept.
        turn: entered around each micro-batch.
        adapter: switched on for each micro-batch.
        backward: add the gradient of -sum(weight * logprob) to the adapter's weights.
        scores_at_once: most positions x vocabulary for which scores are held.
    """
    out: list[Float32Array] = [np.empty(0, np.float32)] * len(batch)
    lengths = [datum.input_tokens.size for datum in batch]
    for group in micro_batches(lengths, budget_tokens):
        data = [batch[index] for index in group]
        with turn():
            base.activate(adapter)
            over_budget = backward and lengths[group[0]] > budget_tokens
            with base.recomputed_activations(over_budget):
                rows = _micro_batch(base, data, backward, max(1, scores_at_once // base.vocab_size))
        for index, row in zip(group, rows, strict=True):
            out[index] = row
    return tuple(out)


def _micro_batch(
    base: Base, data: Sequence[Datum], backward: bool, piece: int
) -> list[Float32Array]:
    lengths = [datum.input_tokens.size for datum in data]
    tokens = _padded(data, lengths).to(base.device)
    targets = _joined((d.target_tokens for d in data), np.int64).to(base.device)
    weights = _joined((d.weights for d in data), np.float32).to(base.device)
    real = torch.arange(tokens.shape[1])[None, :] < torch.tensor(lengths)[:, None]
    with torch.set_grad_enabled(backward):
        features = base.features(tokens)[real.to(base.device)]
    if backward:
        logprobs, gradient = _with_gradient(base, features.detach(), targets, weights, piece)
        if features.requires_grad:
            torch.autograd.backward(features, gradient)
    else:
        logprobs = _logprobs(base, features, targets, piece)
    flat = logprobs.cpu().numpy()
    return [piece.copy() for piece in np.split(flat, np.cumsum(lengths)[:-1])]


def _padded(data: Sequence[Datum], lengths: Sequence[int]) -> torch.Tensor:
    tokens = np.zeros((len(data), max(lengths)), np.int64)
    for row, datum in zip(tokens, data, strict=True):
        row[: datum.input_tokens.size] = datum.input_tokens
    return torch.from_numpy(tokens)


def _joined(vectors: Iterable[npt.NDArray[np.generic]], dtype: type) -> torch.Tensor:
    return torch.from_numpy(np.concatenate(list(vectors)).astype(dtype))


@torch.no_grad()
def _logprobs(
    base: Base, features: torch.Tensor, targets: torch.Tensor, piece: int
) -> torch.Tensor:
    pairs = zip(features.split(piece), targets.split(piece), strict=True)
    return torch.cat([_target_logprobs(base, *pair) for pair in pairs])


def _target_logprobs(base: Base, features: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return -torch.nn.functional.cross_entropy(base.logits(features), targets, reduction="none")


def _with_gradient(
    base: Base, features: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor, piece: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probabilities, and the loss's gradient by the features (zero where no weight is)."""
    logprobs = torch.empty(len(targets), device=targets.device)
    gradient = torch.zeros_like(features)
    without = (weights == 0).nonzero()[:, 0]
    if len(without):
        logprobs[without] = _logprobs(base, features[without], targets[without], piece)
    for rows in weights.nonzero()[:, 0].split(piece):
        if not len(rows):
            continue
        part = features[rows].requires_grad_()
        with torch.enable_grad():
            values = _target_logprobs(base, part, targets[rows])
            loss = -(weights[rows] * values).sum()
        loss.backward()
        logprobs[rows] = values.detach()
        assert part.grad is not None
        gradient[rows] = part.grad
    return logprobs, gradient
