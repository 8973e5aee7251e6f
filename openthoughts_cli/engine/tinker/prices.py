"""What tokens cost on the Tinker service: a dated snapshot, and newer figures when reachable.

The snapshot (`prices.json`) holds only figures that were published, each with its source and the
date it was read. A model without one has no price. Nothing here needs the network.
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any

from openthoughts_cli.engine.meter import Price
from openthoughts_cli.errors import NetworkError

__all__ = [
    "PRICES_URL",
    "PublishedPrice",
    "cost_usd",
    "fetch_prices",
    "price_of",
    "published_prices",
]

PRICES_URL = "https://tinker-docs.thinkingmachines.ai/tinker/models.json"
"""One object a model, prices as strings such as "$0.195" (read by tinker_cookbook 0.6.1 too)."""


@dataclass(frozen=True, slots=True)
class PublishedPrice:
    """USD per million tokens of one model, by kind; `as_of` is the day it was read (ISO)."""

    model: str
    prefill: float
    sample: float
    train: float
    as_of: str
    source: str

    @property
    def price(self) -> Price:
        return Price(prefill=self.prefill, sample=self.sample, train=self.train)


@cache
def published_prices() -> Mapping[str, PublishedPrice]:
    """The snapshot that ships with this package, by model."""
    text = (
        files("openthoughts_cli.engine.tinker").joinpath("prices.json").read_text(encoding="utf-8")
    )
    return {row["model"]: PublishedPrice(**row) for row in json.loads(text)["models"]}


def price_of(
    model: str, prices: Mapping[str, PublishedPrice] | None = None
) -> tuple[Price | None, str | None]:
    """The model's price and the day it was read; (None, None) when none is known.

    Args:
        prices: newer ones, from `fetch_prices`; models they lack are looked up in the snapshot.
    """
    known = (prices or {}).get(model) or published_prices().get(model)
    return (None, None) if known is None else (known.price, known.as_of)


def cost_usd(
    model: str,
    prefill_tokens: int,
    sample_tokens: int,
    train_tokens: int,
    prices: Mapping[str, PublishedPrice] | None = None,
) -> float | None:
    """Dollars for that many tokens, without the discount for cached prompts; None: no price known.

    A trainer's forward pass is reported to be billed as training.
    """
    price, _ = price_of(model, prices)
    if price is None:
        return None
    return price.usd(prefill=prefill_tokens, sample=sample_tokens, train=train_tokens)


def fetch_prices(url: str = PRICES_URL, *, timeout_s: float = 4.0) -> Mapping[str, PublishedPrice]:
    """Today's published prices by model. Rows that lack one of the three prices are left out.

    Raises:
        NetworkError: they cannot be read; the snapshot still serves.
    """
    request = urllib.request.Request(url, headers={"User-Agent": "openthoughts-cli"})
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as response:
            rows: Any = json.load(response)
    except (OSError, ValueError) as error:
        raise NetworkError(
            f"the prices at {url} cannot be read: {error}",
            hint="the prices that ship with this version are used; mind their date",
        ) from error
    today = datetime.now(UTC).date().isoformat()
    found: dict[str, PublishedPrice] = {}
    for row in rows if isinstance(rows, list) else []:
        read = _read_row(row, today, url) if isinstance(row, dict) else None
        if read is not None:
            found[read.model] = read
    return found


def _read_row(row: Mapping[str, Any], today: str, url: str) -> PublishedPrice | None:
    model = row.get("tinker_id")
    values = [_dollars(row.get(kind)) for kind in ("prefill", "sample", "train")]
    if not isinstance(model, str):
        return None
    prefill, sample, train = values
    if prefill is None or sample is None or train is None:
        return None
    return PublishedPrice(model, prefill, sample, train, as_of=today, source=url)


def _dollars(text: Any) -> float | None:
    try:
        value = float(str(text).strip().lstrip("$").replace(",", ""))
    except ValueError:
        return None
    return value if 0 <= value < float("inf") else None
