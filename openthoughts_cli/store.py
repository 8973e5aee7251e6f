"""How anything reaches the disk: append a line, or write aside and rename.

Two rules keep every reader safe from a kill at any moment: a finished item is one appended line
(a torn last line is owed work), and a file or directory that must be whole is written beside its
place, flushed, and renamed into it. What a kill leaves beside a place goes with the next write in
that directory (`leftovers.py`). No other module opens a file for writing, but for a few that
write inside a directory of `directory_aside`; tests/hostile/test_code_rules.py names them.

What is written holds questions, answers and the words of services, so it is for its owner alone,
whatever the umask: files 0600, directories 0700. `shared=True` is for what others should read too.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import math
import os
import shutil
import sys
import tempfile
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

from openthoughts_cli.errors import DataError, StorageError
from openthoughts_cli.leftovers import aside_name, old_name, settle, sweep, sweep_once

__all__ = [
    "append_line",
    "as_storage_errors",
    "directory_aside",
    "make_directory",
    "put_in_place",
    "read_lines",
    "read_object",
    "write_whole",
]

_PRIVATE_FILE, _PRIVATE_DIRECTORY = 0o600, 0o700
_RESTORE = "restore the file, or remove what it belongs to and make it again"
_RIGHTS = "check the rights of that path"


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
    return StorageError(
        f"cannot write {where}: {error.strerror or error}", hint="check the disk and that path"
    )


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
        make_directory(path.parent)
        with open(path, "a+b", opener=_open_private) as file:
            if file.seek(0, os.SEEK_END) > 0:
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    file.write(b"\n")
            file.write(_utf8(line))
            file.flush()


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, _PRIVATE_FILE)


def _utf8(text: str) -> bytes:
    """As UTF-8. A lone surrogate, such as an odd byte of a command line, becomes `\\udcff`: in JSON
    that is the same character."""
    return text.encode("utf-8", "backslashreplace")


def make_directory(path: Path, *, shared: bool = False) -> None:
    """Make a directory, and those above it, for its owner alone; one that exists is left as it is.

    Raises:
        StorageError: it cannot be made.
    """
    with as_storage_errors(path):
        if path.is_dir():
            return  # one look in place of one for each directory above: every appended line asks
        if not shared:
            missing = [place for place in (path, *path.parents) if not place.exists()]
            for place in reversed(missing):
                place.mkdir(_PRIVATE_DIRECTORY, exist_ok=True)
        path.mkdir(parents=True, exist_ok=True)


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The records of a JSONL file, oldest first; torn or foreign lines are left out.

    A file that does not exist has no lines.

    Raises:
        StorageError: it cannot be read.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StorageError(
            f"cannot read {path}: {error.strerror or error}", hint=_RIGHTS
        ) from error
    records: list[dict[str, Any]] = []
    for raw in data.splitlines():
        try:
            record = _parsed(raw)
        except (ValueError, RecursionError):  # the latter: "[[[[[..." of thousands
            continue
        if isinstance(record, dict):
            records.append(record)
    return records


def _parsed(raw: bytes) -> Any:
    """JSON whose numbers can be computed with: what is not finite, or of 41 digits, is null.

    Nothing here writes such a number, and whoever reads one would stumble over it much later.
    """
    return json.loads(raw, parse_constant=_no_number, parse_float=_finite, parse_int=_small)


def _no_number(text: str) -> None:
    del text


def _finite(text: str) -> float | None:
    value = float(text)
    return value if math.isfinite(value) else None


def _small(text: str) -> int | None:
    return int(text) if len(text) <= 40 else None


def read_object(path: Path) -> dict[str, Any] | None:
    """The JSON object that a file holds; None where there is no such file.

    Raises:
        DataError: it holds something else.
        StorageError: it cannot be read.
    """
    try:
        value = _parsed(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageError(
            f"cannot read {path}: {error.strerror or error}", hint=_RIGHTS
        ) from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is damaged: it is not JSON: {error}", hint=_RESTORE) from error
    if not isinstance(value, dict):
        raise DataError(f"{path} is damaged: it holds no JSON object", hint=_RESTORE)
    return value


def write_whole(path: Path, content: str | bytes, *, shared: bool = False) -> None:
    """Replace `path` by `content` in one step: readers see the old file or the new one.

    `shared`: others may read it as the umask says; without, its owner alone.

    Raises:
        StorageError: nothing was changed.
    """
    data = _utf8(content) if isinstance(content, str) else content
    make_directory(path.parent, shared=shared)
    with as_storage_errors(path):
        sweep_once(path.parent)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=aside_name(path.name))
        aside = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
            if shared:
                aside.chmod(0o666 & ~_umask())
            put_in_place(aside, path)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise


def put_in_place(aside: Path, path: Path) -> None:
    """Flush the finished file `aside` to the disk and rename it to `path`, in the same directory.

    Raises:
        OSError: nothing was changed at `path`.
    """
    with aside.open("rb") as file:
        os.fsync(file.fileno())
    aside.replace(path)
    _sync_directory(path.parent)


def _sync_directory(path: Path) -> None:
    """Let the names in a directory survive a loss of power, where the file system can promise it."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _umask() -> int:
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        status = ""
    for line in status.splitlines():
        if line.startswith("Umask:"):
            return int(line.split()[1], 8)
    mask = os.umask(0o077)  # no other way to ask; closed, not open, while it is changed
    os.umask(mask)
    return mask


@contextlib.contextmanager
def directory_aside(place: Path, *, replace: bool = False, shared: bool = False) -> Generator[Path]:
    """A fresh directory beside `place` that becomes `place` when the block ends well.

    When the block raises, the directory is removed and `place` is as it was. With `replace` an
    existing `place` is exchanged in one step and then deleted (two steps where the system knows no
    exchange); without it, an existing `place` is an error. What killed processes left beside it is
    removed.
    `shared`: others may read it as the umask says; without, its owner alone.

    Raises:
        StorageError: the directory could not be made, written or renamed.
    """
    make_directory(place.parent, shared=shared)
    with as_storage_errors(place):
        sweep(place.parent)
        aside = Path(tempfile.mkdtemp(dir=place.parent, prefix=aside_name(place.name)))
    try:
        with as_storage_errors(place):
            yield aside
            _finish_tree(aside, shared=shared)
            _swap_in(aside, place, replace=replace)
            _sync_directory(place.parent)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


def _finish_tree(root: Path, *, shared: bool) -> None:
    """Give all that is in `root` its rights, and flush it to the disk."""
    if shared:
        root.chmod(0o777 & ~_umask())
    for path in (root, *root.rglob("*")):
        if path.is_symlink():
            continue
        if not shared:
            path.chmod(_PRIVATE_DIRECTORY if path.is_dir() else _PRIVATE_FILE)
        if path.is_dir():
            _sync_directory(path)
        else:
            with path.open("rb") as file:
                os.fsync(file.fileno())


def _swap_in(aside: Path, place: Path, *, replace: bool) -> None:
    if place.exists():
        if not replace:
            raise FileExistsError(errno.EEXIST, "it exists already", str(place))
        if _exchange(aside, place):
            shutil.rmtree(aside, ignore_errors=True)
            return
        old = Path(tempfile.mkdtemp(dir=place.parent, prefix=old_name(place.name)))
        try:
            place.replace(old / "it")
            aside.replace(place)
        finally:  # a Ctrl-C between the two loses nothing either
            settle(old, place)
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
