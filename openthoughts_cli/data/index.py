"""The index of a data set: of each file one small parquet part with a row for every row.

    <index>/<tokenizer>/<file>.<part>.parquet

`<index>` is `places.index_dir()`, `<tokenizer>` a digest of tokenizer, template and format, `<file>`
the identity of a data file (its bytes, or hub name, revision and path) and `<part>` the digest of the
part's own bytes. So a part of other data, of another tokenizer or of another format is never found,
and a damaged one is seen when it is read. Parts are shared by all data sets that have the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from openthoughts_cli.data import parquet
from openthoughts_cli.data.corpus import Corpus, Part
from openthoughts_cli.data.file_digests import file_digests
from openthoughts_cli.data.rows import ROWS_FORMAT
from openthoughts_cli.data.table import SCHEMA, Table
from openthoughts_cli.data.tabulate import PART_SCHEMA
from openthoughts_cli.digests import digest_value
from openthoughts_cli.errors import NotFoundError
from openthoughts_cli.places import index_dir
from openthoughts_cli.store import as_storage_errors, write_whole

__all__ = [
    "Index",
    "PartState",
    "StoredIndex",
    "drop_parts",
    "part_is_whole",
    "stored_indexes",
    "write_part",
]

INDEX_FORMAT = 1
"""Counts up whenever a part of the same file would hold something else."""
_QUESTIONS = ("question_high", "question_low", "question")


class PartState(NamedTuple):
    """A data file and its part of the index."""

    number: int
    """Of the file in the corpus."""
    part: Part
    identity: str
    state: Literal["whole", "missing", "damaged"]
    path: Path | None
    num_bytes: int


@dataclass(frozen=True)
class Index:
    """The index of a corpus under a tokenizer, as far as it is built."""

    corpus: Corpus
    tokenizer_digest: str

    @property
    def directory(self) -> Path:
        """Where its parts are, with those of other data sets under this tokenizer."""
        key = {"tokenizer": self.tokenizer_digest, "index": INDEX_FORMAT, "rows": ROWS_FORMAT}
        return index_dir() / digest_value(key)

    @cached_property
    def identities(self) -> list[str]:
        """Of each file of the corpus: what makes it the same file elsewhere."""
        corpus = self.corpus
        if corpus.kind != "hub":
            return file_digests([part.path for part in corpus.parts])
        name = corpus.dataset.partition("@")[0]
        return [
            digest_value({"hub": name, "revision": corpus.revision, "file": part.name})
            for part in corpus.parts
        ]

    def states(self, sources: frozenset[str] = frozenset()) -> list[PartState]:
        """Of each file that may hold these sources (none given: of every file) its part's state.

        Each part is read and held against its digest.
        """
        there = _parts_by_identity(self.directory)
        return [
            _state(number, part, identity, there.get(identity, []))
            for number, (part, identity) in enumerate(
                zip(self.corpus.parts, self.identities, strict=True)
            )
            if may_hold(part, sources)
        ]

    def table(self, states: Sequence[PartState]) -> Table:
        """The rows of files whose parts are whole; files that are not among them are left out."""
        read = [(state.number, _columns(state, SCHEMA.names)) for state in states]
        left_out = self.corpus.num_rows - sum(state.part.rows for state in states)
        return Table.of(read, left_out=left_out)

    def columns(self, state: PartState, names: Sequence[str]) -> Any:
        """Some columns of one whole part, as a `pyarrow.Table`.

        Raises:
            NotFoundError: the part is gone or damaged since its state was read.
        """
        return _columns(state, names)

    def questions(self, states: Sequence[PartState]) -> Callable[[str], str]:
        """The text of each distinct question in these files, by its id."""
        texts: dict[str, str] = {}
        for state in states:
            columns = _columns(state, _QUESTIONS)
            columns = columns.filter(columns.column("question").is_valid())
            values = (columns.column(name).to_pylist() for name in _QUESTIONS)
            for high, low, text in zip(*values, strict=True):
                texts.setdefault(f"{high:016x}{low:016x}", text)
        return texts.__getitem__

    def digest(self, states: Sequence[PartState]) -> str:
        """Of all these parts: equal digests, equal indexes."""
        return digest_value(sorted(state.path.name for state in states if state.path is not None))


def may_hold(part: Part, sources: frozenset[str]) -> bool:
    """Whether a file's footer does not rule these sources out. No sources: all."""
    if not sources:
        return True
    file = parquet.open_parquet(part.path, part.name)
    try:
        known = [
            parquet.footer_values(file, group, "source") for group in range(file.num_row_groups)
        ]
    finally:
        file.close()
    return any(value is None or value.nulls or value.may_hold(sources) for value in known)


