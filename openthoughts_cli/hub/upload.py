"""Files onto the Hugging Face hub in one commit, and proof of what it then holds.

A repository is made private, what everyone could read needs a yes, the commit has the looked-at
one as its parent, and an upload has succeeded when the hub's digests are those of the files here.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from openthoughts_cli.errors import (
    AuthError,
    ConflictError,
    IntegrityError,
    NetworkError,
    UsageError,
)
from openthoughts_cli.hub.patience import patiently
from openthoughts_cli.hub.session import (
    endpoint,
    http_error,
    quiet,
    refuse_offline,
    short_reason,
    why_unreachable,
)
from openthoughts_cli.redaction import redact

__all__ = ["Content", "Kind", "Repository", "check_writer", "content_size", "writable"]

Kind: TypeAlias = Literal["dataset", "model"]
Content: TypeAlias = bytes | Path

_TIMEOUT_S = 10.0
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository that was looked at and may be written to."""

    api: Any
    name: str
    kind: Kind
    info: Any
    """What the hub said of it: `sha`, `private`, `siblings`."""

    @property
    def page(self) -> str:
        """Its address for people."""
        return page_of(self.name, self.kind)

    @property
    def paths(self) -> set[str]:
        """The files in it."""
        return {entry.rfilename for entry in self.info.siblings or ()}

    @property
    def held(self) -> dict[str, str]:
        """Path to the digest that the hub has: SHA-256 of large files, git's of the others."""
        return {
            entry.rfilename: entry.lfs.sha256 if entry.lfs else entry.blob_id
            for entry in self.info.siblings or ()
        }

    def holds(self, contents: Mapping[str, Content]) -> bool:
        """Whether each of `contents` is there already, byte for byte."""
        held = self.held
        return all(_equal(content, held.get(path)) for path, content in contents.items())

    def commit(
        self,
        contents: Mapping[str, Content],
        *,
        message: str,
        description: str = "",
        gone: Iterable[str] = (),
    ) -> Repository:
        """Send `contents` and delete `gone` in one commit; the repository as it is then.

        Raises:
            ConflictError: somebody else changed it since it was looked at.
            IntegrityError: it holds other bytes than were sent.
        """
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        operations: list[Any] = [
            CommitOperationAdd(path, content if isinstance(content, bytes) else str(content))
            for path, content in sorted(contents.items())
        ]
        operations += [CommitOperationDelete(path) for path in sorted(gone)]
        done = self.api.create_commit(
            self.name,
            operations,
            commit_message=message,
            commit_description=description,
            repo_type=self.kind,
            parent_commit=self.info.sha,
        )
        now = Repository(
            self.api, self.name, self.kind, _info(self.api, self.name, self.kind, done.oid)
        )
        held = now.held
        wrong = [path for path, content in contents.items() if not _equal(content, held.get(path))]
        if wrong:
            raise IntegrityError(
                f"{self.name} holds other bytes than were sent: {', '.join(sorted(wrong)[:3])}",
                hint="run the same command again with --force; if it stays so, the hub is at fault",
            )
        return now


def check_writer(repo: str) -> None:
    """That a push to `repo` could begin; asks no server.

    Raises:
        UsageError: it is no repository's name.
        AuthError: there is no token.
        NetworkError: HF_HUB_OFFLINE forbids it.
    """
    from huggingface_hub import get_token
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    refuse_offline(f"a push to {repo}")
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repo):
        raise UsageError(f"{repo!r} is not the name of a repository", hint="give it as owner/name")
    try:
        validate_repo_id(repo)
    except HFValidationError as error:
        raise UsageError(
            f"{repo!r} cannot be a repository: {error}", hint="choose another name"
        ) from error
    if get_token() is None:
        raise AuthError(f"a push to {repo} needs a token", hint=_token_steps())


@contextmanager
def writable(repo: str, kind: Kind, *, public: bool) -> Generator[Repository]:
    """The repository `repo` (owner/name), made where there is none, private unless `public`.

    What the hub library raises inside the block becomes an error that a person can act on.

    Raises:
        UsageError: `repo` is no repository's name.
        AuthError: there is no token, or it may not write there.
        ConflictError: everyone may read it, and `public` was not said.
        NetworkError: the hub cannot be reached.
    """
    from huggingface_hub import HfApi

    check_writer(repo)
    api = HfApi(endpoint=endpoint())
    with _push_errors(repo), quiet():
        # Asked before anything is made: a host that is not there is known within seconds.
        if (reason := why_unreachable(endpoint())) is not None:
            raise NetworkError(
                f"{endpoint()} cannot be reached: {reason}", hint="check the connection"
            )
        api.create_repo(repo, repo_type=kind, private=not public, exist_ok=True)
        there = _info(api, repo, kind, "main")
        if not public and not there.private:
            what = "the rows" if kind == "dataset" else "the weights"
            raise ConflictError(
                f"{repo} is public: everyone could read {what}",
                hint="give another repository, or --public to agree",
            )
        yield Repository(api, repo, kind, there)


def page_of(repo: str, kind: Kind) -> str:
    """The address of a repository's page, to be shown: without a password of `HF_ENDPOINT`."""
    return redact(f"{endpoint()}/{'datasets/' if kind == 'dataset' else ''}{repo}")


def content_size(content: Content) -> int:
    """Bytes of a content."""
    return len(content) if isinstance(content, bytes) else content.stat().st_size


def _info(api: Any, repo: str, kind: Kind, revision: str) -> Any:
    return patiently(
        lambda: api.repo_info(
            repo, repo_type=kind, revision=revision, files_metadata=True, timeout=_TIMEOUT_S
        ),
        f"asking for {repo}",
    )


def _equal(content: Content, digest: str | None) -> bool:
    plain, git = hashlib.sha256(), hashlib.sha1(usedforsecurity=False)
    git.update(b"blob %d\0" % content_size(content))
    for chunk in _chunks(content):
        plain.update(chunk)
        git.update(chunk)
    return digest in (plain.hexdigest(), git.hexdigest())


def _chunks(content: Content) -> Generator[bytes]:
    if isinstance(content, bytes):
        yield content
        return
    with content.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk


def _token_steps() -> str:
    return (
        f"1. make a token with write access at {endpoint()}/settings/tokens  "
        "2. run `hf auth login`, or set HF_TOKEN to it  3. run this again"
    )


@contextmanager
def _push_errors(repo: str) -> Generator[None]:
    """Turn what the hub library raises while writing into what a person can act on."""
    from huggingface_hub import errors

    try:
        yield
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        if status in (401, 403) or isinstance(error, errors.RepositoryNotFoundError):
            raise AuthError(
                f"{endpoint()} does not let this token write to {repo}", hint=_token_steps()
            ) from error
        if status in (409, 412):
            raise ConflictError(
                f"somebody else changed {repo} meanwhile", hint="run the same command again"
            ) from error
        raise _failed(repo, error) from error
    except (http_error(), ConnectionError, TimeoutError) as error:
        raise _failed(repo, error) from error


def _failed(repo: str, error: BaseException) -> NetworkError:
    return NetworkError(
        f"cannot push to {repo} at {endpoint()}: {short_reason(error)}",
        hint="check the connection and run the same command again; a commit is whole or not there",
    )
