"""Rows on the Hugging Face hub, or on the mirror that HF_ENDPOINT names.

Files are fetched whole into the hub's cache (`openthoughts_cli.hub`). A large data set is not fetched
for a first look: the footers, read in ranges, tell which files hold the sources asked for, and a
seeded choice of a few of those is read. What a commit holds, and the footers, are kept in our own
cache: the same request then needs no network.
"""

from __future__ import annotations

import io
import json
import queue
import re
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import xxhash

from openthoughts_cli import hub
from openthoughts_cli.data import parquet
from openthoughts_cli.errors import AuthError, NetworkError, NotFoundError
from openthoughts_cli.events import Listener, Notice, StageDone, StageProgress, StageStarted
from openthoughts_cli.places import cache_dir
from openthoughts_cli.store import write_whole

__all__ = ["FIRST_LOOK_BYTES", "FIRST_LOOK_FILES", "Fetched", "fetch", "hub_errors"]

FIRST_LOOK_BYTES = 1 << 30
"""A data set up to this size is read whole without being asked."""
FIRST_LOOK_FILES = 2
"""Files of a larger one that are read without `full`."""
_TIMEOUT_S = 8.0
_FOOTER_GUESS_BYTES = 1 << 16
_FOOTER_READERS = 8
_TRAILER_BYTES = 8  # the footer's length, 4 bytes little-endian, and the magic


class Fetched(NamedTuple):
    """Files of one revision, in this machine's cache."""

    revision: str
    files: list[tuple[str, Path]]
    left_out: Counter[str]


def fetch(
    name: str,
    revision: str | None,
    *,
    sources: Sequence[str],
    seed: int,
    full: bool,
    listener: Listener,
    first_look_bytes: int = FIRST_LOOK_BYTES,
) -> Fetched:
    """Fetch the parquet files of a hub data set that may hold the sources.

    Raises:
        NetworkError: the hub does not answer, or answers with an error.
        NotFoundError: no such data set or revision, or no parquet file in it.
        AuthError: the data set is private or gated.
        IntegrityError, StorageError: as `openthoughts_cli.hub.fetch_files`.
    """
    with hub_errors(name), hub.quiet():
        commit, files = _listing(name, revision or "main", listener)
        if not files:
            raise NotFoundError(
                f"the data set {name} has no parquet file",
                hint="give one that holds parquet files in the OpenThoughts schema",
            )
        chosen, left_out = files, Counter[str]()
        if not full and sum(file.size for file in files) > first_look_bytes:
            holding = _holding(files, frozenset(sources), listener)
            chosen = _first_look(holding, seed)
            left_out["without the source"] = len(files) - len(holding)
            left_out["first look"] = len(holding) - len(chosen)
            if left_out["first look"]:
                listener(
                    Notice(
                        f"a first look: {len(chosen)} of the {len(holding)} files of {name} that "
                        "hold such rows are read, by the seed; --full reads all of them"
                    )
                )
        paths = hub.fetch_files(chosen, listener=listener)
    named = [(file.path, path) for file, path in zip(chosen, paths, strict=True)]
    return Fetched(commit, named, +left_out)


def _listing(name: str, revision: str, listener: Listener) -> tuple[str, list[hub.RemoteFile]]:
    """The commit that a revision means, and its parquet files in order of name."""
    cache = hub.RepoCache(name)
    commit = revision if re.fullmatch(r"[0-9a-f]{40}", revision) else None
    if hub.is_offline():
        commit = commit or cache.commit(revision)
        if commit is None:
            hub.refuse_offline(f"what {revision} of {name} means")
    if commit is not None and (kept := _kept_listing(name, commit)) is not None:
        return commit, kept
    if hub.is_offline() and commit is not None:
        # Fetched by another program: what else the commit holds is not known.
        found = cache.files(commit, ".parquet")
        listener(Notice(f"offline: the {len(found)} files of {name} that are cached are read"))
        return commit, [_as_remote(name, commit, file, path) for file, path in found]
    return _ask(name, revision, cache, listener)


