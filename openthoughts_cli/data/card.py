"""What a person reads in a subset's directory: the card and a few rows as Markdown."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from openthoughts_cli.config.subset import short_source_name
from openthoughts_cli.data.card_header import card_header, data_config, header_text
from openthoughts_cli.data.funnel import STEPS
from openthoughts_cli.data.rows import Row
from openthoughts_cli.data.trace import split_trace

__all__ = ["card", "card_section", "fenced", "sample_page", "spread_over_lengths"]

NUM_SAMPLES = 10
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
    header = card_header(name, metadata, [data_config("default", "dataset/*.arrow")])
    load = f'from datasets import load_from_disk\n\nrows = load_from_disk("{name}/dataset")\n'
    section = card_section(name, metadata, load, "lengths.png", level=1)
    return f"{header_text(header)}\n{section}"


def card_section(
    name: str, metadata: Mapping[str, Any], load: str, picture: str, *, level: int = 2
) -> str:
    """What a card says of one subset, under a heading of that level.

    Args:
        name: the heading.
        metadata: of the subset, as in `metadata.json`.
        load: Python that loads the rows, shown as a block.
        picture: path of lengths.png from where the card stands.
        level: 1 for a card of its own, 2 in a card of several.
    """
    config, figures, dataset = metadata["config"], metadata["figures"], metadata["dataset"]
    revision = f" at revision `{dataset['revision']}`" if dataset["revision"] else ""
    command = f"ot subset --config {name}/config.json"
    cut = (
        f"{figures['rows']:,} rows and {figures['questions']:,} questions of "
        f"`{dataset['asked_for']}`{revision}, {figures['total_tokens']:,} tokens as "
        f"`{metadata['tokenizer']['model']}` reads them, at most {config['max_tokens']:,} a row, "
        f"chosen with seed {config['seed']}."
    )
    head, sub = "#" * level, "#" * (level + 1)
    parts = [
        f"{head} {name}\n",
        f"{cut}{_left_out(dataset)}\n",
        f"```python\n{load}```\n",
        f"The same rows again: `{command}`. Digest: `{metadata['digest']}`.\n",
        f"{sub} Where the rows went\n",
        _table(("", "rows"), _funnel_rows(metadata["funnel"])),
        f"{sub} What they are\n",
        _table(("", "rows", "share"), _composition_rows(figures)),
        f"{sub} Tokens\n",
        _table(*_token_rows(figures)),
        _TOKENS_NOTE,
        f"![how many rows have how many tokens]({picture})\n",
    ]
    return "\n".join(parts)


def _left_out(dataset: Mapping[str, Any]) -> str:
    """What of the data set was not read, in sentences; nothing where all was."""
    said = ""
    if look := dataset.get("first_look"):
        said += (
            f" A first look: {look['files_read']:,} of the {look['files_holding']:,} files that "
            "hold such rows were read, chosen by the seed."
        )
    if bad := dataset.get("bad_files"):
        names = ", ".join(f"`{file['name']}`" for file in bad[:5])
        more = f" and {len(bad) - 5:,} more" if len(bad) > 5 else ""
        said += f" Files that could not be read were left out: {names}{more}."
    return said


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
