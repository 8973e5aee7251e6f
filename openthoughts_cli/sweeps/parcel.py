"""A run's directory as bytes, to be carried between machines that share no disk.

Paths inside its text files are rewritten to where it arrives, so that a checkpoint is found there.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from openthoughts_cli.data.subset import load_subset
from openthoughts_cli.errors import DataError
from openthoughts_cli.store import write_whole

__all__ = ["Snapshots", "SubsetParcels", "pack", "unpack"]

_TEXT = (".json", ".jsonl")


class Snapshots:
    """What changed in a directory since the last look, packed."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._seen: dict[str, tuple[int, int]] = {}

    def mark(self) -> None:
        """Take everything that is there as known."""
        self._seen = {name: _stamp(path) for name, path in _files(self._root)}

    def changed(self) -> bytes:
        """The files that are new or other than at the last call; empty where there are none.

        Logs are read first: a checkpoint that they name is then among the files.
        """
        found: list[tuple[str, bytes]] = []
        for name, path in sorted(_files(self._root), key=lambda item: _text_first(item[0])):
            try:
                stamp = _stamp(path)
                if self._seen.get(name) == stamp:
                    continue
                found.append((name, path.read_bytes()))
            except FileNotFoundError:
                continue  # an old checkpoint that was rolled away meanwhile
            self._seen[name] = stamp
        return _tar(found) if found else b""


def pack(root: Path) -> bytes:
    """A directory as a tar, without hidden files (locks, half-written ones)."""
    return _tar([(name, path.read_bytes()) for name, path in _files(root)])


class SubsetParcels:
    """Subsets as tars, each packed once, and where a worker keeps them: a folder of its own for each,
    since two may bear the same name in different places."""

    def __init__(self) -> None:
        self._packed: dict[str, tuple[str, bytes]] = {}
        self._homes: dict[str, str] = {}

    def of(self, name: str) -> tuple[str, bytes]:
        """The worker's folder for the subset that a config calls so, and its tar.

        Raises:
            NotFoundError, DataError: as `load_subset`.
        """
        if name not in self._packed:
            path = load_subset(name).path.resolve()
            folder = f"{len(self._packed)}/{path.name}"
            self._packed[name] = (folder, pack(path))
            self._homes[folder] = str(path)
        return self._packed[name]

    def moved(self, scratch: str) -> dict[str, str]:
        """Where the worker has the subsets -> where they are at home."""
        return {f"{scratch}/subsets/{folder}": home for folder, home in self._homes.items()}


def unpack(parcel: bytes, root: Path, *, moved: Mapping[str, str]) -> None:
    """Write a parcel's files under `root`, each whole, those that name others last.

    Args:
        moved: paths that its text files mention -> what they are called here.

    Raises:
        DataError: a file that would leave `root`.
        StorageError: it cannot be written.
    """
    if not parcel:
        return
    with tarfile.open(fileobj=io.BytesIO(parcel)) as tar:
        members = [member for member in tar.getmembers() if member.isfile()]
        for member in members:
            if member.name.startswith("/") or ".." in Path(member.name).parts:
                raise DataError(
                    f"a Ray worker sent the file {member.name}, which lies outside its run",
                    hint="nothing was written; is the Ray cluster one that you trust?",
                )
        for member in sorted(members, key=lambda m: not _text_first(m.name)[0]):
            place = root / member.name
            file = tar.extractfile(member)
            if file is None:
                continue
            data = file.read()
            write_whole(place, _moved(data, moved) if place.suffix in _TEXT else data)


def _moved(data: bytes, moved: Mapping[str, str]) -> bytes:
    for old, new in moved.items():
        data = data.replace(_inside_json(old), _inside_json(new))
    return data


def _inside_json(path: str) -> bytes:
    return json.dumps(path, ensure_ascii=False)[1:-1].encode()


def _text_first(name: str) -> tuple[bool, str]:
    return (not (name.endswith(_TEXT) and "/" not in name), name)


def _stamp(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return (stat.st_mtime_ns, stat.st_size)


def _files(root: Path) -> Iterator[tuple[str, Path]]:
    for folder, names, files in os.walk(root):
        names[:] = sorted(name for name in names if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith("."):
                path = Path(folder) / name
                yield path.relative_to(root).as_posix(), path


def _tar(files: list[tuple[str, bytes]]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in files:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()
