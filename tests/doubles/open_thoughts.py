"""A hub that has what the full sweeps name: rows of all sources in the schema of OpenThoughts3, and the
benchmarks at the commits that this package pins. All of it is made here and means nothing."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from openthoughts_cli.config.sources import DEFAULT_DATASET, SOURCES
from openthoughts_cli.problems.aime25 import AIME25_PLACE
from openthoughts_cli.problems.gpqa import GPQA_PLACE
from openthoughts_cli.problems.livecodebench import LCB_PLACE
from tests.doubles.dataset_hub import DatasetHub, dataset_hub
from tests.doubles.rows import record, write

__all__ = ["ANSWERS", "open_thoughts_hub", "write_open_thoughts"]

ANSWERS = 16
"""Of each question of math; those of the other sources have one."""

_TEXT = "so let me see the value that is near two and then sum it over again wait no it holds"
_LCB_FILES = ("test.jsonl", *(f"test{number}.jsonl" for number in range(2, 7)))


@contextmanager
def open_thoughts_hub(
    root: Path, problems: Mapping[str, list[dict[str, Any]]], *, questions: int, words: int = 30
) -> Generator[DatasetHub]:
    """Serve it until the block ends.

    Args:
        root: where the files are put.
        problems: of aime25, gpqa and livecodebench, rows as their hub has them.
        questions: of each source.
        words: of a typical answer; some have thousands.
    """
    write_open_thoughts(root / "rows" / "data", questions=questions, words=words)
    _write(root / "aime" / AIME25_PLACE.filename, _lines(problems["aime25"]))
    _write_csv(root / "gpqa" / GPQA_PLACE.filename, problems["gpqa"])
    for number, name in enumerate(_LCB_FILES):
        theirs = problems["livecodebench"][number :: len(_LCB_FILES)]
        _write(root / "lcb" / name, _lines(theirs))
    places = {AIME25_PLACE: "aime", GPQA_PLACE: "gpqa", LCB_PLACE: "lcb"}
    folders = {place.repo: root / name for place, name in places.items()}
    with dataset_hub({DEFAULT_DATASET: root / "rows", **folders}) as hub:
        hub.commits.update({place.repo: place.revision for place in places})
        yield hub


def write_open_thoughts(folder: Path, *, questions: int, words: int = 30) -> Path:
    """Write such rows as parquet, a file a source; returns the folder."""
    dice = random.Random(7)
    for source in SOURCES:
        rows = [
            record(
                f"Question {question} of {source.short}: what is {37 * question % 1000}?",
                f"<think>\n{_thought(dice, words)}\n</think>\n\nIt is {question}, {answer}.",
                source=source.full,
                domain=source.domain,
                difficulty=6 + question % 5 if source.domain == "code" else None,
            )
            for question in range(questions)
            for answer in range(ANSWERS if source.domain == "math" else 1)
        ]
        write(folder / f"{source.short}.parquet", rows, row_group_size=1000)
    return folder


def _thought(dice: random.Random, words: int) -> str:
    """Mostly of about so many words; one in 25 has thousands, for limits of tokens to tell apart."""
    long = dice.random() < 0.04
    count = dice.randrange(3000, 15_000) if long else dice.randrange(words // 2, 2 * words)
    return " ".join(dice.choices(_TEXT.split(), k=count))


def _lines(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
