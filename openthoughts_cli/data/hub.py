"""Rows on the Hugging Face hub, or on the mirror that HF_ENDPOINT names.

Files are fetched whole through `huggingface_hub`, which keeps them in its cache and goes on where
a download was cut. A large data set is not fetched for a first look: the footers, read in ranges,
tell which files hold the sources asked for, and a seeded choice of a few of those is read.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import xxhash

from openthoughts_cli.data import parquet
from openthoughts_cli.errors import AuthError, NetworkError, NotFoundError
from openthoughts_cli.events import Listener, Notice, StageDone, StageProgress, StageStarted

__all__ = ["FIRST_LOOK_BYTES", "FIRST_LOOK_FILES", "Fetched", "fetch"]

FIRST_LOOK_BYTES = 1 << 30
"""A data set up to this size is read whole without being asked."""
FIRST_LOOK_FILES = 2
"""Files of a larger one that are read without `full`."""
_TIMEOUT_S = 8.0


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
    """
    from huggingface_hub import HfApi
    from huggingface_hub.constants import is_offline_mode

    with _hub_errors(name), _no_progress_bars():
        if is_offline_mode():
            return _from_cache(name, revision)
        info = HfApi(endpoint=_endpoint()).dataset_info(
            name, revision=revision, timeout=_TIMEOUT_S, files_metadata=True
        )
        sizes = {
            file.rfilename: int(file.size or 0)
            for file in info.siblings or ()
            if file.rfilename.endswith(".parquet")
        }
        if not sizes or info.sha is None:
            raise NotFoundError(
                f"the data set {name} has no parquet file",
                hint="give one that holds parquet files in the OpenThoughts schema",
            )
        chosen, left_out = sorted(sizes), Counter[str]()
        if not full and sum(sizes.values()) > first_look_bytes:
            holding = _holding(name, info.sha, chosen, frozenset(sources), listener)
            chosen = _first_look(holding, info.sha, seed)
            left_out["without the source"] = len(sizes) - len(holding)
            left_out["first look"] = len(holding) - len(chosen)
            listener(
                Notice(
                    f"a first look: {len(chosen)} of the {len(holding)} files of {name} that hold "
                    "such rows are read, by the seed; --full reads all of them"
                )
            )
        files = _download(name, info.sha, chosen, sizes, listener)
    return Fetched(info.sha, files, +left_out)


def _first_look(files: Sequence[str], revision: str, seed: int) -> list[str]:
    def place(file: str) -> int:
        return xxhash.xxh3_64_intdigest(f"first look {seed} {revision} {file}".encode())

    return sorted(sorted(files, key=place)[:FIRST_LOOK_FILES])


def _holding(
    name: str, revision: str, files: Sequence[str], sources: frozenset[str], listener: Listener
) -> list[str]:
    """The files whose footers do not rule the sources out."""
    if not sources:
        return list(files)
    import pyarrow.parquet as pq
    from huggingface_hub import HfFileSystem

    stage = "reading footers"
    listener(StageStarted(stage, len(files), "files"))
    hub = HfFileSystem(endpoint=_endpoint())

    def holds(path: str) -> bool:
        with hub.open(f"datasets/{name}@{revision}/{path}", block_size=1 << 17) as opened:
            file: Any = pq.ParquetFile(opened)
            parquet.check_schema(file.schema_arrow, path)
            groups = range(file.num_row_groups)
            known = [parquet.footer_values(file, group, "source") for group in groups]
        return any(value is None or value.may_hold(sources) for value in known)

    found: list[str] = []
    with ThreadPoolExecutor(max_workers=8) as pool:
        for done, (path, yes) in enumerate(zip(files, pool.map(holds, files), strict=True), 1):
            if yes:
                found.append(path)
            listener(StageProgress(stage, done))
    listener(StageDone(stage, f"{len(found)} of {len(files)} files may hold such rows"))
    if not found:
        raise NotFoundError(f"no file of {name} holds rows of {', '.join(sorted(sources))}")
    return found


def _download(
    name: str, revision: str, files: Sequence[str], sizes: dict[str, int], listener: Listener
) -> list[tuple[str, Path]]:
    from huggingface_hub import hf_hub_download

    stage = "fetching"
    listener(StageStarted(stage, sum(sizes[file] for file in files), "bytes"))
    fetched: list[tuple[str, Path]] = []
    done = 0
    for file in files:
        path = hf_hub_download(
            name,
            file,
            repo_type="dataset",
            revision=revision,
            endpoint=_endpoint(),
            etag_timeout=_TIMEOUT_S,
        )
        fetched.append((file, Path(path)))
        done += sizes[file]
        listener(StageProgress(stage, done))
    listener(StageDone(stage, f"{len(files)} files, {done / 1e6:,.0f} MB"))
    return fetched


def _from_cache(name: str, revision: str | None) -> Fetched:
    from huggingface_hub import snapshot_download

    folder = Path(
        snapshot_download(name, repo_type="dataset", revision=revision, local_files_only=True)
    )
    files = [(p.relative_to(folder).as_posix(), p) for p in sorted(folder.rglob("*.parquet"))]
    if not files:
        raise NetworkError(
            f"no parquet file of {name} is in the cache, and HF_HUB_OFFLINE forbids to fetch one",
            hint=_elsewhere("unset HF_HUB_OFFLINE"),
        )
    return Fetched(folder.name, files, Counter())


@contextmanager
def _hub_errors(name: str) -> Generator[None]:
    """Turn what the hub library raises into what a person can act on."""
    from huggingface_hub import errors
    from huggingface_hub.errors import HTTPError  # pyright: ignore[reportPrivateImportUsage]

    endpoint = _endpoint()
    try:
        yield
    except errors.GatedRepoError as error:
        raise AuthError(
            f"the data set {name} is gated", hint="accept its terms on the hub, then set HF_TOKEN"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise NotFoundError(f"the data set {name} has no such revision") from error
    except errors.RepositoryNotFoundError as error:
        raise NotFoundError(
            f"there is no data set {name} at {endpoint}, and no such path here",
            hint="check its name; a private one needs HF_TOKEN",
        ) from error
    except errors.HFValidationError as error:
        raise NotFoundError(f"{name} is neither a path here nor a hub id") from error
    except (errors.OfflineModeIsEnabled, errors.LocalEntryNotFoundError) as error:
        raise NetworkError(
            f"{name} is not in the cache of the Hugging Face hub, and it cannot be fetched: "
            f"{_reason(error)}",
            hint=_elsewhere("connect, or unset HF_HUB_OFFLINE"),
        ) from error
    except (HTTPError, ConnectionError, TimeoutError) as error:
        raise NetworkError(
            f"cannot read {name} from {endpoint}: {_reason(error)}",
            hint=_elsewhere("check the connection"),
        ) from error


@contextmanager
def _no_progress_bars() -> Generator[None]:
    """Keep huggingface_hub from drawing on the terminal; events speak for us."""
    from huggingface_hub import utils

    if utils.are_progress_bars_disabled():
        yield
        return
    utils.disable_progress_bars()
    try:
        yield
    finally:
        utils.enable_progress_bars()


def _endpoint() -> str:
    # Read now, not when huggingface_hub was imported.
    return (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")


def _elsewhere(first: str) -> str:
    return f"{first}; or give the same command with --dataset sample, or --dataset with a folder"


def _reason(error: BaseException) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:160]
