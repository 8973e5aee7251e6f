"""One file of a data set on the Hugging Face hub, at a stated commit.

`HF_ENDPOINT`, `HF_HOME`, `HF_TOKEN` and `HF_HUB_OFFLINE` count as they do everywhere.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from openthoughts_cli import hub
from openthoughts_cli.errors import AuthError, NetworkError, NotFoundError

__all__ = ["HubFile", "fetch"]

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

    cache = hub.RepoCache(repo)
    commit = cache.commit(revision) or revision
    cached = cache.file(commit, filename)
    if cached is not None and _COMMIT.fullmatch(revision):
        return HubFile(cached, revision)
    try:
        with hub.quiet():
            file = hub.look_up(repo, filename, revision=revision)
            (path,) = hub.fetch_files([file])
    except errors.GatedRepoError as error:
        raise _gated(repo, benchmark) from error
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError) as error:
        raise _missing(f"{repo}@{revision}", benchmark) from error
    except errors.RemoteEntryNotFoundError as error:
        raise _missing(f"{filename} in {repo}@{revision}", benchmark) from error
    except (NetworkError, ConnectionError, TimeoutError, hub.http_error()) as error:
        if cached is not None:
            return HubFile(cached, commit)
        raise NetworkError(
            f"the problems of {benchmark} ({repo} on the hub at {hub.endpoint()}) cannot be "
            f"fetched: {hub.short_reason(error)}",
            hint=f"check the connection, or use a local file: {_local(benchmark)}",
        ) from error
    cache.remember(revision, file.commit)
    return HubFile(path, file.commit)


def _local(benchmark: str) -> str:
    return f"--data {benchmark}=path/to/problems.jsonl"


def _gated(repo: str, benchmark: str) -> AuthError:
    return AuthError(
        f"{benchmark} reads {repo}, which is gated: your account has not been granted access",
        hint=f"{hub.access_steps(repo)}; or give a copy that you have: {_local(benchmark)}",
    )


def _missing(what: str, benchmark: str) -> NotFoundError:
    return NotFoundError(
        f"{benchmark}: the Hugging Face hub has no {what} (or your account may not see it)",
        hint=f"check the id and the revision, or use a local file: {_local(benchmark)}",
    )
