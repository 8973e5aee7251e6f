"""The files of a corpus: found by a path, a folder or a glob, and checked."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from openthoughts_cli.data import parquet
from openthoughts_cli.errors import DataError, NotFoundError
from openthoughts_cli.events import Listener, Notice, StageDone, StageProgress, StageStarted

__all__ = ["BadFile", "FirstLook", "Part", "checked_parts", "local_files"]


@dataclass(frozen=True, slots=True)
class Part:
    """One parquet file. `name` is how messages and records call it."""

    name: str
    path: Path
    rows: int
    num_bytes: int


class BadFile(NamedTuple):
    """A file that was left out because it cannot be read, and why."""

    name: str
    reason: str


class FirstLook(NamedTuple):
    """Of a large hub data set: the files that were read, and those that hold such rows."""

    files_read: int
    files_holding: int


def local_files(dataset: str) -> list[tuple[str, Path]] | None:
    """The (name, path) of the files that `dataset` means here; None when it means no path."""
    path = Path(dataset).expanduser()
    if path.is_dir():
        found = sorted(
            file
            for file in path.rglob("*.parquet")
            if not any(part.startswith(".") for part in file.relative_to(path).parts)
        )
        if not found:
            raise NotFoundError(
                f"the folder {dataset} holds no .parquet file",
                hint="give the folder that holds the rows, or a glob such as 'rows/*.parquet'",
            )
        return [(file.relative_to(path).as_posix(), file) for file in found]
    if path.exists():
        return [(path.name, path)]
    if glob.has_magic(dataset):
        matches = sorted(
            Path(match)
            for match in glob.iglob(str(path), recursive=True)  # noqa: PTH207 - any depth, absolute too
        )
        files = [match for match in matches if match.is_file()]
        if not files:
            raise NotFoundError(f"no file matches {dataset}", hint="quote the glob, and check it")
        return [(file.as_posix(), file) for file in files]
    looks_local = dataset.startswith((".", "/", "~")) or dataset.endswith(".parquet")
    if looks_local:
        raise NotFoundError(
            f"{dataset} does not exist",
            hint="give a parquet file, a folder of them, a hub id, or `sample`",
        )
    return None


def checked_parts(
    files: Sequence[tuple[str, Path]], listener: Listener, *, skip: bool = False
) -> tuple[tuple[Part, ...], tuple[BadFile, ...]]:
    """The files that can be read, and with `skip` those that cannot.

    Raises:
        DataError: a file is damaged, and such files are not skipped; or there are no rows.
        SchemaError: a file lacks columns.
    """
    stage = "checking files"
    parts: list[Part] = []
    bad: list[BadFile] = []
    if len(files) > 1:
        listener(StageStarted(stage, len(files), "files"))
    for name, path in files:
        try:
            file = parquet.open_parquet(path, name)
        except DataError as error:
            if not skip:
                raise
            listener(Notice(f"left out: {error.message}", "warning"))
            bad.append(BadFile(name, error.message))
            continue
        parts.append(Part(name, path, int(file.metadata.num_rows), path.stat().st_size))
        file.close()
        if len(files) > 1:
            listener(StageProgress(stage, len(parts)))
    if len(files) > 1:
        listener(StageDone(stage, f"{sum(p.rows for p in parts):,} rows in {len(parts)} files"))
    if not any(part.rows for part in parts):
        raise DataError(
            f"there are no rows in {', '.join(name for name, _ in files[:3])}",
            hint=bad[0].reason if bad else "give files that hold rows",
        )
    return tuple(parts), tuple(bad)
