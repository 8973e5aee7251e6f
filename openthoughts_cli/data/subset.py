"""A subset on disk: cut, written whole or not at all, found again and checked.

    <name>/
      dataset/        the rows; `datasets.load_from_disk` reads it
      metadata.json   where they came from, how they were chosen, their figures and digest
      config.json     the resolved config; `ot subset --config` on it repeats the cut
      samples/        ten rows as Markdown, from the shortest to the longest
      README.md       a data set card
      lengths.png     histograms of tokens, for the whole row and each part
      removed.jsonl   rows left out because a benchmark has their question, where that was asked

The name is a label. What a subset is stands in its digest: that of the canonical rows.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openthoughts_cli import places
from openthoughts_cli.config.subset import SubsetConfig
from openthoughts_cli.data import arrow_directory
from openthoughts_cli.data.corpus import Corpus
from openthoughts_cli.data.enough import check_enough
from openthoughts_cli.data.plan import Plan, plan_subset
from openthoughts_cli.data.rows import Row, canonical_digest, content_hash, row_id
from openthoughts_cli.data.select import Selection, identities
from openthoughts_cli.data.subset_files import FORMAT, METADATA, changed_files, write_files
from openthoughts_cli.data.subset_shape import damage
from openthoughts_cli.errors import (
    ConflictError,
    DataError,
    IntegrityError,
    NotFoundError,
    StorageError,
)
from openthoughts_cli.events import Listener, Notice, silent
from openthoughts_cli.store import directory_aside
from openthoughts_cli.words import BEFORE_HINT, did_you_mean

if TYPE_CHECKING:
    import polars

__all__ = [
    "Subset",
    "build_subset",
    "default_name",
    "load_subset",
    "preview_subset",
    "subset_names",
]


@dataclass(frozen=True)
class Subset:
    """A subset that is there. Made by `build_subset` and `load_subset`."""

    name: str
    path: Path
    metadata: Mapping[str, Any]
    reused: bool = field(default=False, compare=False)
    """Whether `build_subset` found it whole and did not cut it again."""

    def __repr__(self) -> str:
        figures = self.metadata["figures"]
        return (
            f"<Subset {self.name}: {figures['rows']:,} rows of {figures['questions']:,} questions, "
            f"{figures['total_tokens']:,} tokens, digest {self.digest[:8]}, in {self.path}>"
        )

    @property
    def digest(self) -> str:
        """Of the canonical rows in their order: 32 hexadecimal digits."""
        return str(self.metadata["digest"])

    def rows(self) -> list[Row]:
        """The rows in their seeded order, checked against the digest.

        Raises:
            IntegrityError: they are not the rows that were written.
            DataError: the file cannot be read.
        """
        rows = self.stored_rows()
        problem = _first_difference(rows, self.digest)
        if problem is not None:
            raise self._changed(problem)
        return rows

    def _changed(self, how: str) -> IntegrityError:
        return IntegrityError(
            f"the rows of {self.path} are not those that were written: {how}",
            hint=f"cut it again: ot subset --config {self.path / 'config.json'} --force",
        )

    def stored_rows(self) -> list[Row]:
        """The rows as they stand on disk, unchecked.

        Raises:
            DataError: the file cannot be read.
        """
        return list(arrow_directory.read_rows(self.path / "dataset"))

    def frame(self) -> polars.DataFrame:
        """The rows as a polars data frame, columns as on disk.

        Raises:
            IntegrityError: the file is not the one that was written.
            DataError: it cannot be read.
        """
        import polars

        if changed_files(self.path, self.metadata, "dataset/"):
            raise self._changed("the file differs")
        frame = polars.from_arrow(arrow_directory.read_table(self.path / "dataset"))
        assert isinstance(frame, polars.DataFrame)
        return frame


def _first_difference(rows: list[Row], digest: str) -> str | None:
    for index, row in enumerate(rows):
        content = content_hash(
            row.source, row.domain, row.difficulty, row.question.encode(), row.answer.encode()
        )
        if row.row_id.partition("-")[0] != row_id(content, 0).partition("-")[0]:
            return f"row {index} has another content than its id says"
    return None if canonical_digest(rows) == digest else "the digest differs"


def build_subset(
    config: SubsetConfig, *, force: bool = False, listener: Listener = silent
) -> Subset:
    """Cut a subset and write its directory; an equal one that is there is used as it is.

    Args:
        config: which rows, and where to.
        force: replace a different subset of that name.
        listener: hears progress, and a warning where fewer rows passed than were asked for.

    Raises:
        ConflictError: another subset, or something that is no subset, has that name.
        EmptyResultError: no row passes; nothing is written.
        NotFoundError, NetworkError, DataError, SchemaError: as `open_corpus`.
        ModelError: the tokenizer cannot be had.
        StorageError: the directory cannot be written; nothing half-written stays.
    """
    home = config.output_dir or places.subsets_dir()
    if config.name:
        _what_is_there(home / config.name)  # a taken place is said before anything is fetched
    plan = plan_subset(config, listener=listener)
    name = config.name or default_name(config, plan.corpus)
    place = home / name
    there = _what_is_there(place)
    if there is not None and not force:
        if there.metadata.get("request") == plan.request:
            there.rows()
            return _reused(there, listener)
        _refuse_other_choice(there, plan)
    selection = plan.select(listener=listener)
    plan = dataclasses.replace(plan, corpus=selection.corpus)
    check_enough(selection, config, listener)
    digest = canonical_digest(identities(selection.chosen))
    if there is not None and not force:
        if there.digest != digest:
            raise ConflictError(
                f"{place} holds a subset of the same request whose rows were others",
                hint="the data has changed: give --name, or --force to replace it",
            )
        there.rows()
        return _reused(there, listener)
    try:
        with directory_aside(place, replace=there is not None) as aside:
            metadata = write_files(aside, plan, selection, name, digest)
    except StorageError:
        winner = None if there is not None else _what_is_there(place)
        if winner is None:
            raise
        return _joined(winner, digest, listener)
    return Subset(name, place, metadata)


def default_name(config: SubsetConfig, corpus: Corpus) -> str:
    """The config's default name; of a first look, with how many of how many files were read."""
    look = corpus.first_look
    ending = f"_look{look.files_read}of{look.files_holding}" if look else ""
    return f"{config.default_name()}{ending}"


