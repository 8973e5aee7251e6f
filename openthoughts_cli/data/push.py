"""A subset onto the Hugging Face hub, as one config of a data set repository that may hold many.

    README.md             a header that lists the configs, and a section for each
    <subset>/train.parquet
    <subset>/...          the other files of the subset's directory

Everything of one subset goes in one commit, and then the hub is asked what it holds: a push has
succeeded when the digests there are those of the files here.
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from openthoughts_cli import hub
from openthoughts_cli.data import arrow_directory
from openthoughts_cli.data.card import card_section
from openthoughts_cli.data.card_header import (
    card_header,
    data_config,
    header_text,
    merged_header,
    split_header,
)
from openthoughts_cli.data.subset import Subset
from openthoughts_cli.errors import (
    AuthError,
    ConflictError,
    DataError,
    IntegrityError,
    NetworkError,
    UsageError,
)
from openthoughts_cli.events import Listener, StageDone, StageStarted, silent

__all__ = ["Pushed", "push_subset"]

_ROWS = "train.parquet"
_GROUP_ROWS = 1000
_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Pushed:
    """Where a subset lies on the hub now."""

    url: str
    config: str
    commit: str
    private: bool
    files: Mapping[str, str]
    """Path in the repository, and the digest that the hub says it has."""
    reused: bool = False
    """Whether these rows were there already and nothing was sent."""


def push_subset(
    subset: Subset,
    repo: str,
    *,
    public: bool = False,
    force: bool = False,
    listener: Listener = silent,
) -> Pushed:
    """Upload a subset with its card, and check what the hub then holds.

    Args:
        subset: its rows are checked against their digest first.
        repo: `owner/name` of a data set repository; made, private, where there is none.
        public: make it public, or agree that it is.
        force: replace a config of this name that holds other rows.
        listener: hears the progress.

    Raises:
        AuthError: there is no token, or it may not write there.
        ConflictError: a config of that name with other rows; a public repository without
            `public`; somebody else pushed meanwhile.
        IntegrityError: the subset is damaged, or the hub holds other bytes than were sent.
        NetworkError: the hub cannot be reached.
    """
    from huggingface_hub import HfApi, get_token

    hub.refuse_offline(f"a push to {repo}")
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repo):
        raise UsageError(f"{repo!r} is no repository", hint="give it as owner/name")
    if get_token() is None:
        raise AuthError(f"a push to {repo} needs a token", hint=_token_steps())
    subset.rows()
    api = HfApi(endpoint=hub.endpoint())
    with _push_errors(repo), hub.quiet():
        # Asked before anything is made: a host that is not there is known within seconds.
        if (reason := hub.why_unreachable(hub.endpoint())) is not None:
            raise NetworkError(
                f"{hub.endpoint()} cannot be reached: {reason}", hint="check the connection"
            )
        api.create_repo(repo, repo_type="dataset", private=not public, exist_ok=True)
        there = _info(api, repo, "main")
        if not public and not there.private:
            raise ConflictError(
                f"{repo} is public: everyone could read the rows",
                hint="give another repository, or --public to agree",
            )
        if (same := _already(there, subset, repo, force)) is not None:
            return same
        return _send(api, subset, repo, there, listener)


def _already(there: Any, subset: Subset, repo: str, force: bool) -> Pushed | None:
    """The config that is there, if it holds these rows; None where there is none to keep."""
    path = f"{subset.name}/metadata.json"
    names = {entry.rfilename for entry in there.siblings or ()}
    if path not in names:
        return None
    file = hub.look_up(repo, path, revision=there.sha)
    (local,) = hub.fetch_files([file])
    try:
        digest = json.loads(local.read_text(encoding="utf-8"))["digest"]
    except (ValueError, KeyError, TypeError):
        digest = None
    if digest != subset.digest:
        if force:
            return None
        raise ConflictError(
            f"{repo} has a config {subset.name} already, of other rows ({digest})",
            hint="--force replaces it",
        )
    if f"{subset.name}/{_ROWS}" not in names:
        return None
    held = {
        path: digest
        for path, digest in _held(there).items()
        if path.startswith(f"{subset.name}/") or path == "README.md"
    }
    return Pushed(_page(repo), subset.name, there.sha, bool(there.private), held, reused=True)


def _send(api: Any, subset: Subset, repo: str, there: Any, listener: Listener) -> Pushed:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    with tempfile.TemporaryDirectory() as scratch:
        contents = _contents(subset, Path(scratch))
        contents["README.md"] = _readme(subset, repo, there).encode()
        stage, size = "uploading", sum(map(_size, contents.values()))
        listener(StageStarted(stage, unit="files"))
        operations: list[Any] = [
            CommitOperationAdd(path, content if isinstance(content, bytes) else str(content))
            for path, content in sorted(contents.items())
        ]
        gone = {
            entry.rfilename
            for entry in there.siblings or ()
            if entry.rfilename.startswith(f"{subset.name}/") and entry.rfilename not in contents
        }
        operations += [CommitOperationDelete(path) for path in sorted(gone)]
        done = api.create_commit(
            repo,
            operations,
            commit_message=f"{subset.name}: {subset.metadata['figures']['rows']:,} rows",
            commit_description=f"digest {subset.digest}",
            repo_type="dataset",
            parent_commit=there.sha,
        )
        listener(StageDone(stage, f"{len(contents)} files, {size / 1e6:,.1f} MB"))
        held = _held(info := _info(api, repo, done.oid))
        _compare(repo, contents, held)
    files = {path: held[path] for path in sorted(contents)}
    return Pushed(_page(repo), subset.name, done.oid, bool(info.private), files)


def _contents(subset: Subset, scratch: Path) -> dict[str, bytes | Path]:
    """By path in the repository: every file of the subset, its rows as parquet."""
    import pyarrow.parquet as pq

    table = arrow_directory.read_table(subset.path / "dataset")
    rows = scratch / _ROWS
    pq.write_table(table, rows, compression="zstd", row_group_size=_GROUP_ROWS)
    contents: dict[str, bytes | Path] = {f"{subset.name}/{_ROWS}": rows}
    for path in sorted(subset.path.rglob("*")):
        name = path.relative_to(subset.path).as_posix()
        if path.is_file() and not name.startswith("dataset/") and name != "README.md":
            contents[f"{subset.name}/{name}"] = path
    record = _for_others(subset.metadata)
    for name, value in (("metadata.json", record), ("config.json", record["config"])):
        text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
        contents[f"{subset.name}/{name}"] = text.encode()
    return contents


def _for_others(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The record without what only this machine knows: paths become the names at their ends."""
    record = json.loads(json.dumps(metadata))
    record.pop("files", None)  # of the directory here
    config, dataset, tokenizer = record["config"], record["dataset"], record["tokenizer"]
    config["output_dir"] = None
    if dataset["kind"] == "files":
        config["dataset"] = dataset["asked_for"] = _name_at_end(dataset["asked_for"])
        for file in (*dataset["files"], *dataset.get("bad_files", ())):
            name = file["name"]
            file["name"] = _name_at_end(name) if PurePath(name).is_absolute() else name
            if "reason" in file:
                file["reason"] = file["reason"].replace(name, file["name"])
    if Path(tokenizer["model"]).expanduser().exists():
        config["tokenizer"] = tokenizer["model"] = _name_at_end(tokenizer["model"])
    if config.get("ranking"):
        config["ranking"] = _name_at_end(config["ranking"])
    config["decontaminate"] = [_name_at_end(each) for each in config.get("decontaminate", ())]
    return record


