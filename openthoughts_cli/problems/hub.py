"""One file of a data set on the Hugging Face hub, at a stated commit.

huggingface_hub retries an unreachable host for about 25 s a file; one request with a short timeout
goes before it, so that "no network" is said within seconds. `HF_ENDPOINT`, `HF_HOME`, `HF_TOKEN` and
`HF_HUB_OFFLINE` count as they do everywhere.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Generator
from pathlib import Path
from typing import NamedTuple

from openthoughts_cli.errors import AuthError, NetworkError, NotFoundError

__all__ = ["HubFile", "fetch"]

_TIMEOUT_S = 8.0
_COMMIT = re.compile(r"[0-9a-f]{40}")


class HubFile(NamedTuple):
    """A file in the local cache and the commit it belongs to."""

    path: Path
    commit: str


def fetch(repo: str, filename: str, *, revision: str, benchmark: str) -> HubFile:
    """One file of the data set `repo`, from the hub or from this machine's cache.

    A file of a stated commit that is in the cache needs no network. A branch is looked up first;
    when the hub cannot be reached, what is cached of it serves.

    Raises:
        AuthError: the data set is gated and access was not granted; the steps are in the hint.
        NetworkError: the hub cannot be reached or fails.
        NotFoundError: no such data set, revision or file.
    """
    from huggingface_hub import errors

    cached = _cached(repo, filename, revision)
    if cached is not None and _COMMIT.fullmatch(revision):
        return _found(cached, revision)
    try:
        _probe(repo, filename, revision)
        return _found(_download(repo, filename, revision), revision)
    except errors.GatedRepoError as error:
        raise _gated(repo, benchmark) from error
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError) as error:
        raise _missing(f"{repo}@{revision}", benchmark) from error
    except errors.RemoteEntryNotFoundError as error:
        raise _missing(f"{filename} in {repo}@{revision}", benchmark) from error
    except (errors.LocalEntryNotFoundError, OSError, NetworkError, _http_error()) as error:
        if cached is not None:
            return _found(cached, revision)
        raise NetworkError(
            f"the problems of {benchmark} ({repo} on the hub at {_endpoint()}) cannot be fetched: "
            f"{_reason(error)}",
            hint=f"check the connection, or use a local file: {_local(benchmark)}",
        ) from error


def _endpoint() -> str:
    # Read now, not when huggingface_hub was imported.
    return (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")


def _http_error() -> type[Exception]:
    """What the hub's HTTP client raises for a host that does not answer."""
    from huggingface_hub.errors import HTTPError  # pyright: ignore[reportPrivateImportUsage]

    return HTTPError


def _cached(repo: str, filename: str, revision: str) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repo, filename, repo_type="dataset", revision=revision)
    return Path(found) if isinstance(found, str) else None


def _probe(repo: str, filename: str, revision: str) -> None:
    """One request, so that a host that is not there is known at once."""
    from huggingface_hub import get_session, hf_hub_url

    url = hf_hub_url(repo, filename, repo_type="dataset", revision=revision, endpoint=_endpoint())
    response = get_session().head(url, timeout=_TIMEOUT_S)
    if response.status_code == 429 or response.status_code >= 500:
        raise NetworkError(f"it answers {response.status_code}")


def _download(repo: str, filename: str, revision: str) -> Path:
    from huggingface_hub import hf_hub_download

    with _no_progress_bars():
        return Path(
            hf_hub_download(
                repo,
                filename,
                repo_type="dataset",
                revision=revision,
                endpoint=_endpoint(),
                etag_timeout=_TIMEOUT_S,
            )
        )


@contextlib.contextmanager
def _no_progress_bars() -> Generator[None]:
    """Nothing outside cli/ draws on the terminal."""
    from huggingface_hub import utils

    if utils.are_progress_bars_disabled():
        yield
        return
    utils.disable_progress_bars()
    try:
        yield
    finally:
        utils.enable_progress_bars()


def _found(path: Path, revision: str) -> HubFile:
    """The cache keeps a file under snapshots/<commit>/."""
    parts = path.parts
    commit = parts[parts.index("snapshots") + 1] if "snapshots" in parts else revision
    return HubFile(path, commit)


def _local(benchmark: str) -> str:
    return f"--data {benchmark}=path/to/problems.jsonl"


def _reason(error: BaseException) -> str:
    text = error.message if isinstance(error, NetworkError) else str(error)
    return (text.strip() or type(error).__name__).splitlines()[0]


def _gated(repo: str, benchmark: str) -> AuthError:
    return AuthError(
        f"{benchmark} reads {repo}, which is gated: your account has not been granted access",
        hint=(
            f"1. sign in and accept the terms at https://huggingface.co/datasets/{repo}  "
            "2. make a token with read access at https://huggingface.co/settings/tokens  "
            "3. run `hf auth login`, or set HF_TOKEN to it  "
            f"4. run this again; or give a copy that you have: {_local(benchmark)}"
        ),
    )


def _missing(what: str, benchmark: str) -> NotFoundError:
    return NotFoundError(
        f"{benchmark}: the Hugging Face hub has no {what} (or your account may not see it)",
        hint=f"check the id and the revision, or use a local file: {_local(benchmark)}",
    )
