"""What the cells of a sweep share while they are planned and run: read once, kept in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

from openthoughts_cli.chat.renderer import Example, Measure, Renderer
from openthoughts_cli.config.benchmark import NLL
from openthoughts_cli.config.train import TrainConfig
from openthoughts_cli.data.subset import Subset
from openthoughts_cli.digests import digest_value
from openthoughts_cli.engine.base import Engine, ModelInfo
from openthoughts_cli.engine.meter import Price
from openthoughts_cli.evals.benchmark import Benchmark, benchmark
from openthoughts_cli.events import Listener
from openthoughts_cli.training.examples import Packed, TrainingRows, render_rows
from openthoughts_cli.training.receipt import Past
from openthoughts_cli.training.surroundings import Surroundings

if TYPE_CHECKING:
    from openthoughts_cli.data.rows import Row

__all__ = ["SharedSurroundings"]

T = TypeVar("T")

_NO_LIMIT = 1 << 62
_REMEMBERED = 4
_MOST_ROWS = 512


class _RememberingRenderer(Renderer):
    """A renderer that knows its last few requests again: cells with common held-out rows have their
    evaluations tokenise the same rows, each time all of them."""

    def __init__(self, inner: Renderer) -> None:
        self.__dict__.update(inner.__dict__)
        self._examples = lru_cache(_REMEMBERED)(inner.examples)
        self._measures = lru_cache(_REMEMBERED)(inner.measure)

    def examples(self, rows: Sequence[tuple[str, str]]) -> list[Example]:
        if len(rows) > _MOST_ROWS:
            return super().examples(rows)
        return self._examples(tuple(rows))

    def measure(self, rows: Sequence[tuple[str, str, int]]) -> list[Measure]:
        if len(rows) > _MOST_ROWS:
            return super().measure(rows)
        return self._measures(tuple(rows))


class SharedSurroundings(Surroundings):
    """Each subset, tokenizer, model, price and rendered row is worked out once."""

    def __init__(self) -> None:
        self._kept: dict[tuple[Any, ...], Any] = {}
        self._packed: dict[tuple[str, bool], dict[str, Packed | None]] = {}

    def _once(self, key: tuple[Any, ...], make: Callable[[], T]) -> T:
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]

    def load_subset(self, name: str) -> Subset:
        load = super().load_subset
        return self._once(("subset", name), lambda: load(name))

    def keep_subset(self, name: str, subset: Subset) -> None:
        """A subset that was cut or found already."""
        self._kept["subset", name] = subset

    def kept_subset(self, name: str) -> Subset | None:
        """The subset that `keep_subset` was given under this name."""
        return self._kept.get(("subset", name))

    def rows(self, subset: Subset) -> list[Row]:
        return self._once(("rows", subset.path), subset.rows)

    def load_renderer(self, model: str, listener: Listener) -> Renderer:
        load = super().load_renderer
        return self._once(("renderer", model), lambda: _RememberingRenderer(load(model, listener)))

    def render(
        self,
        rows: Sequence[Row],
        renderer: Renderer,
        *,
        max_tokens: int,
        keep_control_tokens: bool,
    ) -> TrainingRows:
        """As the base does it, each row rendered once for all cells that have it."""
        known = self._packed.setdefault((renderer.digest, keep_control_tokens), {})
        new = [row for row in rows if row.row_id not in known]
        if new:
            made = render_rows(
                new, renderer, max_tokens=_NO_LIMIT, keep_control_tokens=keep_control_tokens
            )
            known.update(dict.fromkeys(row.row_id for row in new))
            known.update(
                (row.row_id, packed) for row, packed in zip(made.rows, made.packed, strict=True)
            )
        kept: list[Row] = []
        packed_rows: list[Packed] = []
        dropped = {"control_tokens": 0, "too_long": 0}
        for row in rows:
            packed = known[row.row_id]
            if packed is None:
                dropped["control_tokens"] += 1
            elif packed.num_tokens > max_tokens:
                dropped["too_long"] += 1
            else:
                kept.append(row)
                packed_rows.append(packed)
        return TrainingRows(tuple(kept), tuple(packed_rows), dropped)

    async def describe(self, engine: Engine, model: str) -> ModelInfo:
        key = ("model", id(engine), model)
        if key not in self._kept:
            self._kept[key] = await super().describe(engine, model)
        return self._kept[key]

    def benchmarks(self, config: TrainConfig) -> dict[str, Benchmark]:
        return {
            name: self._once(
                ("benchmark", name, digest_value(settings.identity())),
                lambda name=name, settings=settings: benchmark(name).configured(settings),
            )
            for name, settings in config.evals.items()
            if name != NLL
        }

    def price(
        self, engine: Engine, model: str, listener: Listener
    ) -> tuple[Price | None, str | None]:
        ask = super().price
        return self._once(("price", engine.kind, model), lambda: ask(engine, model, listener))

    def past(self, model: str, engine_kind: str) -> Past:
        ask = super().past
        return self._once(("past", model, engine_kind), lambda: ask(model, engine_kind))