def _name_at_end(path: str) -> str:
    return PurePath(path).name or path


def _readme(subset: Subset, repo: str, there: Any) -> str:
    """The repository's README.md with this subset's config and section put in or renewed."""
    text = ""
    if any(entry.rfilename == "README.md" for entry in there.siblings or ()):
        file = hub.look_up(repo, "README.md", revision=there.sha)
        (local,) = hub.fetch_files([file])
        text = local.read_text(encoding="utf-8")
    try:
        theirs, body = split_header(text)
    except ValueError as error:
        raise DataError(
            f"README.md of {repo} cannot be kept as it is: {error}", hint="mend it on the hub"
        ) from error
    name, record = subset.name, _for_others(subset.metadata)
    entry = data_config(name, f"{name}/{_ROWS}")
    ours = card_header(repo.partition("/")[2], record, [entry])
    begin, end = f"<!-- ot: begin {name} -->", f"<!-- ot: end {name} -->"
    load = f'from datasets import load_dataset\n\nrows = load_dataset("{repo}", "{name}")\n'
    section = f"{begin}\n{card_section(name, record, load, f'{name}/lengths.png')}\n{end}\n"
    known = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}\n?", re.DOTALL)
    if known.search(body):
        body = known.sub(lambda _: section, body, count=1)
    else:
        body = f"{body.rstrip()}\n\n{section}" if body.strip() else section
    return header_text(merged_header(theirs, ours)) + "\n" + body.lstrip("\n")


def _info(api: Any, repo: str, revision: str) -> Any:
    return hub.patiently(
        lambda: api.dataset_info(repo, revision=revision, files_metadata=True, timeout=_TIMEOUT_S),
        f"asking for {repo}",
    )


def _held(info: Any) -> dict[str, str]:
    return {
        entry.rfilename: entry.lfs.sha256 if entry.lfs else entry.blob_id
        for entry in info.siblings or ()
    }


def _compare(repo: str, contents: Mapping[str, bytes | Path], held: Mapping[str, str]) -> None:
    wrong = [path for path, content in contents.items() if not _equal(content, held.get(path))]
    if wrong:
        raise IntegrityError(
            f"{repo} holds other bytes than were sent: {', '.join(sorted(wrong)[:3])}",
            hint="run the same command again with --force; if it stays so, the hub is at fault",
        )


def _equal(content: bytes | Path, digest: str | None) -> bool:
    data = content if isinstance(content, bytes) else content.read_bytes()
    git = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False)
    return digest in (hashlib.sha256(data).hexdigest(), git.hexdigest())


def _size(content: bytes | Path) -> int:
    return len(content) if isinstance(content, bytes) else content.stat().st_size


def _page(repo: str) -> str:
    return f"{hub.endpoint()}/datasets/{repo}"


def _token_steps() -> str:
    return (
        f"1. make a token with write access at {hub.endpoint()}/settings/tokens  "
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
                f"{hub.endpoint()} does not let this token write to {repo}", hint=_token_steps()
            ) from error
        if status in (409, 412):
            raise ConflictError(
                f"somebody else changed {repo} meanwhile", hint="run the same command again"
            ) from error
        raise _failed(repo, error) from error
    except (hub.http_error(), ConnectionError, TimeoutError) as error:
        raise _failed(repo, error) from error


def _failed(repo: str, error: BaseException) -> NetworkError:
    return NetworkError(
        f"cannot push to {repo} at {hub.endpoint()}: {hub.short_reason(error)}",
        hint="check the connection and run the same command again; a commit is whole or not there",
    )
