"""One token for each of several answers, out of the scores of the vocabulary.

Order as in transformers and vLLM: temperature, then top_k, then top_p of what top_k left. A token
is the inverse of the cumulative distribution, in vocabulary order, at one uniform number of the
answer's own generator: what else is in the batch does not change an answer's numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from openthoughts_cli.engine.base import SamplingParams

__all__ = ["answer_generator", "draw"]

_CANDIDATES = 256
"""A nucleus is looked for among this many tokens before the whole vocabulary is sorted."""


def answer_generator(seed: int | None, index: int) -> np.random.Generator:
    """The random numbers of a request's answer number `index`; without a seed, never the same."""
    entropy = np.random.SeedSequence().entropy if seed is None else seed % (1 << 64)
    assert isinstance(entropy, int)
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([entropy, index])))


def draw(
    scores: torch.Tensor,
    params: Sequence[SamplingParams],
    generators: Sequence[np.random.Generator],
) -> tuple[list[int], list[float]]:
    """A token a row of `scores` [rows, vocabulary], float32, and its log-probability.

    The log-probability is that of the distribution at temperature 1 over the whole vocabulary.
    """
    tokens = scores.argmax(dim=-1)
    sampled = [row for row, p in enumerate(params) if p.temperature > 0]
    if sampled:
        uniform = [generators[row].random() for row in sampled]
        whole = len(sampled) == len(params)
        rows = torch.tensor(sampled, device=scores.device)
        some = scores if whole else scores[rows]
        tokens[rows] = _sample(some, [params[row] for row in sampled], uniform)
    logprobs = scores.gather(1, tokens[:, None])[:, 0] - scores.logsumexp(dim=-1)
    return tokens.tolist(), logprobs.tolist()


def _sample(
    scores: torch.Tensor, params: Sequence[SamplingParams], uniform: Sequence[float]
) -> torch.Tensor:
    temperature = torch.tensor([p.temperature for p in params], device=scores.device)
    # The highest score first: a tiny temperature then gives 0 and -inf, never an overflow.
    scaled = (scores - scores.amax(dim=-1, keepdim=True)) / temperature[:, None]
    chances = scaled.softmax(dim=-1)
    cut = [row for row, p in enumerate(params) if p.top_k > 0 or p.top_p < 1]
    if cut:
        rows = torch.tensor(cut, device=scores.device)
        chances[rows] = _truncated(chances[rows], [params[row] for row in cut])
    cumulative = chances.cumsum(dim=-1)
    total = cumulative[:, -1:].contiguous()
    point = torch.tensor(uniform, device=scores.device, dtype=total.dtype)[:, None] * total
    # Rounding may bring the point up to the total: the last token with a chance is the limit.
    last = torch.searchsorted(cumulative, total)
    return torch.searchsorted(cumulative, point, right=True).minimum(last)[:, 0]


def _truncated(chances: torch.Tensor, params: Sequence[SamplingParams]) -> torch.Tensor:
    """`chances` with zeros outside of top_k and top_p."""
    size = chances.shape[-1]
    device = chances.device
    top_k = torch.tensor([p.top_k or size for p in params], device=device)[:, None]
    top_p = torch.tensor([p.top_p for p in params], device=device)[:, None]
    count = max(_CANDIDATES, *(p.top_k for p in params)) if len(params) > 0 else _CANDIDATES
    count = min(count, size)
    while True:
        values, order = chances.topk(count, dim=-1)
        values = values * (torch.arange(count, device=device)[None, :] < top_k)
        before = values.cumsum(dim=-1) - values
        mass = torch.where(
            top_k >= size, chances.sum(-1, keepdim=True), values.sum(-1, keepdim=True)
        )
        keep = (before < top_p * mass) | (top_p >= 1)
        # A row is decided when its last candidate is out, or when no more can come in.
        open_ended = keep[:, -1] & (top_k[:, 0] > count)
        if count == size or not bool(open_ended.any()):
            return torch.zeros_like(chances).scatter_(1, order, values * keep)
        count = size