def _ask(
    name: str, revision: str, cache: hub.RepoCache, listener: Listener
) -> tuple[str, list[hub.RemoteFile]]:
    from huggingface_hub import HfApi

    api = HfApi(endpoint=hub.endpoint())
    info: Any = hub.patiently(
        lambda: api.dataset_info(name, revision=revision, timeout=_TIMEOUT_S, files_metadata=True),
        f"asking for {name}",
        say=lambda text: listener(Notice(text, "warning")),
    )
    files = [
        _described(name, info.sha, entry)
        for entry in info.siblings or ()
        if entry.rfilename.endswith(".parquet")
    ]
    files.sort(key=lambda file: file.path)
    _keep_listing(name, info.sha, files)
    cache.remember(revision, info.sha)
    return info.sha, files


def _described(name: str, commit: str, entry: Any) -> hub.RemoteFile:
    digest = entry.lfs.sha256 if entry.lfs else entry.blob_id
    if digest is None or entry.size is None:  # some mirrors leave it out here
        return hub.look_up(name, entry.rfilename, revision=commit)
    return hub.RemoteFile(name, entry.rfilename, commit, entry.size, digest)


def _as_remote(name: str, commit: str, file: str, path: Path) -> hub.RemoteFile:
    # The cache names a content by its digest.
    return hub.RemoteFile(name, file, commit, path.stat().st_size, path.resolve().name)


def _listing_place(name: str, commit: str) -> Path:
    return cache_dir() / "hub" / name.replace("/", "--") / f"{commit}.json"


def _kept_listing(name: str, commit: str) -> list[hub.RemoteFile] | None:
    try:
        record = json.loads(_listing_place(name, commit).read_text(encoding="utf-8"))
        return [hub.RemoteFile(name, path, commit, size, digest) for path, size, digest in record]
    except FileNotFoundError:
        return None
    except (ValueError, TypeError):
        return None  # damaged: it is asked for again


def _keep_listing(name: str, commit: str, files: Sequence[hub.RemoteFile]) -> None:
    record = [(file.path, file.size, file.digest) for file in files]
    write_whole(_listing_place(name, commit), json.dumps(record))


def _first_look(
    holding: Mapping[hub.RemoteFile, frozenset[str]], seed: int
) -> list[hub.RemoteFile]:
    """Some files by the seed; where several sources are wanted, one of each that any file may hold."""

    def place(file: hub.RemoteFile) -> int:
        text = f"first look {seed} {file.commit} {file.path}"
        return xxhash.xxh3_64_intdigest(text.encode())

    ordered = sorted(holding, key=place)
    sources = frozenset[str]().union(*holding.values())
    firsts = {next(file for file in ordered if source in holding[file]) for source in sources}
    others = [file for file in ordered if file not in firsts]
    more = others[: max(FIRST_LOOK_FILES - len(firsts), 0)]
    return sorted([*firsts, *more], key=lambda file: file.path)


