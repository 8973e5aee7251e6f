"""Answers generated side by side with a KV cache, by one set of weights.

Waiting answers are taken in whenever there is room, prefilled in pieces, and joined to those that
run; finished ones leave. When the running ones outgrow the token budget, the newest give way and
are prefilled again later: an answer's state is its tokens and its random generator, no more.
"""

from __future__ import annotations

import inspect
import itertools
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from openthoughts_cli.engine.base import Completion, SamplingParams
from openthoughts_cli.engine.local import cache as kv
from openthoughts_cli.engine.local.draw import draw
from openthoughts_cli.engine.local.weights import Base

__all__ = ["Generation", "Row"]

_PREFILL_TOKENS = 1024
"""Padded prompt tokens in one piece of work; keeps slices short."""
_RESERVE_TOKENS = 128
"""Room that an answer must have to be taken in, if it may become that long."""
_SHORTEST_PREFIX = 16


@dataclass(slots=True)
class Row:
    """One answer in the making; `finish` is called once with the whole of it."""

    prompt: tuple[int, ...]
    params: SamplingParams
    generator: np.random.Generator
    finish: Callable[[Completion], None]
    tokens: list[int] = field(default_factory=list[int])
    logprobs: list[float] = field(default_factory=list[float])
    done: bool = False

    @property
    def context(self) -> tuple[int, ...]:
        return (*self.prompt, *self.tokens)

    @property
    def length(self) -> int:
        return len(self.prompt) + len(self.tokens)


