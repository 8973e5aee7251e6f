"""How anything reaches the disk: append a line, or write aside and rename.

Two rules keep every reader safe from a kill at any moment: a finished item is one appended line
(a torn last line is owed work), and a file or directory that must be whole is written beside its
place, flushed, and renamed into it.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import glob
import json
import os
import shutil
import socket
import sys
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
    existing `place` is exchanged in one step and then deleted (two steps where the system knows no
    exchange); without it, an existing `place` is an error. What a killed process left is removed.

    Raises:
        StorageError: the directory could not be made, written or renamed.
    """
    with as_storage_errors(place):
        place.parent.mkdir(parents=True, exist_ok=True)
        _sweep(place)
        prefix = f".{place.name}.partial-{_host()}-{os.getpid()}-"
        aside = Path(tempfile.mkdtemp(dir=place.parent, prefix=prefix))
        aside.chmod(0o755)
    try:
        with as_storage_errors(place):
            yield aside
            _sync_tree(aside)
            _swap_in(aside, place, replace=replace)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


def _host() -> str:
    return "".join(c for c in socket.gethostname() if c.isalnum())[:32]


def _sweep(place: Path) -> None:
    """Remove what processes of this machine that are no more left beside `place`."""
    begin = f".{place.name}.partial-{_host()}-"
    for left in place.parent.glob(f"{glob.escape(begin)}*"):
        pid = left.name.removeprefix(begin).partition("-")[0]
        if pid.isdigit() and not _is_alive(int(pid)):
            shutil.rmtree(left, ignore_errors=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # another user's
    return True


def _sync_tree(root: Path) -> None:
    for path in root.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())


def _swap_in(aside: Path, place: Path, *, replace: bool) -> None:
    if place.exists():
        if not replace:
            raise FileExistsError(errno.EEXIST, "it exists already", str(place))
        if _exchange(aside, place):
            shutil.rmtree(aside, ignore_errors=True)
            return
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


def _exchange(one: Path, other: Path) -> bool:
    """Let two paths swap what they name, in one step: a kill finds the old or the new.

    False where the system or the file system cannot (then nothing was changed). Linux has
    renameat2 with RENAME_EXCHANGE, macOS renamex_np with RENAME_SWAP.
    """
    swap, here = 2, -100  # RENAME_EXCHANGE and RENAME_SWAP are both 2; AT_FDCWD
    libc = ctypes.CDLL(None, use_errno=True)
    if sys.platform == "linux" and hasattr(libc, "renameat2"):
        done = libc.renameat2(here, os.fsencode(one), here, os.fsencode(other), swap)
    elif sys.platform == "darwin" and hasattr(libc, "renamex_np"):
        done = libc.renamex_np(os.fsencode(one), os.fsencode(other), swap)
    else:
        return False
    if done == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EPERM):
        return False
    raise OSError(number, os.strerror(number), str(other))
