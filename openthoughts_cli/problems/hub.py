"""One file of a data set on the Hugging Face hub, at a stated commit."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from openthoughts_cli.errors import AuthError, NetworkError, NotFoundError

__all__ = ["HubFile", "fetch"]

_TIMEOUT_S = 8.0


class HubFile(NamedTuple):
    """A file in the local cache and the commit it belongs to."""

    path: Path
    commit: str


def fetch(repo: str, filename: str, *, revision: str, benchmark: str) -> HubFile:
    """Download (or find in the cache) one file of the data set `repo`.

    A revision that is a full commit needs no network once the file is in the cache.

    Raises:
        AuthError: the data set is gated and access was not granted; the steps are in the hint.
        NetworkError: the hub cannot be reached or fails.
        NotFoundError: no such data set, revision or file.
    """
    from huggingface_hub import errors, hf_hub_download

    try:
        place = hf_hub_download(
            repo, filename, repo_type="dataset", revision=revision, etag_timeout=_TIMEOUT_S
        )
    except errors.GatedRepoError as error:
        raise _gated(repo, benchmark) from error
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError) as error:
        raise _missing(f"{repo}@{revision}", benchmark) from error
    except errors.RemoteEntryNotFoundError as error:
        raise _missing(f"{filename} in {repo}@{revision}", benchmark) from error
    except (errors.LocalEntryNotFoundError, errors.HfHubHTTPError, OSError) as error:
        raise NetworkError(
            f"the problems of {benchmark} ({repo} on the Hugging Face hub) cannot be fetched: "
            f"{_first_line(error)}",
            hint=f"check the connection, or use a local file: {_local(benchmark)}",
        ) from error
    path = Path(place)
    return HubFile(path, _commit_of(path, revision))


def _commit_of(path: Path, revision: str) -> str:
    """The cache keeps a file under snapshots/<commit>/."""
    parts = path.parts
    return parts[parts.index("snapshots") + 1] if "snapshots" in parts else revision


def _local(benchmark: str) -> str:
    return f"--data {benchmark}=path/to/problems.jsonl"


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


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
