"""What a person asks of the rows of an index, and how `ot subset` would say it."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from openthoughts_cli.config.choice import short_source_name
from openthoughts_cli.errors import ConfigError

__all__ = [
    "ALL_ROWS",
    "Request",
    "RowFilter",
    "Search",
    "Span",
    "parse_span",
    "span_text",
    "subset_command",
    "subset_request",
]


class Span(NamedTuple):
    """From `low` to `high`, both included; None: no bound."""

    low: int | None = None
    high: int | None = None

    @property
    def is_open(self) -> bool:
        """Whether it holds everything."""
        return self.low is None and self.high is None


_ANY = Span()
_SPAN = re.compile(r"(?P<low>\d{1,12})?\s*(?P<to>\.\.|-|–|to)?\s*(?P<high>\d{1,12})?")


def parse_span(text: str) -> Span:
    """`100..8192`, `100..`, `..8192` or `100` alone; nothing: no bound.

    Raises:
        ConfigError: something else, or the lower bound is above the higher one.
    """
    match = _SPAN.fullmatch(text.replace(",", "").replace("_", "").strip())
    if match is None or (match["low"] and match["high"] and not match["to"]):
        raise ConfigError(
            f"{text[:40]!r} is not a range of numbers", hint="write 100..8192, 100.. or ..8192"
        )
    low, high = (int(match[name]) if match[name] else None for name in ("low", "high"))
    if not match["to"]:
        high = low
    if low is not None and high is not None and low > high:
        raise ConfigError(
            f"the range {low:,}..{high:,} holds no number",
            hint=f"write the lower one first: {high}..{low}",
        )
    return Span(low, high)


def span_text(span: Span) -> str:
    """The span as `parse_span` reads it."""
    if span.is_open:
        return ""
    if span.low == span.high:
        return str(span.low)
    return "..".join("" if end is None else str(end) for end in span)


@dataclass(frozen=True, slots=True)
class Search:
    """What is looked for in questions."""

    kind: Literal["words", "phrase", "regex"]
    text: str


@dataclass(frozen=True, slots=True)
class RowFilter:
    """Which rows. Empty tuples, open spans and None mean: all."""

    sources: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    difficulty: tuple[str, ...] = ()
    """Levels as text, and `none` for rows without one."""
    tokens: Span = _ANY
    thinking: Span = _ANY
    answer: Span = _ANY
    answers: Span = _ANY
    """Rows that the row's question has."""
    closed: bool | None = None
    boxed: bool | None = None
    search: Search | None = None

    @property
    def spans(self) -> dict[str, Span]:
        """The bounds by column of the index, those that bind."""
        found = {
            "tokens": self.tokens,
            "tokens_thinking": self.thinking,
            "tokens_answer": self.answer,
            "answers": self.answers,
        }
        return {name: span for name, span in found.items() if not span.is_open}


ALL_ROWS = RowFilter()


@dataclass(frozen=True, slots=True)
class Request:
    """A filter as options of `ot subset`, and what of it cannot be said there."""

    options: Mapping[str, Any]
    left_out: tuple[str, ...] = field(default=())


def subset_request(
    chosen: RowFilter, *, dataset: str, tokenizer: str, longest: int, **more: Any
) -> Request:
    """The options of a `SubsetConfig` that keeps the rows of a filter.

    Args:
        chosen: the filter.
        dataset, tokenizer: of the index.
        longest: tokens of the longest row, which stands where the filter has no bound.
        more: further options: limit, questions, seed, name, order and so on; None: left out.
    """
    options: dict[str, Any] = {"dataset": dataset, "tokenizer": tokenizer}
    for name, values in (("source", chosen.sources), ("domain", chosen.domains)):
        if values:
            options[name] = [short_source_name(value) for value in values]
    if chosen.difficulty:
        options["difficulty"] = list(chosen.difficulty)
    options["max_tokens"] = longest if chosen.tokens.high is None else max(chosen.tokens.high, 1)
    if chosen.tokens.low:
        options["min_tokens"] = chosen.tokens.low
    if chosen.closed:
        options["closed"] = True
    if chosen.boxed:
        options["boxed"] = True
    predicate = _predicate(chosen)
    if predicate:
        options["where"] = predicate
    options.update({name: value for name, value in more.items() if value not in (None, "")})
    left_out: list[str] = []
    if chosen.search is not None:
        left_out.append("the search in questions")
    if not chosen.answers.is_open:
        left_out.append("answers per question")
    return Request(options, tuple(left_out))


def _predicate(chosen: RowFilter) -> str:
    """What no option of its own says, as SQL for `where`."""
    parts: list[str] = []
    for name, span in (("tokens_thinking", chosen.thinking), ("tokens_answer", chosen.answer)):
        if span.low is not None:
            parts.append(f"{name} >= {span.low}")
        if span.high is not None:
            parts.append(f"{name} <= {span.high}")
    for name, wanted in (("closed", chosen.closed), ("boxed", chosen.boxed)):
        if wanted is False:
            parts.append(f"NOT {name}")
    return " AND ".join(parts)


def subset_command(options: Mapping[str, Any]) -> str:
    """`ot subset` with these options, for a shell."""
    words = ["ot", "subset"]
    for name, value in options.items():
        flag = f"--{name.replace('_', '-')}"
        if value is True:
            words.append(flag)
        elif isinstance(value, (list, tuple)):
            joined = ",".join(map(str, value))
            pairs = [(flag, joined)] if name == "difficulty" else [(flag, str(v)) for v in value]
            words += [word for pair in pairs for word in pair]
        else:
            words += [flag, str(value)]
    return shlex.join(words)


def subset_yaml(options: Mapping[str, Any]) -> str:
    """The same options as a config file for `ot subset --config`; values are JSON, so YAML too."""
    lines = [f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in options.items()]
    return "\n".join(lines) + "\n"