def preview_subset(config: SubsetConfig, *, listener: Listener = silent) -> Selection:
    """What `build_subset` would choose, and where all other rows go; nothing is written.

    Raises:
        As `build_subset`, but an empty result is a result.
    """
    return plan_subset(config, listener=listener).select(listener=listener)


def load_subset(name_or_path: str, *, root: Path | None = None) -> Subset:
    """Find a subset by its directory, or by its name under `root` (unset: the subsets directory).

    Raises:
        NotFoundError: there is none; the message names those that exist.
        DataError: its metadata cannot be read.
    """
    root = root or places.subsets_dir()
    for place in (Path(name_or_path).expanduser(), root / name_or_path):
        if (place / METADATA).is_file():
            return _load(place)
    names = subset_names(root)
    guess = did_you_mean(name_or_path, names, BEFORE_HINT)
    known = f"those in {root}: {', '.join(names)}" if names else f"{root} holds none yet"
    raise NotFoundError(
        f"there is no subset {name_or_path}: {known}",
        hint=f"{guess}cut one with `ot subset`",
    )


def subset_names(root: Path | None = None) -> list[str]:
    """The names of the subsets under `root`, sorted. Half-written ones are none."""
    root = root or places.subsets_dir()
    if not root.is_dir():
        return []
    found = (path.parent for path in root.glob(f"*/{METADATA}"))
    return sorted(path.name for path in found if not path.name.startswith("."))


def _load(place: Path) -> Subset:
    path = place / METADATA
    try:
        metadata = json.loads(path.read_text(encoding="utf-8"))
        if metadata["format"] != FORMAT:
            raise DataError(
                f"{path} is of format {metadata['format']}; this version reads format {FORMAT}",
                hint="cut it again, or use the version of `ot` that wrote it",
            )
        if problem := damage(metadata):
            raise ValueError(problem)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(
            f"{path} is not the record of a subset: {error}", hint="cut it again with --force"
        ) from error
    return Subset(place.resolve().name, place, metadata)


def _what_is_there(place: Path) -> Subset | None:
    """The subset at this place. A place with anything else in it is never touched.

    Raises:
        ConflictError: something that is no subset.
    """
    if (place / METADATA).is_file():
        return _load(place)
    if place.exists() and not (place.is_dir() and not any(place.iterdir())):
        raise ConflictError(
            f"{place} exists and is not a subset", hint="give another --name or --output-dir"
        )
    if place.exists():
        place.rmdir()
    return None


def _reused(there: Subset, listener: Listener) -> Subset:
    listener(Notice(f"{there.path} holds these rows already: {there.digest}"))
    return Subset(there.name, there.path, there.metadata, reused=True)


def _joined(winner: Subset, digest: str, listener: Listener) -> Subset:
    """What another process put in this place while this one was writing."""
    if winner.digest != digest:
        raise ConflictError(
            f"another process cut another subset into {winner.path} meanwhile",
            hint="give this one a --name of its own, or --force to replace that one",
        )
    return _reused(winner, listener)


def _refuse_other_choice(there: Subset, plan: Plan) -> None:
    # A subset of an older version lacks the keys that came later: it was cut as their defaults say.
    before = {**SubsetConfig().identity(), **there.metadata.get("choice", {})}
    changed = [
        f"{key} {_short(before.get(key))} -> {_short(value)}"
        for key, value in plan.choice.items()
        if before.get(key) != value
    ]
    if changed:
        raise ConflictError(
            f"{there.path} is another subset: {', '.join(changed)}",
            hint="give this one a --name of its own, or --force to replace that one",
        )


def _short(value: Any) -> str:
    if isinstance(value, list):
        return "+".join(str(item) for item in value) or "all"
    text = str(value)
    return text if len(text) <= 40 else f"{text[:12]}..."