def _holding(
    files: Sequence[hub.RemoteFile], sources: frozenset[str], listener: Listener
) -> dict[hub.RemoteFile, frozenset[str]]:
    """The files whose footers do not rule the sources out, each with those that it may hold."""
    if not sources:
        return dict.fromkeys(files, frozenset[str]())
    stage = "reading footers"
    listener(StageStarted(stage, len(files), "files"))
    notes: queue.SimpleQueue[str] = queue.SimpleQueue()

    def holds(file: hub.RemoteFile) -> frozenset[str]:
        import pyarrow.parquet as pq

        # Metadata is all that is read, and it is all that is there.
        opened: Any = pq.ParquetFile(io.BytesIO(_footer(file, notes.put)))
        parquet.check_schema(opened.schema_arrow, file.path)
        groups = range(opened.num_row_groups)
        known = [parquet.footer_values(opened, group, "source") for group in groups]
        return frozenset(
            source
            for source in sources
            if any(value is None or value.may_hold(frozenset({source})) for value in known)
        )

    found: dict[hub.RemoteFile, frozenset[str]] = {}
    with ThreadPoolExecutor(max_workers=_FOOTER_READERS) as pool:
        for done, (file, held) in enumerate(zip(files, pool.map(holds, files), strict=True), 1):
            while not notes.empty():
                listener(Notice(notes.get(), "warning"))
            if held:
                found[file] = held
            listener(StageProgress(stage, done))
    listener(StageDone(stage, f"{len(found)} of {len(files)} files may hold such rows"))
    if not found:
        raise NotFoundError(
            f"no file of {files[0].repo} holds rows of {', '.join(sorted(sources))}",
            hint="`ot subset --list-sources` counts the sources of a data set",
        )
    return found


def _footer(file: hub.RemoteFile, say: Callable[[str], None]) -> bytes:
    """The end of a parquet file, from where its metadata begins; kept by the file's digest."""
    place = cache_dir() / "hub" / "footers" / file.digest
    if place.is_file():
        return place.read_bytes()
    if (path := hub.RepoCache(file.repo).file(file.commit, file.path)) is not None:
        with path.open("rb") as opened:
            opened.seek(-min(file.size, _FOOTER_GUESS_BYTES), io.SEEK_END)
            tail = opened.read()
    else:
        tail = hub.read_tail(file, _FOOTER_GUESS_BYTES, say=say)
    needed = int.from_bytes(tail[-_TRAILER_BYTES:-4], "little") + _TRAILER_BYTES
    if tail[-4:] != b"PAR1" or needed > file.size:
        raise parquet.broken(file.path, ValueError("it does not end as one"))
    if needed > len(tail):
        tail = hub.read_tail(file, needed, say=say)
    write_whole(place, tail[-needed:])
    return tail[-needed:]


@contextmanager
def hub_errors(name: str) -> Generator[None]:
    """Turn what the hub library raises about a data set into what a person can act on."""
    from huggingface_hub import errors

    try:
        yield
    except errors.GatedRepoError as error:
        raise AuthError(
            f"the data set {name} is gated: your account has not been granted access",
            hint=hub.access_steps(name),
        ) from error
    except errors.RevisionNotFoundError as error:
        raise NotFoundError(
            f"the data set {name} has no such revision",
            hint="give a branch, tag or commit that it has, or leave out @REVISION",
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise NotFoundError(
            f"there is no data set {name} at {hub.endpoint()}, and no such path here",
            hint="check its name; a private one needs HF_TOKEN, of an account that may read it",
        ) from error
    except errors.HFValidationError as error:
        raise NotFoundError(
            f"{name} is neither a path here nor a hub id",
            hint="give a file or folder that exists, or a hub id such as "
            "open-thoughts/OpenThoughts3-1.2M",
        ) from error
    except errors.HfHubHTTPError as error:
        if error.response.status_code in (401, 403):
            raise AuthError(
                f"{hub.endpoint()} refuses the token for {name}",
                hint="make a new one with read access and set HF_TOKEN, or run `hf auth login`",
            ) from error
        raise _unreadable(name, error) from error
    except (hub.http_error(), ConnectionError, TimeoutError) as error:
        raise _unreadable(name, error) from error
    except NetworkError as error:
        raise NetworkError(error.message, hint=_elsewhere(error.hint or "")) from error


def _unreadable(name: str, error: BaseException) -> NetworkError:
    return NetworkError(
        f"cannot read {name} from {hub.endpoint()}: {hub.short_reason(error)}",
        hint=_elsewhere("check the connection"),
    )


def _elsewhere(first: str) -> str:
    remedy = "or give the same command with --dataset sample, or --dataset with a folder"
    return first if "--dataset sample" in first else f"{first}; {remedy}"
