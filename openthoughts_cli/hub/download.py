"""Files of a hub repository, fetched into the hub's cache over plain HTTP.

A file grows as `blobs/<digest>.incomplete`. After a cut, or a kill, the next request asks for the
rest by its range; what came is never fetched twice. A file is put in place only when its digest is
the one that the hub names.
"""

from __future__ import annotations

import contextlib
import hashlib
import queue
import re
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from openthoughts_cli.errors import IntegrityError, InterruptedByUser, NetworkError
from openthoughts_cli.events import (
    Listener,
    Notice,
    StageDone,
    StageProgress,
    StageStarted,
    silent,
)
from openthoughts_cli.hub.cache import RepoCache
from openthoughts_cli.hub.patience import Patience, patiently
from openthoughts_cli.hub.session import endpoint, http_error, refuse_offline
from openthoughts_cli.store import as_storage_errors, put_in_place

__all__ = ["RemoteFile", "fetch_files", "look_up", "read_range", "read_tail"]

SILENCE_TIMEOUT_S = 20.0
"""A connection that brings nothing for so long counts as cut."""
_WORKERS = 4
_CHUNK_BYTES = 1 << 20
_TICK_S = 0.1
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file of one commit. `digest` is the hub's: SHA-256 of a large file, git's of a small."""

    repo: str
    path: str
    commit: str
    size: int
    digest: str
    kind: str = "dataset"

    def __post_init__(self) -> None:
        # Both become names in the cache, and a server says them.
        for name in (self.digest, self.commit):
            if not re.fullmatch(r"[0-9A-Za-z][\w.+=-]{0,127}", name):
                raise IntegrityError(
                    f"{endpoint()} names {self.path} of {self.repo} by {name[:40]!r}, which is "
                    "neither a digest nor a commit",
                    hint="check HF_ENDPOINT, and any proxy on the way",
                )

    @property
    def url(self) -> str:
        """Where its content is asked for; the hub may redirect to a store of its own."""
        from huggingface_hub import hf_hub_url

        return hf_hub_url(
            self.repo, self.path, repo_type=self.kind, revision=self.commit, endpoint=endpoint()
        )


def look_up(repo: str, path: str, *, revision: str, kind: str = "dataset") -> RemoteFile:
    """Which commit, size and content a file of a branch, tag or commit is; by one request.

    Raises:
        NetworkError: the hub cannot be reached, fails again and again, or is no hub.
        HfHubHTTPError: the hub's refusals (gated, not found), as huggingface_hub types them.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    refuse_offline(f"{path} of {repo}")
    url = hf_hub_url(repo, path, repo_type=kind, revision=revision, endpoint=endpoint())
    known: Any = patiently(
        lambda: get_hf_file_metadata(url, timeout=SILENCE_TIMEOUT_S / 2, endpoint=endpoint()),
        f"looking up {path} of {repo}",
    )
    if None in (known.commit_hash, known.etag, known.size):
        raise NetworkError(
            f"{endpoint()} does not answer as a Hugging Face hub does for {path} of {repo}",
            hint="check HF_ENDPOINT, and any proxy on the way",
        )
    return RemoteFile(repo, path, known.commit_hash, known.size, known.etag, kind)


def fetch_files(files: Sequence[RemoteFile], *, listener: Listener = silent) -> list[Path]:
    """Fetch files that are not in the cache yet, and return where each lies.

    Args:
        files: of one repository or of several.
        listener: hears of bytes as they come, and of long waits; called from this thread.

    Raises:
        NetworkError: the hub does not answer, fails, or asks for too long a wait.
        HfHubHTTPError: the hub refuses, as huggingface_hub types it.
        IntegrityError: twice a file's bytes were not those that the hub names.
        StorageError: the disk is full, or the cache cannot be written.
    """
    missing = [f for f in files if RepoCache(f.repo, f.kind).file(f.commit, f.path) is None]
    if missing:
        _fetch_missing(missing, listener)
    found = [RepoCache(f.repo, f.kind).file(f.commit, f.path) for f in files]
    return [path for path in found if path is not None]


def _fetch_missing(missing: Sequence[RemoteFile], listener: Listener) -> None:
    refuse_offline(f"{missing[0].path} of {missing[0].repo}")
    stage, total = "fetching", sum(file.size for file in missing)
    listener(StageStarted(stage, total, "bytes"))
    notes: queue.SimpleQueue[str] = queue.SimpleQueue()
    stop = threading.Event()
    jobs = [_Job(file, notes.put, stop) for file in missing]
    with ThreadPoolExecutor(max_workers=_WORKERS) as pool:
        pending: set[Future[None]] = {pool.submit(job.run) for job in jobs}
        try:
            while pending:
                done, pending = wait(pending, timeout=_TICK_S)
                listener(StageProgress(stage, sum(job.done for job in jobs)))
                while not notes.empty():
                    listener(Notice(notes.get(), "warning"))
                for future in done:
                    future.result()
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)
    listener(StageDone(stage, f"{len(missing)} files, {total / 1e6:,.1f} MB"))


