from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from openthoughts_cli.engine.base import SamplingParams  # noqa: E402
from openthoughts_cli.engine.local.draw import answer_generator, draw  # noqa: E402

pytestmark = pytest.mark.torch

CHANCES = (0.4, 0.05, 0.25, 0.1, 0.2)
DRAWS = 4000


def frequencies(params: SamplingParams, chances: Sequence[float] = CHANCES) -> list[float]:
    scores = torch.tensor([chances]).log().expand(DRAWS, -1) + 3.0
    tokens, _ = draw(
        scores, [params] * DRAWS, [answer_generator(11, index) for index in range(DRAWS)]
    )
    counts = Counter(tokens)
    return [counts[token] / DRAWS for token in range(len(chances))]


def expected(weights: Sequence[float]) -> list[float]:
    return [weight / sum(weights) for weight in weights]


@pytest.mark.parametrize(
    ("settings", "weights"),
    [
        ({}, CHANCES),
        ({"temperature": 0.5}, [chance**2 for chance in CHANCES]),
        ({"temperature": 2.0}, [chance**0.5 for chance in CHANCES]),
        ({"top_k": 2}, [0.4, 0, 0.25, 0, 0]),
        ({"top_p": 0.7}, [0.4, 0, 0.25, 0, 0.2]),  # the token that crosses 0.7 is in
        ({"top_p": 0.39}, [0.4, 0, 0, 0, 0]),
        ({"top_k": 3, "top_p": 0.5}, [0.4, 0, 0.25, 0, 0]),  # of 0.85 that top_k leaves
        ({"temperature": 0.5, "top_p": 0.7}, [0.16, 0, 0.0625, 0, 0]),  # temperature comes first
    ],
)
def test_tokens_come_with_the_frequencies_that_the_settings_mean(
    settings: dict[str, float], weights: Sequence[float]
) -> None:
    params = SamplingParams(max_tokens=1, **settings)  # type: ignore[arg-type]
    found = frequencies(params)
    # Four standard errors of a frequency near one half.
    assert found == pytest.approx(expected(weights), abs=4 * 0.5 / DRAWS**0.5)
    assert [f == 0 for f in found] == [w == 0 for w in weights]


def test_temperature_zero_takes_the_likeliest() -> None:
    assert frequencies(SamplingParams(max_tokens=1, temperature=0.0)) == [1, 0, 0, 0, 0]


def test_a_tiny_temperature_is_finite() -> None:
    assert frequencies(SamplingParams(max_tokens=1, temperature=1e-6)) == [1, 0, 0, 0, 0]


def test_log_probabilities_are_those_at_temperature_one_without_cuts() -> None:
    scores = torch.tensor([CHANCES] * 3).log() - 5.0
    params = [
        SamplingParams(max_tokens=1, temperature=0.0),
        SamplingParams(max_tokens=1, temperature=0.3, top_k=1),
        SamplingParams(max_tokens=1, top_p=0.1),
    ]
    tokens, logprobs = draw(scores, params, [answer_generator(1, i) for i in range(3)])
    assert tokens == [0, 0, 0]
    assert logprobs == pytest.approx([np.log(0.4)] * 3, abs=1e-5)


def test_a_wide_nucleus_is_found_beyond_the_first_candidates() -> None:
    chances = np.full(1000, 1 / 1000)
    scores = torch.tensor(chances, dtype=torch.float32).log().expand(2000, -1)
    params = SamplingParams(max_tokens=1, top_p=0.9)
    tokens, _ = draw(scores, [params] * 2000, [answer_generator(5, i) for i in range(2000)])
    assert 700 < len(set(tokens)) <= 901


def test_rows_are_drawn_by_their_own_settings_and_generators() -> None:
    generator = np.random.default_rng(0)
    scores = torch.tensor(generator.normal(size=(6, 50)), dtype=torch.float32)
    params = [
        SamplingParams(max_tokens=1, temperature=t, top_p=p, top_k=k)
        for t, p, k in ((1, 1, 0), (0, 1, 0), (0.7, 0.9, 0), (2, 1, 5), (1, 0.5, 3), (1.5, 1, 0))
    ]
    together, _ = draw(scores, params, [answer_generator(3, i) for i in range(6)])
    alone = [draw(scores[i : i + 1], [params[i]], [answer_generator(3, i)])[0][0] for i in range(6)]
    assert together == alone


def test_seeds_repeat_and_answers_differ() -> None:
    first = [answer_generator(7, index).random(4).tolist() for index in (0, 1)]
    assert first == [answer_generator(7, index).random(4).tolist() for index in (0, 1)]
    assert first[0] != first[1]
    assert answer_generator(None, 0).random() != answer_generator(None, 0).random()
    answer_generator(-1, 0).random()
