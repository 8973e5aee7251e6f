"""Prices: cited, dated, and None where unknown."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date

import pytest

from openthoughts_cli.engine.tinker.prices import (
    cost_usd,
    fetch_prices,
    price_of,
    published_prices,
)
from openthoughts_cli.errors import NetworkError
from tests.doubles.loopback_http import HttpRequest, HttpResponse, LoopbackServer


def _serve(content: bytes) -> LoopbackServer:
    async def answer(request: HttpRequest) -> HttpResponse:
        return HttpResponse(200, content, headers={"connection": "close"})

    return LoopbackServer(answer)


@pytest.fixture
def served(request: pytest.FixtureRequest) -> Iterator[str]:
    server = _serve(request.param)
    server.start()
    yield server.url
    server.stop()


def test_every_price_names_its_source_and_its_day() -> None:
    for model, price in published_prices().items():
        assert model == price.model
        assert "/" in model
        assert "://" in price.source
        assert date.fromisoformat(price.as_of) <= date.today()  # noqa: DTZ011 - a day, no time
        assert 0 < price.prefill <= price.sample
        assert price.train > 0


def test_a_cost_is_the_sum_of_its_kinds() -> None:
    known = published_prices()["Qwen/Qwen3-8B"]
    expected = 2 * known.prefill + 3 * known.sample + 5 * known.train
    assert cost_usd("Qwen/Qwen3-8B", 2_000_000, 3_000_000, 5_000_000) == pytest.approx(expected)
    assert cost_usd("Qwen/Qwen3-8B", 0, 0, 0) == 0.0


def test_an_unknown_model_has_no_cost() -> None:
    assert cost_usd("nobody/no-such-model", 1, 1, 1) is None
    assert price_of("nobody/no-such-model") == (None, None)


_ROWS = [
    {"tinker_id": "Qwen/Qwen3-8B", "prefill": "$1.50", "sample": "$2", "train": "$1,000.25"},
    {"tinker_id": "no/train", "prefill": "$1.50", "sample": "$2"},
    {"tinker_id": "no/number", "prefill": "free", "sample": "$2", "train": "$1"},
    {"name": "no id", "prefill": "$1", "sample": "$2", "train": "$1"},
    "not a row",
]


@pytest.mark.parametrize("served", [json.dumps(_ROWS).encode()], indirect=True)
def test_fetched_prices_win_over_the_snapshot(served: str) -> None:
    fetched = fetch_prices(served)
    assert set(fetched) == {"Qwen/Qwen3-8B"}
    price, as_of = price_of("Qwen/Qwen3-8B", fetched)
    assert price is not None
    assert (price.prefill, price.sample, price.train) == (1.5, 2.0, 1000.25)
    assert as_of == fetched["Qwen/Qwen3-8B"].as_of
    assert cost_usd("Qwen/Qwen3-8B", 1_000_000, 0, 0, fetched) == 1.5
    assert cost_usd("openai/gpt-oss-20b", 1, 0, 0, fetched) is not None


@pytest.mark.parametrize("served", [b"<html>", b""], indirect=True)
def test_prices_that_are_no_json_are_a_network_error(served: str) -> None:
    with pytest.raises(NetworkError, match="cannot be read"):
        fetch_prices(served)


def test_an_unreachable_page_fails_within_seconds() -> None:
    with pytest.raises(NetworkError, match="cannot be read"):
        fetch_prices("http://127.0.0.1:1/models.json")