def _parts_by_identity(directory: Path) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    if directory.is_dir():
        for path in sorted(directory.glob("[!.]*.parquet")):
            found.setdefault(path.name.partition(".")[0], []).append(path)
    return found


def part_is_whole(directory: Path, identity: str, part: Part) -> bool:
    """Whether a file's part is there and is what was written."""
    paths = _parts_by_identity(directory).get(identity, [])
    return _state(0, part, identity, paths).state == "whole"


def _state(number: int, part: Part, identity: str, paths: Sequence[Path]) -> PartState:
    for path in paths:
        data = _bytes(path)
        if data is not None and _rows_of(data) == part.rows:
            return PartState(number, part, identity, "whole", path, len(data))
    state: Literal["missing", "damaged"] = "damaged" if paths else "missing"
    size = sum(path.stat().st_size for path in paths if path.exists())
    return PartState(number, part, identity, state, None, size)


def _bytes(path: Path) -> bytes | None:
    """A part's bytes, if they are those that its name says."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    return data if path.name.split(".")[1] == xxhash.xxh3_128_hexdigest(data) else None


def _rows_of(data: bytes) -> int:
    file: Any = pq.ParquetFile(pa.BufferReader(data))
    return int(file.metadata.num_rows)


def _columns(state: PartState, names: Sequence[str]) -> Any:
    data = None if state.path is None else _bytes(state.path)
    if data is None:
        raise NotFoundError(
            f"the index part of {state.part.name} is gone", hint="run the same command again"
        )
    # Not pq.read_table: it imports pyarrow.dataset and, with it, pandas.
    table: Any = pq.ParquetFile(pa.BufferReader(data)).read(columns=list(names))
    return table.replace_schema_metadata(None).cast(
        pa.schema([PART_SCHEMA.field(name) for name in names])
    )


def write_part(
    directory: Path, identity: str, table: Any, labels: Mapping[str, str]
) -> tuple[Path, int]:
    """Store a part, whole or not at all; returns its path and bytes.

    The same rows give the same bytes, so that two builders at once agree.

    Args:
        directory: of the index.
        identity: of the data file.
        table: of `PART_SCHEMA`.
        labels: for people: where the file is from. They are no part of its identity.

    Raises:
        StorageError: nothing was written.
    """
    sink = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata(dict(labels)), sink, compression="zstd")
    data = sink.getvalue().to_pybytes()
    path = directory / f"{identity}.{xxhash.xxh3_128_hexdigest(data)}.parquet"
    write_whole(path, data)
    return path, len(data)


class StoredIndex(NamedTuple):
    """What is stored of one data set under one tokenizer."""

    directory: Path
    dataset: str
    tokenizer: str
    parts: tuple[Path, ...]
    rows: int
    num_bytes: int

    def __repr__(self) -> str:
        return (
            f"<StoredIndex {self.dataset} under {self.tokenizer}: {len(self.parts):,} parts, "
            f"{self.rows:,} rows, {self.num_bytes / 1e6:,.1f} MB>"
        )


def stored_indexes() -> list[StoredIndex]:
    """All that is stored, by what the parts say of themselves. Damaged parts are of `?`."""
    found: dict[tuple[Path, str, str], list[tuple[Path, int, int]]] = {}
    for path in sorted(index_dir().glob("*/[!.]*.parquet")):
        data = _bytes(path)
        labels: dict[str, str] = {}
        rows = 0
        if data is not None:
            metadata = pq.ParquetFile(pa.BufferReader(data)).metadata
            raw: Mapping[bytes, bytes] = metadata.metadata or {}
            labels = {key.decode(): raw[key].decode() for key in raw if key.startswith(b"ot_")}
            rows = int(metadata.num_rows)
        key = (path.parent, labels.get("ot_dataset", "?"), labels.get("ot_tokenizer", "?"))
        found.setdefault(key, []).append((path, rows, path.stat().st_size))
    return [
        StoredIndex(
            directory,
            dataset,
            tokenizer,
            tuple(path for path, _, _ in parts),
            sum(rows for _, rows, _ in parts),
            sum(size for _, _, size in parts),
        )
        for (directory, dataset, tokenizer), parts in sorted(found.items())
    ]


def drop_parts(stored: Iterable[StoredIndex]) -> int:
    """Delete parts, with the locks and leavings beside them; returns how many bytes they took."""
    freed = 0
    for index in stored:
        for path in index.parts:
            with as_storage_errors(path):
                freed += path.stat().st_size
                path.unlink()
                for beside in path.parent.glob(f".{path.name.partition('.')[0]}.*"):
                    beside.unlink(missing_ok=True)
        if not any(index.directory.glob("*")):
            index.directory.rmdir()
    return freed
