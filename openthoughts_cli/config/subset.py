"""What a subset is cut from, and how."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from openthoughts_cli.config.base import ConfigModel, PlainName, label
from openthoughts_cli.config.choice import (
    full_source_name,
    parse_levels,
    parse_mix,
    short_source_name,
)
from openthoughts_cli.config.sources import (
    DEFAULT_DATASET,
    DOMAINS,
    SAMPLE_DATASET,
    SOURCES,
)
from openthoughts_cli.words import did_you_mean

__all__ = ["DEFAULT_TOKENIZER", "SubsetConfig", "short_source_name"]

DEFAULT_TOKENIZER = "Qwen/Qwen3-4B-Instruct-2507"

DEFAULT_LIMIT = 100


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

    max_assistant_tokens: int | None = Field(default=None, ge=1)
    """The longest response kept, in tokens: thinking and answer, with the end-of-turn token."""

    max_thinking_tokens: int | None = Field(default=None, ge=0)
    """The longest thinking kept, in tokens: up to and with `</think>`."""

    difficulty: tuple[str, ...] = Field(default=(), examples=[["7..9"]])
    """Keep rows of these levels: 8, a range such as 7..9, or `none` for rows without a level.
    Empty: all."""

    closed: bool = False
    """Keep only rows whose answer closes its thinking with `</think>`."""

    boxed: bool = False
    r"""Keep only rows whose answer has a `\boxed`."""

    where: str | None = Field(default=None, examples=["tokens_thinking > 4 * tokens_answer"])
    """Keep rows for which this SQL predicate is true. Its columns: source, domain, difficulty,
    tokens, tokens_question, tokens_thinking, tokens_answer, closed, boxed."""

    answers_per_question: int | None = Field(default=None, ge=1, examples=[4])
    """The most rows of one question. Unset: all of them."""

    dedup: Literal["none", "exact"] = "none"
    """`exact`: a question that differs only in case, white space or Unicode form counts once, with
    one row; with `answers_per_question` it has so many rows, whose answers differ."""

    decontaminate: tuple[str, ...] = Field(default=(), examples=[["aime25"]])
    """Leave out rows whose question overlaps one of these: aime25, gpqa, livecodebench,
    arithmetic, or a .jsonl file of rows with `question` or `problem`."""

    ngram: Literal[8, 13] = 8
    """Words in a row that a question must share with a benchmark's before the two are compared."""

    order: Literal["random", "hardest", "longest", "shortest"] = "random"
    """Which rows come first: by the seed alone; by difficulty, the highest first and those without
    a level last; by the tokens of the response. The seed decides among equals."""

    limit: int | None = Field(default=None, ge=1, examples=[100])
    """How many rows to choose: 100, unless `questions` is set. Fewer are written, with a warning,
    when fewer pass the filters."""

    questions: int | None = Field(default=None, ge=1, examples=[50])
    """Choose so many questions in place of `limit` rows, each with all its rows that pass."""

    seed: int = Field(default=42, ge=0)
    """Chooses which rows. A larger `limit` of the same seed contains the smaller one."""

    mix: dict[str, float] | str | None = Field(
        default=None, examples=[{"openmath": 0.5, "physics": 0.5}]
    )
    """Shares by source; or `top2`: equal shares of the first 2 sources of `ranking`."""

    ranking: Path | None = None
    """A file that ranks sources, the best first (a JSON, YAML or CSV list), or scores them."""

    mix_by: Literal["rows", "tokens"] = "rows"
    """What the shares of `mix` are of: rows (questions with `questions`), or their tokens."""

    allow_short: bool = False
    """Where a source of `mix` has fewer rows than its share, take those; the others keep theirs."""

    full: bool = False
    """Of a hub data set above 1 GB, read all files. Otherwise a seeded choice of a few of those that
    hold the sources is fetched, and said."""

    skip_bad_files: bool = False
    """Leave out parquet files that cannot be read or lack columns, with a warning; they are recorded.
    Otherwise such a file is an error, and nothing is written."""

    tokenizer: str = DEFAULT_TOKENIZER
    """Whose tokens are counted: a model id or folder. Its chat template is part of the count."""

    control_tokens: Literal["drop", "keep"] = "drop"
    """What to do with rows whose text spells a control token such as `<|im_end|>`: drop and count
    them, or keep them (the model then sees a real control token)."""

    name: PlainName | None = label(None)
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
        return () if "all" in value else tuple(sorted({full_source_name(s) for s in value}))

    @field_validator("difficulty", "decontaminate", mode="before")
    @classmethod
    def _one_or_a_list(cls, value: Any) -> Any:
        items = value if isinstance(value, (list, tuple)) else [value]
        return tuple(part.strip() for item in items for part in str(item).split(","))

    @field_validator("difficulty")
    @classmethod
    def _levels(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        parse_levels(value)
        return tuple(sorted(set(value)))

    @field_validator("decontaminate")
    @classmethod
    def _each_once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(sorted(set(value)))

    @field_validator("mix", mode="before")
    @classmethod
    def _shares(cls, value: Any) -> Any:
        return parse_mix(value)

    @model_validator(mode="before")
    @classmethod
    def _rows_or_questions(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("limit") is None and data.get("questions") is None:
            return {**data, "limit": DEFAULT_LIMIT}
        return data

    @model_validator(mode="after")
    def _possible(self) -> SubsetConfig:
        if self.min_tokens > self.max_tokens:
            raise ValueError(
                f"min_tokens {self.min_tokens} is above max_tokens {self.max_tokens}: "
                "no row can pass both"
            )
        if self.limit is not None and self.questions is not None:
            raise ValueError("limit counts rows and questions counts questions: give one of them")
        self._check_mixture()
        mixed = self.mix if isinstance(self.mix, dict) else {}
        if self.dataset in (DEFAULT_DATASET, SAMPLE_DATASET):
            for name in (*self.source, *mixed):
                if name not in {source.full for source in SOURCES}:
                    choices = [source.short for source in SOURCES] + ["all"]
                    raise ValueError(_unknown("source", name, choices))
        return self

    def _check_mixture(self) -> None:
        if self.mix is not None and self.source:
            raise ValueError("a mixture names its sources itself: leave out source")
        if isinstance(self.mix, str) and self.ranking is None:
            raise ValueError(f"mix {self.mix} needs a ranking: a file that ranks the sources")
        if self.mix is None and (self.allow_short or self.mix_by != "rows"):
            raise ValueError("mix_by and allow_short are for a mixture: give mix")

    @property
    def wanted(self) -> int:
        """How many rows, or questions where these are counted."""
        return self.questions or self.limit or DEFAULT_LIMIT

    def default_name(self) -> str:
        """The name of the reference: openthoughts_<domain>_<source>_t<max_tokens>_n<limit>.

        With `questions` the end is q<questions>; a mixture's sources follow "mix".
        """
        domain = "-".join(self.domain) or "all_domains"
        source = "-".join(short_source_name(name) for name in self.source) or "all_sources"
        if self.mix is not None:
            parts = [self.mix] if isinstance(self.mix, str) else map(short_source_name, self.mix)
            source = "-".join(["mix", *parts])
        safe = "".join(c if c.isalnum() or c in "-_." else "-" for c in f"{domain}_{source}")
        count = f"n{self.limit}" if self.questions is None else f"q{self.questions}"
        return f"openthoughts_{safe}_t{self.max_tokens}_{count}"


def _unknown(kind: str, name: str, choices: list[str]) -> str:
    guess = did_you_mean(name, choices)
    return f"unknown {kind} {name!r}{guess}; choose from {', '.join(choices)}"
