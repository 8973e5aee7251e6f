"""A grid of recipes."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from openthoughts_cli.config.base import ConfigModel, PlainName, label

__all__ = ["SweepConfig"]


class SweepConfig(ConfigModel):
    """`grid.yaml`: a base recipe and the axes along which it varies."""

    name: PlainName = label("sweep")
    """The sweep's name and directory."""

    base: str | dict[str, Any] = Field(default_factory=dict[str, Any])
    """The train config that all cells share: keys, or the path of a file."""

    subset: str | dict[str, Any] | None = None
    """The subset that all cells share: a name, or the keys of a subset config."""

    axes: dict[str, tuple[Any, ...]] = Field(default_factory=dict[str, tuple[Any, ...]])
    """Dotted keys (`train.learning_rate`, `subset.source`) and their values; all combinations."""

    zip: dict[str, tuple[Any, ...]] = Field(default_factory=dict[str, tuple[Any, ...]])
    """Dotted keys whose values advance together; lists of one length."""

    include: tuple[dict[str, Any], ...] = ()
    """Further cells, each a mapping of dotted keys."""

    exclude: tuple[dict[str, Any], ...] = ()
    """Cells left out: those that match every key of one of these."""

    seeds: tuple[int, ...] = (0,)
    """Each cell runs once for each of these."""

    metric: str = label("eval/nll/mean")
    """The metric that ranks the cells."""

    on: Literal["local", "ray"] = label("local")
    """Where the cells run."""

    max_usd: float | None = Field(default=None, gt=0)
    """The limit for the whole sweep."""

    @field_validator("zip")
    @classmethod
    def _same_length(cls, value: dict[str, tuple[Any, ...]]) -> dict[str, tuple[Any, ...]]:
        if len({len(values) for values in value.values()}) > 1:
            lengths = ", ".join(f"{key}: {len(values)}" for key, values in value.items())
            raise ValueError(f"zip needs lists of one length, and these differ ({lengths})")
        return value
