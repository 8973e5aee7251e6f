"""What a subset is cut from, and how."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from openthoughts_cli.config.base import ConfigModel, label
from openthoughts_cli.config.sources import (
    DEFAULT_DATASET,
    DOMAINS,
    SAMPLE_DATASET,
    SOURCES,
)

__all__ = ["DEFAULT_TOKENIZER", "SubsetConfig", "short_source_name"]

DEFAULT_TOKENIZER = "Qwen/Qwen3-4B-Instruct-2507"

_FULL_NAME = {source.short: source.full for source in SOURCES} | {
    source.full: source.full for source in SOURCES
}
_SHORT_NAME = {source.full: source.short for source in SOURCES}


def short_source_name(full: str) -> str:
    """`ai2-adapt-dev/openmath-2-math` -> `openmath`; a name that is not known stays as it is."""
    return _SHORT_NAME.get(full, full)


class SubsetConfig(ConfigModel):
    """`ot subset`: which rows, chosen how, written where."""

    dataset: str = DEFAULT_DATASET
    """Where the rows come from: a Hugging Face data set id (`owner/name`, optionally
    `owner/name@revision`), a folder or glob of parquet files, or `sample`, the built-in rows."""

    source: tuple[str, ...] = Field(default=(), examples=[["openmath"]])
    """Keep rows of these sources: openmath, opencode, codegolf, chemistry, physics or a full name
    from the `source` column. Empty, or `all`: every source."""

    domain: tuple[str, ...] = Field(default=(), examples=[["math"]])
    """Keep rows of these domains: code, math, science. Empty, or `all`: every domain."""

    max_tokens: int = Field(default=8192, ge=1)
    """The longest row kept, in tokens: prompt and answer as the trainer sees them, with the
    end-of-turn token."""

    min_tokens: int = Field(default=0, ge=0)
    """The shortest row kept, in tokens, counted in the same way."""

    limit: int = Field(default=100, ge=1)
    """How many rows to choose. Fewer are written, with a warning, when fewer pass the filters."""

    seed: int = Field(default=42, ge=0)
    """Chooses which rows. A larger `limit` of the same seed contains the smaller one."""

    full: bool = False
    """Of a hub data set above 1 GB, read all files. Otherwise a seeded choice of a few of those that
    hold the sources is fetched, and said."""

    tokenizer: str = DEFAULT_TOKENIZER
    """Whose tokens are counted: a model id or folder. Its chat template is part of the count."""

    control_tokens: Literal["drop", "keep"] = "drop"
    """What to do with rows whose text spells a control token such as `<|im_end|>`: drop and count
    them, or keep them (the model then sees a real control token)."""

    name: str | None = label(None)
    """The subset's name. Unset: openthoughts_<domain>_<source>_t<max_tokens>_n<limit>."""

    output_dir: Path | None = label(None)
    """The directory that receives the subset. Unset: `$OT_SUBSETS`, else `subsets`."""

    @field_validator("source", "domain", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("domain")
    @classmethod
    def _known_domains(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if name != "all" and name not in DOMAINS:
                raise ValueError(_unknown("domain", name, [*DOMAINS, "all"]))
        return () if "all" in value else tuple(sorted(set(value)))

    @field_validator("source")
    @classmethod
    def _full_source_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return () if "all" in value else tuple(sorted({_FULL_NAME.get(s, s) for s in value}))

    @field_validator("name")
    @classmethod
    def _a_plain_name(cls, value: str | None) -> str | None:
        if value is not None:
            check_name(value)
        return value

    @model_validator(mode="after")
    def _possible(self) -> SubsetConfig:
        if self.min_tokens > self.max_tokens:
            raise ValueError(
                f"min_tokens {self.min_tokens} is above max_tokens {self.max_tokens}: "
                "no row can pass both"
            )
        if self.dataset in (DEFAULT_DATASET, SAMPLE_DATASET):
            for name in self.source:
                if name not in _SHORT_NAME:
                    choices = [source.short for source in SOURCES] + ["all"]
                    raise ValueError(_unknown("source", name, choices))
        return self

    def default_name(self) -> str:
        """The name of the reference: openthoughts_<domain>_<source>_t<max_tokens>_n<limit>."""
        domain = "-".join(self.domain) or "all_domains"
        source = "-".join(short_source_name(name) for name in self.source) or "all_sources"
        safe = "".join(c if c.isalnum() or c in "-_." else "-" for c in f"{domain}_{source}")
        return f"openthoughts_{safe}_t{self.max_tokens}_n{self.limit}"


def check_name(value: str) -> None:
    """Refuse a name that could leave its directory or upset a shell.

    Raises:
        ValueError: with the rule.
    """
    allowed = all(c.isascii() and (c.isalnum() or c in "-_.") for c in value)
    if not value or not allowed or not value[0].isalnum() or len(value) > 120:
        raise ValueError(
            f"{value!r} is not a usable name: letters, digits, '-', '_' and '.', "
            "starting with a letter or digit, at most 120 characters"
        )


def _unknown(kind: str, name: str, choices: list[str]) -> str:
    close = difflib.get_close_matches(name, choices, n=1)
    guess = f" (did you mean {close[0]}?)" if close else ""
    return f"unknown {kind} {name!r}{guess}; choose from {', '.join(choices)}"
