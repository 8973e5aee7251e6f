"""How anything reaches the disk: append a line, or write aside and rename.

Two rules keep every reader safe from a kill at any moment: a finished item is one appended line
(a torn last line is owed work), and a file or directory that must be whole is written beside its
place, flushed, and renamed into it.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import tempfile
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

from openthoughts_cli.errors import StorageError

__all__ = ["append_line", "as_storage_errors", "directory_aside", "read_lines", "write_whole"]


def _storage_error(error: OSError, path: Path) -> StorageError:
    where = error.filename or path
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageError(
            f"no space left on the disk while writing {where}",
            hint="free some space and run the same command again; nothing finished was lost",
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return StorageError(
            f"cannot write {where}: {os.strerror(error.errno)}",
            hint="choose a directory that you may write to",
        )
    return StorageError(f"cannot write {where}: {error.strerror or error}")


@contextlib.contextmanager
def as_storage_errors(path: Path) -> Generator[None]:
    """Turn an `OSError` of writing at `path` into a `StorageError` that says what to do."""
    try:
        yield
    except (ConnectionError, TimeoutError):
        raise  # these are OSErrors too, of a network, not of a disk
    except OSError as error:
        raise _storage_error(error, path) from error


def append_line(path: Path, record: Mapping[str, Any]) -> None:
    """Append `record` as one line of JSON, flushed to the operating system.

    A line torn by an earlier crash is closed first, so that it damages no other.

    Raises:
        StorageError: the line could not be written.
    """
    line = json.dumps(record, ensure_ascii=False, allow_nan=False, default=str) + "\n"
    with as_storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+b") as file:
            if file.seek(0, os.SEEK_END) > 0:
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    file.write(b"\n")
            file.write(line.encode())
            file.flush()


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The records of a JSONL file, oldest first; torn or foreign lines are left out.

    A file that does not exist has no lines.
    """
    if not path.exists():
        return []
    records: list[dict[str, Any]] = []
    for raw in path.read_bytes().splitlines():
        try:
            record = json.loads(raw)
        except ValueError:
            continue
        if isinstance(record, dict):
            records.append(record)
    return records


def write_whole(path: Path, content: str | bytes) -> None:
    """Replace `path` by `content` in one step: readers see the old file or the new one.

    Raises:
        StorageError: nothing was changed.
    """
    data = content.encode() if isinstance(content, str) else content
    with as_storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        aside = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            aside.chmod(0o644)
            aside.replace(path)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise


@contextlib.contextmanager
def directory_aside(place: Path, *, replace: bool = False) -> Generator[Path]:
    """A fresh directory beside `place` that becomes `place` when the block ends well.

    When the block raises, the directory is removed and `place` is as it was. With `replace` an
    existing `place` is swapped out and then deleted; without it, an existing `place` is an error.

    Raises:
        StorageError: the directory could not be made, written or renamed.
    """
    with as_storage_errors(place):
        place.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(dir=place.parent, prefix=f".{place.name}.partial-"))
        aside.chmod(0o755)
    try:
        with as_storage_errors(place):
            yield aside
            _sync_tree(aside)
            _swap_in(aside, place, replace=replace)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


def _sync_tree(root: Path) -> None:
    for path in root.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())


def _swap_in(aside: Path, place: Path, *, replace: bool) -> None:
    if place.exists():
        if not replace:
            raise FileExistsError(errno.EEXIST, "it exists already", str(place))
        old = Path(tempfile.mkdtemp(dir=place.parent, prefix=f".{place.name}.old-"))
        place.replace(old / "it")
        try:
            aside.replace(place)
        except OSError:
            (old / "it").replace(place)
            raise
        finally:
            shutil.rmtree(old, ignore_errors=True)
    else:
        aside.replace(place)
