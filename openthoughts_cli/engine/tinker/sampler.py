"""A sampler on a Tinker server, behind the port."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING

import tinker

from openthoughts_cli.engine.base import Completion, ModelInfo, SamplingParams
from openthoughts_cli.engine.tinker.futures import Requests
from openthoughts_cli.engine.tinker.patience import Patience
from openthoughts_cli.errors import ModelError

if TYPE_CHECKING:
    from tinker import SampleResponse

__all__ = ["TinkerSampler"]


class TinkerSampler:
    """Frozen weights. The n answers of a prompt are one request: equal seeds on repeated requests
    may give equal answers."""

    def __init__(self, client: tinker.SamplingClient, model: ModelInfo, patience: Patience) -> None:
        self.model = model
        self._client = client
        self._requests = Requests(patience, in_order=False)

    def sample(
        self, prompt: Sequence[int], params: SamplingParams
    ) -> Awaitable[tuple[Completion, ...]]:
        room = self._room(prompt, 1)
        sent = tinker.SamplingParams(
            max_tokens=min(params.max_tokens, room),
            seed=params.seed,
            stop=list(params.stop),
            temperature=params.temperature,
            top_p=params.top_p,
            top_k=params.top_k if params.top_k > 0 else -1,
        )
        request = self._client.sample(
            tinker.ModelInput.from_ints(list(prompt)), num_samples=params.n, sampling_params=sent
        )
        return self._requests.answered(request, _read)

    def logprobs(self, tokens: Sequence[int]) -> Awaitable[tuple[float | None, ...]]:
        self._room(tokens, 0)
        request = self._client.compute_logprobs(tinker.ModelInput.from_ints(list(tokens)))
        return self._requests.answered(request, tuple)

    def _room(self, tokens: Sequence[int], least: int) -> int:
        """The tokens that the context leaves for an answer."""
        if not tokens:
            raise ValueError("an empty prompt")
        room = self.model.context_tokens - len(tokens)
        if room < least:
            raise ModelError(
                f"a prompt of {len(tokens):,} tokens leaves no room in the context of "
                f"{self.model.context_tokens:,} tokens of {self.model.name}",
                hint="choose a model with a longer context",
            )
        return room


def _read(response: SampleResponse) -> tuple[Completion, ...]:
    return tuple(
        Completion(
            tuple(sequence.tokens),
            sequence.stop_reason,
            None if sequence.logprobs is None else tuple(sequence.logprobs),
        )
        for sequence in response.sequences
    )
