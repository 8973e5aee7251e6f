"""A grid of recipes."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from openthoughts_cli.config.base import ConfigModel, PlainName, label

__all__ = ["SweepConfig"]


class SweepConfig(ConfigModel):
    """`grid.yaml`: a base recipe and the axes along which it varies."""

    name: PlainName | None = label(None)
    """The sweep's name, and its directory under `sweeps/`. Unset: the name of the grid's file."""

    base: str | dict[str, Any] = Field(default_factory=dict[str, Any])
    """The train config that all cells share: its keys, or the path of a file, relative to the
    grid's."""

    subset: str | dict[str, Any] | None = None
    """The subset that all cells share: a name or path, or the keys of a subset config, which is then
    cut. Each distinct request is cut once."""

    held_out: str | dict[str, Any] | None = Field(
        default=None, examples=[{"dataset": "sample", "limit": 32}]
    )
    """The common evaluation set, given like `subset`: `nll` of every cell reads its rows, and no cell
    trains on one of its questions. Unset: each cell holds out rows of its own subset, and their NLL
    is compared only where these are the same rows."""

    axes: dict[str, tuple[Any, ...]] = Field(
        default_factory=dict[str, tuple[Any, ...]],
        examples=[{"train.learning_rate": [1e-5, 1e-4]}],
    )
    """Dotted keys and their values; all combinations. `train.learning_rate`, `subset.source`,
    `eval.aime25.n` are keys of the train config, of the subset, of the train config's evals;
    `subset` alone is whole subsets."""

    zip: dict[str, tuple[Any, ...]] = Field(
        default_factory=dict[str, tuple[Any, ...]], examples=[{"subset.limit": [64, 128]}]
    )
    """Dotted keys whose values advance together: lists of one length, one more axis in all."""

    include: tuple[dict[str, Any], ...] = Field(
        default=(), examples=[[{"train.learning_rate": 1e-3}]]
    )
    """Further cells, each a mapping of dotted keys; `exclude` does not touch them."""

    exclude: tuple[dict[str, Any], ...] = Field(default=(), examples=[[{"train.lora_rank": 64}]])
    """Cells left out: those that match every key of one of these. One that matches no cell is an
    error."""

    seeds: tuple[int, ...] = Field(default=(0,), examples=[[0, 1, 2]])
    """Each recipe runs once for each of these seeds (`train.seed`)."""

    metric: str = label("eval/nll/mean")
    """The metric that ranks the cells."""

    baseline: str | dict[str, Any] | None = label(None, examples=[{"train.learning_rate": 1e-5}])
    """The recipe that the others are compared with: its name, or dotted keys that only it has. Unset:
    the first."""

    on: Literal["local", "ray"] = label("local")
    """Where the cells run: this machine, or a Ray cluster (the extra `ray`)."""

    address: str | None = label(None)
    """The Ray cluster: `auto`, `ray://host:10001` or `host:6379`. Unset: `$RAY_ADDRESS`, else a Ray of
    its own on this machine."""

    resources: dict[str, float] = label({}, examples=[{"CPU": 1, "GPU": 1}])
    """What Ray reserves for a cell: CPU, GPU, memory (bytes), or a resource of your own. Unset: a
    tenth of a core for a cell of a remote engine, one core for one of the local engine."""

    at_once: int | None = label(None, ge=1)
    """Most cells at once. Unset: on a remote engine all of them, on the local engine as many as the
    cores, GPUs and memory allow, on Ray as the cluster has room."""

    max_requests: int = label(256, ge=1)
    """Most requests of all cells together that wait at a remote engine at once."""

    max_usd: float | None = label(None, gt=0)
    """The limit for the whole sweep, runs that it found unfinished included; also the consent to
    spend up to it."""

    @field_validator("seeds")
    @classmethod
    def _each_seed_once(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not value:
            raise ValueError("seeds is empty, so there is no cell: write at least one, e.g. [0]")
        twice = sorted({seed for seed in value if value.count(seed) > 1})
        if twice:
            raise ValueError(f"seeds names {', '.join(map(str, twice))} twice: a cell runs once")
        if low := [seed for seed in value if seed < 0]:
            raise ValueError(f"seed {low[0]} is below 0")
        return value

    @field_validator("zip")
    @classmethod
    def _same_length(cls, value: dict[str, tuple[Any, ...]]) -> dict[str, tuple[Any, ...]]:
        if len({len(values) for values in value.values()}) > 1:
            lengths = ", ".join(f"{key}: {len(values)}" for key, values in value.items())
            raise ValueError(f"zip needs lists of one length, and these differ ({lengths})")
        return value

    @model_validator(mode="after")
    def _one_place_a_key(self) -> SweepConfig:
        both = sorted(self.axes.keys() & self.zip.keys())
        if both:
            raise ValueError(f"{both[0]} stands in axes and in zip: leave it in one of them")
        return self
