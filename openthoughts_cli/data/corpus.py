"""Where rows come from: parquet files here, a data set on the Hugging Face hub, or the sample.

Nothing falls back: a place that cannot be read is an error that names another one. A corpus is
read by row groups, with the columns and the groups that are needed, so its size does not matter.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from openthoughts_cli.config.sources import SAMPLE_DATASET
from openthoughts_cli.data import parquet
from openthoughts_cli.data.ahead import map_ahead
from openthoughts_cli.data.file_digests import file_digests
from openthoughts_cli.data.parts import BadFile, FirstLook, Part, checked_parts, local_files
from openthoughts_cli.data.raw_rows import Malformed, RawRow
from openthoughts_cli.errors import BrokenFileError, DataError, NotFoundError
from openthoughts_cli.events import Listener, silent

__all__ = ["BadFile", "Chunk", "Corpus", "FirstLook", "Part", "open_corpus"]

_SPARSE = 8
"""A group of which at most one row in so many is wanted is not decoded whole."""
_READERS = 2
"""Row groups decoded at once where a few rows are fetched."""
_Found = tuple[tuple[int, int, int], RawRow]
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")


@dataclass(frozen=True, slots=True)
class Chunk:
    """One row group, filtered by its labels; `rows` decodes the rest as it is read."""

    part: int
    row_group: int
    num_rows: int
    other_source: int
    other_domain: int
    rows: Iterator[RawRow | Malformed]


@dataclass(frozen=True, slots=True)
class Corpus:
    """Rows that can be read: what was asked for, what it is, and its files in order of name."""

    dataset: str
    kind: Literal["files", "hub", "sample"]
    parts: tuple[Part, ...]
    revision: str | None = None
    left_out: Counter[str] = field(default_factory=Counter[str])
    """Files of a hub data set that were not read, by the reason."""
    bad_files: tuple[BadFile, ...] = ()
    """Files that could not be read and, as asked, are not."""

    @property
    def num_rows(self) -> int:
        """Rows in the files, by their footers."""
        return sum(part.rows for part in self.parts)

    def identity(self) -> Any:
        """What decides the rows, wherever they are kept: a revision and names, or file digests."""
        if self.kind == "hub":
            name = self.dataset.partition("@")[0]
            return {"hub": name, "revision": self.revision, "files": [p.name for p in self.parts]}
        return {"files": sorted(file_digests([part.path for part in self.parts]))}

    def describe(self) -> dict[str, Any]:
        """The record of where rows came from, for `metadata.json`."""
        digests: Sequence[str | None] = (
            [None] * len(self.parts)
            if self.kind == "hub"
            else file_digests([part.path for part in self.parts])
        )
        return {
            "asked_for": self.dataset,
            "kind": self.kind,
            "revision": self.revision,
            "rows": self.num_rows,
            "files": [
                {"name": part.name, "rows": part.rows, "bytes": part.num_bytes, "xxh3_128": digest}
                for part, digest in zip(self.parts, digests, strict=True)
            ],
            "files_left_out": dict(self.left_out),
            "first_look": self.first_look and self.first_look._asdict(),
            "bad_files": [bad._asdict() for bad in self.bad_files],
        }

    @property
    def first_look(self) -> FirstLook | None:
        """How many files were read of those that hold such rows; None where all were."""
        skipped = self.left_out["first look"]
        read = len(self.parts) + len(self.bad_files)
        return FirstLook(read, read + skipped) if skipped else None

    def without(self, error: BrokenFileError) -> Corpus:
        """The same rows but those of a file that turned out broken.

        Raises:
            BrokenFileError: it was the only one.
        """
        parts = tuple(part for part in self.parts if part.name != error.file)
        if not parts or len(parts) == len(self.parts):
            raise error
        bad = BadFile(error.file, error.message)
        return dataclasses.replace(self, parts=parts, bad_files=(*self.bad_files, bad))

    def label_counts(self) -> Counter[tuple[str, str]]:
        """Rows by (source, domain), from the footers where they tell and the two columns if not.

        Raises:
            DataError: a file is damaged.
        """
        counts: Counter[tuple[str, str]] = Counter()
        for part in self.parts:
            file = parquet.open_parquet(part.path, part.name)
            for group in range(file.num_row_groups):
                known = [parquet.footer_values(file, group, name) for name in ("source", "domain")]
                source, domain = (value.only if value else None for value in known)
                if source is not None and domain is not None:
                    counts[source, domain] += file.metadata.row_group(group).num_rows
                else:
                    labels = parquet.read_labels(file, group, part.name)
                    counts.update(zip(labels.source, labels.domain, strict=True))
            file.close()
        return counts

    def scan(
        self,
        sources: frozenset[str] = frozenset(),
        domains: frozenset[str] = frozenset(),
    ) -> Iterator[Chunk]:
        """Every row group, in the order of the files. Empty sets mean: all.

        Texts are decoded only in row groups that hold a wanted row, and only as `rows` is read.

        Raises:
            DataError: a file is damaged; the message names it.
        """
        for number, part in enumerate(self.parts):
            file = parquet.open_parquet(part.path, part.name)
            try:
                for group in range(file.num_row_groups):
                    yield _chunk(file, number, part.name, group, sources, domains)
            finally:
                file.close()

    def fetch(
        self,
        places: Iterable[tuple[int, int, int]],
        contents: Mapping[tuple[int, int, int], int] | None = None,
    ) -> Iterator[_Found]:
        """The rows at these places (part, row group, row in the group), each group read once.

        Args:
            places: of the rows.
            contents: the `content_hash` of each row, where it is known: rows are held against it,
                and a few of a group are read without the rest of it.

        Raises:
            DataError: a file is damaged, or a row is not there or not the one that was meant.
        """
        wanted: dict[tuple[int, int], list[int]] = {}
        for part, group, row in sorted(places):
            wanted.setdefault((part, group), []).append(row)

        def of_group(item: tuple[tuple[int, int], list[int]]) -> list[_Found]:
            (part, group), rows = item
            hashes = [contents[part, group, row] for row in rows] if contents else None
            return _some_rows(self.parts[part], part, group, rows, hashes)

        # Decoding leaves Python's lock, so threads help; a few groups ahead bound the memory.
        with contextlib.closing(map_ahead(of_group, wanted.items(), workers=_READERS)) as groups:
            for found in groups:
                yield from found

    def numbers(self, places: Sequence[tuple[int, int, int]]) -> list[int]:
        """The number, from 0 through all files, of each (part, row group, row in the group)."""
        starts: dict[tuple[int, int], int] = {}
        before = 0
        for index, part in enumerate(self.parts):
            file = parquet.open_parquet(part.path, part.name)
            for group in range(file.num_row_groups):
                starts[index, group] = before
                before += file.metadata.row_group(group).num_rows
            file.close()
        return [starts[part, group] + row for part, group, row in places]

    def row(self, number: int) -> RawRow | Malformed:
        """The row with this number, from 0 through all files in their order.

        Raises:
            NotFoundError: there are not so many rows.
        """
        if not 0 <= number < self.num_rows:
            raise NotFoundError(
                f"{self.dataset} has rows 0 to {self.num_rows - 1}, not {number}",
                hint="give the number of a row that is there",
            )
        before = 0
        for chunk in self.scan():
            if number < before + chunk.num_rows:
                return next(row for row in chunk.rows if row.row == number - before)
            before += chunk.num_rows
        raise DataError(
            f"{self.dataset} ended before row {number}, though it says that it has "
            f"{self.num_rows:,} rows",
            hint="the file was replaced while it was read, or is damaged: run the same command "
            "again, and fetch the file again if it stays so",
        )


def _some_rows(
    part: Part, number: int, group: int, rows: Sequence[int], hashes: Sequence[int] | None
) -> list[_Found]:
    file = parquet.open_parquet(part.path, part.name)
    try:
        found: list[RawRow | Malformed] | None = None
        if hashes and len(rows) * _SPARSE <= file.metadata.row_group(group).num_rows:
            found = parquet.read_few(file, part.path, group, rows)
        if found is None or not _are(found, hashes):
            found = list(parquet.read_some(file, group, part.name, rows))
        if not _are(found, hashes):
            raise DataError(
                f"{part.name} has changed while it was read", hint="run the same command again"
            )
    finally:
        file.close()
    return [((number, group, raw.row), raw) for raw in found if isinstance(raw, RawRow)]


def _are(found: Sequence[RawRow | Malformed], hashes: Sequence[int] | None) -> bool:
    """Whether all are whole rows, of these contents where they are known."""
    return all(
        isinstance(raw, RawRow) and (wanted is None or raw.content == wanted)
        for raw, wanted in zip(found, hashes or [None] * len(found), strict=True)
    )


def _chunk(
    file: Any, part: int, name: str, group: int, sources: frozenset[str], domains: frozenset[str]
) -> Chunk:
    num_rows: int = file.metadata.row_group(group).num_rows
    if sources:
        known = parquet.footer_values(file, group, "source")
        if known is not None and not known.may_hold(sources) and known.nulls == 0:
            return Chunk(part, group, num_rows, num_rows, 0, iter(()))
    labels = parquet.read_labels(file, group, name)
    right_source = [not sources or value in sources for value in labels.source]
    right_domain = [not domains or value in domains for value in labels.domain]
    other_source = right_source.count(False)
    kept = sum(a and b for a, b in zip(right_source, right_domain, strict=True))
    wanted: Callable[[str, str], bool] = lambda source, domain: (  # noqa: E731
        (not sources or source in sources) and (not domains or domain in domains)
    )
    rows = parquet.read_rows(file, group, name, wanted) if kept else iter(())
    return Chunk(part, group, num_rows, other_source, num_rows - other_source - kept, rows)


def open_corpus(
    dataset: str,
    *,
    sources: Sequence[str] = (),
    seed: int = 0,
    full: bool = False,
    skip_bad_files: bool = False,
    listener: Listener = silent,
) -> Corpus:
    """Find the rows that `dataset` names and check that each file can be read.

    Args:
        dataset: `sample`; a parquet file, a folder of them (searched through its subfolders) or a
            glob; or a hub id, `owner/name` or `owner/name@revision`. A path that exists is a path.
        sources: of a hub data set, fetch only files that hold rows of these sources.
        seed: of a large hub data set, chooses the files of a first look.
        full: read all files of a hub data set, however many gigabytes.
        skip_bad_files: leave out files that cannot be read or lack columns, and record them.
        listener: hears the progress.

    Raises:
        NotFoundError: no such path, or no parquet file in it.
        SchemaError: a file lacks columns of the OpenThoughts schema.
        DataError: a file is damaged.
        NetworkError: the hub cannot be reached.
    """
    if dataset == SAMPLE_DATASET:
        from openthoughts_cli.data.sample import sample_path

        path = sample_path()
        return Corpus(dataset, "sample", checked_parts([(path.name, path)], listener)[0])
    local = local_files(dataset)
    if local is not None:
        parts, bad = checked_parts(local, listener, skip=skip_bad_files)
        return Corpus(dataset, "files", parts, bad_files=bad)
    if not _HUB_ID.fullmatch(dataset):
        raise NotFoundError(
            f"{dataset} is not a file, folder or glob that exists here",
            hint="give a parquet file, a folder of them, a hub id such as "
            "open-thoughts/OpenThoughts3-1.2M, or `sample`",
        )
    from openthoughts_cli.data import hub

    name, _, revision = dataset.partition("@")
    found = hub.fetch(
        name, revision or None, sources=sources, seed=seed, full=full, listener=listener
    )
    parts, bad = checked_parts(found.files, listener, skip=skip_bad_files)
    return Corpus(dataset, "hub", parts, found.revision, found.left_out, bad)
