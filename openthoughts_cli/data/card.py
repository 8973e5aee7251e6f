"""What a person reads in a subset's directory: the card and a few rows as Markdown."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from openthoughts_cli.config.subset import short_source_name
from openthoughts_cli.data.funnel import STEPS
from openthoughts_cli.data.rows import Row
from openthoughts_cli.data.trace import split_trace

__all__ = ["card", "fenced", "sample_page", "spread_over_lengths"]

NUM_SAMPLES = 10
_FRONT_MATTER = """---
tags:
- openthoughts
- reasoning
configs:
- config_name: default
  data_files: "dataset/*.arrow"
---
"""
_TOKENS_NOTE = """`tokens` is prompt and answer as the trainer sees them, end-of-turn token included.
`tokens_thinking` ends with `</think>`.
"""


def spread_over_lengths(tokens: Sequence[int], count: int = NUM_SAMPLES) -> list[int]:
    """Indices of `count` rows from the shortest to the longest, evenly by rank of length."""
    order = sorted(range(len(tokens)), key=lambda index: (tokens[index], index))
    if len(order) <= count:
        return order
    if count == 1:
        return [order[len(order) // 2]]
    return [order[round(i * (len(order) - 1) / (count - 1))] for i in range(count)]


def fenced(text: str) -> str:
    """The text as a Markdown code block that nothing inside it can close."""
    runs = re.findall(r"`{3,}", text)
    fence = "`" * max((len(run) + 1 for run in runs), default=3)
    ending = "" if text.endswith("\n") else "\n"
    return f"{fence}text\n{text}{ending}{fence}\n"


def sample_page(index: int, row: Row) -> str:
    """One row as Markdown: its figures, then question, thinking and answer verbatim."""
    thinking, answer, closed = split_trace(row.answer)
    level = "none" if row.difficulty is None else str(row.difficulty)
    facts = [
        ("row_id", f"`{row.row_id}`"),
        ("question_id", f"`{row.question_id}`"),
        ("source", row.source),
        ("domain", row.domain),
        ("difficulty", level),
    ]
    parts = [
        f"# Row {index}: {row.tokens:,} tokens\n",
        _table(("", ""), facts),
        f"## Question ({row.tokens_question:,} tokens)\n",
        fenced(row.question),
    ]
    if thinking:
        ending = "" if closed else ", never closed"
        parts += [f"## Thinking ({row.tokens_thinking:,} tokens{ending})\n", fenced(thinking)]
    if answer:
        parts += [f"## Answer ({row.tokens_answer:,} tokens)\n", fenced(answer)]
    return "\n".join(parts)


def card(name: str, metadata: Mapping[str, Any]) -> str:
    """README.md: a data set card whose figures are those of `metadata.json`."""
    config, figures, dataset = metadata["config"], metadata["figures"], metadata["dataset"]
    revision = f" at revision `{dataset['revision']}`" if dataset["revision"] else ""
    command = f"ot subset --config {name}/config.json"
    cut = (
        f"{figures['rows']:,} rows and {figures['questions']:,} questions of "
        f"`{dataset['asked_for']}`{revision}, {figures['total_tokens']:,} tokens as "
        f"`{metadata['tokenizer']['model']}` reads them, at most {config['max_tokens']:,} a row, "
        f"chosen with seed {config['seed']}."
    )
    parts = [
        _FRONT_MATTER,
        f"# {name}\n",
        f"{cut}\n",
        f"```python\n{_load_example(name)}```\n",
        f"The same rows again: `{command}`. Digest: `{metadata['digest']}`.\n",
        "## Where the rows went\n",
        _table(("", "rows"), _funnel_rows(metadata["funnel"])),
        "## What they are\n",
        _table(("", "rows", "share"), _composition_rows(figures)),
        "## Tokens\n",
        _table(*_token_rows(figures)),
        _TOKENS_NOTE,
    ]
    return "\n".join(parts)


def _load_example(name: str) -> str:
    return f'from datasets import load_from_disk\n\nrows = load_from_disk("{name}/dataset")\n'


def _funnel_rows(funnel: Mapping[str, Any]) -> list[tuple[str, str]]:
    removed = [(words, funnel.get(name, 0)) for name, words in STEPS.items()]
    return [
        ("read", f"{funnel['read']:,}"),
        *((f"- {what}", f"{count:,}") for what, count in removed if count),
        ("**chosen**", f"{funnel['chosen']:,}"),
    ]


def _composition_rows(figures: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    rows: list[tuple[str, str, str]] = []
    for kind, counts in figures["composition"].items():
        for value, count in counts.items():
            label = short_source_name(value) if kind == "source" else value
            rows.append((f"{kind} {label}", f"{count:,}", f"{count / figures['rows']:.1%}"))
    for kind, share in figures["shares"].items():
        meaning = {"closed": "with `</think>`", "boxed": "with `\\boxed`"}[kind]
        rows.append((meaning, f"{round(share * figures['rows']):,}", f"{share:.1%}"))
    return rows


def _token_rows(figures: Mapping[str, Any]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    columns = figures["percentiles"]
    names = tuple(next(iter(columns.values())))
    rows = [(f"`{name}`", *(f"{points[p]:,}" for p in names)) for name, points in columns.items()]
    return ("", *names), rows


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|---" + "|---:" * (len(head) - 1) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines) + "\n"
