"""Where planning a run takes things from: disk, engine and network."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from openthoughts_cli.chat.renderer import load_renderer
from openthoughts_cli.config.benchmark import NLL
from openthoughts_cli.config.train import TrainConfig
from openthoughts_cli.data.subset import Subset, load_subset
from openthoughts_cli.engine.base import Engine, ModelInfo
from openthoughts_cli.engine.meter import Price
from openthoughts_cli.errors import NetworkError
from openthoughts_cli.evals.benchmark import Benchmark, benchmark
from openthoughts_cli.events import Listener, Notice
from openthoughts_cli.training.examples import TrainingRows, render_rows
from openthoughts_cli.training.receipt import Past, past_of

if TYPE_CHECKING:
    from openthoughts_cli.chat.renderer import Renderer
    from openthoughts_cli.data.rows import Row

__all__ = ["Surroundings"]

_PRICES_S = 4.0


class Surroundings:
    """Takes everything anew each time.

    A sweep hands its cells one that remembers, so that what they share is read once.
    """

    def load_subset(self, name: str) -> Subset:
        """As `data.subset.load_subset`."""
        return load_subset(name)

    def rows(self, subset: Subset) -> list[Row]:
        """The subset's rows, checked against its digest."""
        return subset.rows()

    def load_renderer(self, model: str, listener: Listener) -> Renderer:
        """As `chat.renderer.load_renderer`."""
        return load_renderer(model, listener=listener)

    def render(
        self,
        rows: Sequence[Row],
        renderer: Renderer,
        *,
        max_tokens: int,
        keep_control_tokens: bool,
    ) -> TrainingRows:
        """As `training.examples.render_rows`."""
        return render_rows(
            rows, renderer, max_tokens=max_tokens, keep_control_tokens=keep_control_tokens
        )

    async def describe(self, engine: Engine, model: str) -> ModelInfo:
        """What the engine says of a model that is to be trained."""
        return await engine.describe(model, train=True)

    def benchmarks(self, config: TrainConfig) -> dict[str, Benchmark]:
        """The config's benchmarks that sample, by name, with the prompts it names."""
        sampled = {name: plan for name, plan in config.evals.items() if name != NLL}
        return {name: benchmark(name).configured(plan) for name, plan in sampled.items()}

    def price(
        self, engine: Engine, model: str, listener: Listener
    ) -> tuple[Price | None, str | None]:
        """The model's price and the date of the list; (None, None) when it is free or unknown."""
        return _price(engine, model, listener)

    def past(self, model: str, engine_kind: str) -> Past:
        """What earlier runs of the model measured."""
        return past_of(model, engine_kind)


def _price(engine: Engine, model: str, listener: Listener) -> tuple[Price | None, str | None]:
    """The published list is read when it answers within seconds; else the snapshot serves."""
    if not engine.costs_money:
        return None, None
    from openthoughts_cli.engine.tinker.prices import PublishedPrice, fetch_prices, price_of

    found: list[Mapping[str, PublishedPrice]] = []

    def ask() -> None:
        with contextlib.suppress(NetworkError):
            found.append(fetch_prices(timeout_s=_PRICES_S))

    # A thread of its own, since looking a host up may take longer than any time limit.
    thread = threading.Thread(target=ask, name="prices", daemon=True)
    thread.start()
    thread.join(_PRICES_S)
    price, as_of = price_of(model, found[0] if found else None)
    if not found and price is not None:
        listener(Notice(f"the published prices cannot be reached: those of {as_of} are used"))
    return price, as_of