class Generation:
    """The answers of one sampler, waiting and running. `step` does the next piece of work.

    Models whose layers are not all full attention take in new answers only when none is running.
    """

    def __init__(self, base: Base, budget_tokens: int) -> None:
        self._base = base
        self._budget = budget_tokens
        self._cache_argument = _cache_argument(base.model)
        self.waiting: deque[Row] = deque()
        self._rows: list[Row] = []
        self._cache: Any = None
        self._mask = torch.empty(0, 0, dtype=torch.long)  # 1 where a cached token is real
        self._prefix: tuple[tuple[int, ...], Any] | None = None

    @property
    def has_work(self) -> bool:
        return bool(self.waiting or self._rows)

    def abandon(self) -> list[Row]:
        """Give up everything; returns the answers that were not finished."""
        rows = [row for row in (*self._rows, *self.waiting) if not row.done]
        self.waiting.clear()
        self._forget()
        return rows

    @torch.no_grad()
    def step(self) -> None:
        """Take in some waiting answers, or add a token to each running one."""
        chosen = self._choose()
        if chosen:
            self._take_in(chosen)
        else:
            self._decode()
        self._drop_finished()
        if not self.has_work:
            self._forget()

    def _forget(self) -> None:
        self._rows, self._cache, self._prefix = [], None, None

    def _choose(self) -> list[Row]:
        """The answers to take in now, out of the waiting ones and in their order."""
        if self._rows and not kv.is_plain(self._cache):
            return []
        chosen: list[Row] = []
        width = self._mask.shape[1] if self._rows else 0
        contexts: set[tuple[int, ...]] = set()
        longest = 0
        while self.waiting:
            row = self.waiting[0]
            reserve = min(_RESERVE_TOKENS, row.params.max_tokens - len(row.tokens))
            width = max(width, row.length + reserve)
            longest = max(longest, row.length)
            contexts.add(row.context)
            count = len(self._rows) + len(chosen) + 1
            too_many = count * width > self._budget and count > 1
            if too_many or (chosen and len(contexts) * longest > _PREFILL_TOKENS):
                break
            chosen.append(self.waiting.popleft())
        return chosen

    def _take_in(self, chosen: list[Row]) -> None:
        contexts = list(dict.fromkeys(row.context for row in chosen))
        places = {context: place for place, context in enumerate(contexts)}
        rows = [places[row.context] for row in chosen]
        cache, mask, scores = self._prefill(contexts)
        kv.select(cache, rows)
        mask = mask[rows]
        if self._rows:
            self._cache = kv.joined(self._cache, cache)
            width = max(self._mask.shape[1], mask.shape[1])
            self._mask = torch.cat([_padded_left(m, width) for m in (self._mask, mask)])
        else:
            self._cache, self._mask = cache, mask
        self._rows += chosen
        self._add_tokens(chosen, scores[rows])

    def _prefill(self, contexts: list[tuple[int, ...]]) -> tuple[Any, torch.Tensor, torch.Tensor]:
        """Cache, mask and last scores of these contexts, one row each."""
        prefix, cache = self._shared_prefix(contexts)
        rests = [context[len(prefix) :] for context in contexts]
        width = max(len(rest) for rest in rests)
        tokens = torch.zeros(len(rests), width, dtype=torch.long)
        mask = torch.zeros(len(rests), width, dtype=torch.long)
        for row, rest in enumerate(rests):
            tokens[row, width - len(rest) :] = torch.tensor(rest)
            mask[row, width - len(rest) :] = 1
        mask = torch.cat([torch.ones(len(rests), len(prefix), dtype=torch.long), mask], dim=1)
        scores = self._forward(tokens, mask, cache)
        return cache, mask, scores

    def _shared_prefix(self, contexts: list[tuple[int, ...]]) -> tuple[tuple[int, ...], Any]:
        """A common beginning (a system prompt), computed once, and its cache for each context."""
        cache = kv.new_cache(self._base.model.config)
        if len(contexts) == 1 or not kv.is_plain(cache):
            return (), cache
        if self._prefix is None or not _all_begin(contexts, self._prefix[0]):
            upcoming = [row.prompt for row in self.waiting]
            prefix = _common([*contexts, *upcoming]) or _common(contexts)
            if not prefix:
                return (), cache
            self._forward(torch.tensor([prefix]), torch.ones(1, len(prefix)).long(), cache)
            self._prefix = (prefix, cache)
        prefix, kept = self._prefix
        cache = kv.new_cache(self._base.model.config)
        for layer, source in zip(cache.layers, kept.layers, strict=True):
            layer.put(source.keys, source.values)
        kv.select(cache, [0] * len(contexts))
        return prefix, cache

    def _forward(self, tokens: torch.Tensor, mask: torch.Tensor, cache: Any) -> torch.Tensor:
        """Scores after the last token, [rows, vocabulary] in float32; fills the cache."""
        device = self._base.device
        positions = (mask.cumsum(dim=1) - 1).clamp(min=0)[:, -tokens.shape[1] :]
        out = self._base.model(
            input_ids=tokens.to(device),
            attention_mask=mask.to(device),
            position_ids=positions.to(device),
            use_cache=True,
            logits_to_keep=1,
            **{self._cache_argument: cache},
        )
        return out.logits[:, -1].float()

    def _decode(self) -> None:
        self._give_way()
        tokens = torch.tensor([[row.tokens[-1]] for row in self._rows])
        ones = torch.ones(len(self._rows), 1, dtype=torch.long)
        self._mask = torch.cat([self._mask, ones], dim=1)
        self._add_tokens(self._rows, self._forward(tokens, self._mask, self._cache))

    def _add_tokens(self, rows: Sequence[Row], scores: torch.Tensor) -> None:
        tokens, logprobs = draw(
            scores, [row.params for row in rows], [row.generator for row in rows]
        )
        for row, token, logprob in zip(rows, tokens, logprobs, strict=True):
            if row.done:  # it stays until enough others are done as well
                continue
            row.tokens.append(token)
            row.logprobs.append(logprob)
            stopped = token in row.params.stop
            full = row.length >= self._base.info.context_tokens
            if stopped or full or len(row.tokens) >= row.params.max_tokens:
                row.done = True
                reason = "stop" if stopped else "length"
                row.finish(Completion(tuple(row.tokens), reason, tuple(row.logprobs)))

    def _drop_finished(self) -> None:
        """Copying the cache costs about as much as an eighth of its rows does for some tokens."""
        live = [place for place, row in enumerate(self._rows) if not row.done]
        if not live:
            self._rows, self._cache = [], None
        elif len(self._rows) - len(live) > len(self._rows) // 8:
            self._keep(live)

    def _give_way(self) -> None:
        """Send the newest answers back to wait while the next token would break the budget."""
        width = self._mask.shape[1] + 1
        fit = max(1, self._budget // width)
        live = [place for place, row in enumerate(self._rows) if not row.done]
        if len(self._rows) <= fit:
            return
        for place in reversed(live[fit:]):
            self.waiting.appendleft(self._rows[place])
        self._keep(live[:fit])

    def _keep(self, places: list[int]) -> None:
        mask = self._mask[places]
        # Padding that no row needs any more is cut off on the left.
        first = int(mask.argmax(dim=1).min()) if kv.is_plain(self._cache) else 0
        kv.select(self._cache, places, first)
        self._mask = mask[:, first:]
        self._rows = [self._rows[place] for place in places]


def _padded_left(mask: torch.Tensor, width: int) -> torch.Tensor:
    return torch.nn.functional.pad(mask, (width - mask.shape[1], 0))


def _all_begin(contexts: Sequence[tuple[int, ...]], prefix: tuple[int, ...]) -> bool:
    size = len(prefix)
    return all(len(c) > size and c[:size] == prefix for c in contexts)


def _common(contexts: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """The longest beginning that all share, each with something left; () when too short."""
    columns = zip(*(context[:-1] for context in contexts), strict=False)
    same = itertools.takewhile(lambda column: len(set(column)) == 1, columns)
    prefix = tuple(column[0] for column in same)
    return prefix if len(prefix) >= _SHORTEST_PREFIX else ()


def _cache_argument(model: Any) -> str:
    """What `forward` calls the cache: `cache` since transformers 5.24, before `past_key_values`."""
    parameters = inspect.signature(inspect.unwrap(type(model).forward)).parameters
    return "cache" if "cache" in parameters else "past_key_values"
