"""The files of a subset's directory: written from a selection, and checked by their digests."""

from __future__ import annotations

import datetime
import json
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from openthoughts_cli.data import arrow_directory
from openthoughts_cli.data.card import card, sample_page, spread_over_lengths
from openthoughts_cli.data.figures import describe_rows
from openthoughts_cli.data.lengths_chart import draw_lengths
from openthoughts_cli.data.plan import Plan
from openthoughts_cli.data.select import Selection
from openthoughts_cli.digests import digest_file

__all__ = ["FORMAT", "METADATA", "changed_files", "write_files"]

FORMAT = 1
METADATA = "metadata.json"
_COUNTS = ("tokens", "tokens_question", "tokens_thinking", "tokens_answer")


def write_files(
    directory: Path, plan: Plan, selection: Selection, name: str, digest: str
) -> dict[str, Any]:
    """Write everything of a subset into an empty directory.

    Returns:
        What stands in metadata.json.
    """
    rows = directory / "dataset"
    arrow_directory.write_rows(rows, selection.rows(), fingerprint=digest)
    figures = describe_rows(arrow_directory.read_rows(rows))
    metadata = _metadata(plan, selection, figures, digest)
    metadata["config"]["name"] = name
    _write_text(directory / "config.json", _json(metadata["config"]))
    _write_text(directory / "README.md", card(name, metadata))
    table = arrow_directory.read_table(rows)
    columns = {column: table.column(column).to_pylist() for column in _COUNTS}
    title = f"{name}: {figures['rows']:,} rows by tokens"
    (directory / "lengths.png").write_bytes(draw_lengths(columns, title=title))
    _write_samples(directory, columns["tokens"])
    if plan.benchmarks is not None:
        lines = [json.dumps(each.record(), ensure_ascii=False) for each in selection.overlapping]
        _write_text(directory / "removed.jsonl", "".join(f"{line}\n" for line in lines))
    metadata["files"] = {
        path.relative_to(directory).as_posix(): digest_file(path)
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }
    _write_text(directory / METADATA, _json(metadata))
    return metadata


def _write_samples(directory: Path, tokens: list[int]) -> None:
    (directory / "samples").mkdir()
    shown = spread_over_lengths(tokens)
    for index, row in enumerate(arrow_directory.read_rows(directory / "dataset")):
        if index in shown:
            page = sample_page(index, row)
            _write_text(directory / "samples" / f"{shown.index(index) + 1:02}.md", page)


def changed_files(directory: Path, metadata: Mapping[str, Any], under: str = "") -> list[str]:
    """Files that are missing, or whose bytes are not those that were written.

    Args:
        directory: of the subset.
        metadata: its record; one of an older version names no files, and nothing is checked.
        under: only files whose name begins so.
    """
    return [
        name
        for name, digest in metadata.get("files", {}).items()
        if name.startswith(under)
        and not ((directory / name).is_file() and digest_file(directory / name) == digest)
    ]


def _metadata(
    plan: Plan, selection: Selection, figures: Mapping[str, Any], digest: str
) -> dict[str, Any]:
    packages = ("openthoughts-cli", "pyarrow", "tokenizers", "xxhash")
    return {
        "format": FORMAT,
        "digest": digest,
        "request": plan.request,
        "choice": plan.choice,
        "config": plan.config.model_dump(mode="json"),
        "dataset": selection.corpus.describe(),
        "tokenizer": {"model": plan.counter.model, "digest": plan.counter.digest},
        "funnel": selection.funnel.record(),
        "figures": figures,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "versions": {
            "python": platform.python_version(),
            **{package: _version(package) for package in packages},
        },
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None  # a source tree that is not installed


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", errors="replace", newline="\n")