class _Job:
    """One file on its way. `done` counts its bytes that are here."""

    def __init__(self, file: RemoteFile, say: Callable[[str], None], stop: threading.Event) -> None:
        self.file = file
        self.done = 0
        self._say = say
        self._stop = stop
        self._cache = RepoCache(file.repo, file.kind)

    def run(self) -> None:
        file, blob = self.file, self._cache.blob(self.file.digest)
        try:
            blob.parent.mkdir(parents=True, exist_ok=True)
            with self._alone():
                if not blob.is_file():
                    self._fetch_whole(blob)
        except OSError as error:
            if isinstance(error, (http_error(), ConnectionError, TimeoutError)):
                raise  # the library's errors are OSErrors too
            with as_storage_errors(blob):
                raise
        self._cache.link(file.commit, file.path, file.digest)
        self.done = file.size

    @contextlib.contextmanager
    def _alone(self) -> Generator[None]:
        """No other process fetches the same content meanwhile."""
        place = self._cache.lock(self.file.digest)
        place.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(place)
        said = False
        while not self._stop.is_set():
            try:
                lock.acquire(timeout=1, poll_interval=0.1)
            except Timeout:
                if not said:
                    self._say(f"another process fetches {self.file.path}; waiting for it")
                said = True
                continue
            try:
                yield
            finally:
                lock.release()
            return
        raise InterruptedByUser(
            "the download was stopped; what came is kept",
            hint="run the same command again: it goes on there",
        )

    def _fetch_whole(self, blob: Path) -> None:
        partial = blob.with_name(f"{blob.name}.incomplete")
        for last in (False, True):
            self._grow(partial)
            if _is_content(partial, self.file.digest):
                put_in_place(partial, blob)
                return
            found = partial.stat().st_size
            partial.unlink()
            if last:
                raise IntegrityError(
                    f"{self.file.path} of {self.file.repo} came twice with other bytes than "
                    f"{endpoint()} says ({found:,} bytes; digest {self.file.digest} expected)",
                    hint="nothing was kept; a proxy or mirror on the way may change files",
                )

    def _grow(self, partial: Path) -> None:
        """Fetch what is missing, from as many connections as it takes."""
        from huggingface_hub.errors import HfHubHTTPError

        patience = Patience(f"fetching {self.file.path}", say=self._say, stop=self._stop)
        with partial.open("ab") as sink:
            if sink.tell() > self.file.size:
                sink.truncate(0)
            while sink.tell() < self.file.size:
                try:
                    self._stream(sink, patience)
                    if sink.tell() < self.file.size:  # an end without an error, but too early
                        raise ConnectionError("the connection ended early")
                except (HfHubHTTPError, http_error(), ConnectionError, TimeoutError) as error:
                    sink.flush()
                    patience.failed(error)

    def _stream(self, sink: Any, patience: Patience) -> None:
        from huggingface_hub import get_session
        from huggingface_hub.utils import build_hf_headers, hf_raise_for_status

        have = sink.tell()
        headers = {**build_hf_headers(), "Accept-Encoding": "identity"}
        if have:
            headers["Range"] = f"bytes={have}-"
        client = get_session()
        with client.stream("GET", self.file.url, headers=headers, timeout=SILENCE_TIMEOUT_S) as got:
            hf_raise_for_status(got)
            if have and got.status_code == 200:  # it knows no ranges: all comes again
                sink.truncate(0)
            for chunk in got.iter_bytes():
                if self._stop.is_set():
                    raise InterruptedByUser(
                        "the download was stopped; what came is kept",
                        hint="run the same command again: it goes on there",
                    )
                sink.write(chunk)
                self.done = sink.tell()
                patience.progressed()


def read_tail(
    file: RemoteFile, num_bytes: int, *, say: Callable[[str], None] | None = None
) -> bytes:
    """The last `num_bytes` of a file (all of a shorter one), by one request for their range.

    Raises:
        NetworkError: as `Patience.failed`, or the host serves no ranges.
        HfHubHTTPError: the hub refuses.
    """
    start = max(file.size - num_bytes, 0)
    return read_range(file, start, file.size - start, what="the footer", say=say)


def read_range(
    file: RemoteFile,
    start: int,
    num_bytes: int,
    *,
    what: str,
    say: Callable[[str], None] | None = None,
) -> bytes:
    """`num_bytes` of a file from `start` on, by one request; raises as `read_tail`.

    Args:
        what: what stands there, for messages.
    """
    from huggingface_hub import get_session
    from huggingface_hub.utils import build_hf_headers, hf_raise_for_status

    refuse_offline(f"{what} of {file.path}")
    headers = {
        **build_hf_headers(),
        "Accept-Encoding": "identity",
        "Range": f"bytes={start}-{start + num_bytes - 1}",
    }

    def ask() -> bytes:
        client = get_session()
        with client.stream("GET", file.url, headers=headers, timeout=SILENCE_TIMEOUT_S) as got:
            hf_raise_for_status(got)
            if num_bytes < file.size and got.status_code != 206:
                raise NetworkError(
                    f"{endpoint()} serves no ranges, so {what} of {file.path} cannot be read alone",
                    hint="--full fetches all files" if file.kind == "dataset" else None,
                )
            return b"".join(got.iter_bytes())

    return patiently(ask, f"reading {what} of {file.path}", say=say)


def _is_content(path: Path, digest: str) -> bool:
    """Whether a file's bytes have the digest by which the hub names it.

    64 digits are a SHA-256; 40 are SHA-1, git's (which puts "blob <size>" in front) or, behind some
    mirrors, that of the bytes alone. Another form says nothing that could be checked.
    """
    if re.fullmatch(r"[0-9a-f]{64}", digest):
        states = [hashlib.sha256()]
    elif _COMMIT.fullmatch(digest):
        git = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
        states = [git, hashlib.sha1(usedforsecurity=False)]
    else:
        return True
    with path.open("rb") as file:
        while block := file.read(_CHUNK_BYTES):
            for state in states:
                state.update(block)
    return any(state.hexdigest() == digest for state in states)
