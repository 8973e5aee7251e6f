"""An export onto the Hugging Face hub, as a model repository of its own.

Everything goes in one commit, and then the hub is asked what it holds. What only this machine
knows (a base model's folder) goes as the name at its end.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openthoughts_cli import hub
from openthoughts_cli.data.subset import Subset, load_subset
from openthoughts_cli.errors import ConflictError, DataError, NotFoundError, UsageError
from openthoughts_cli.events import Listener, StageDone, StageStarted, silent
from openthoughts_cli.export.export import (
    EXPORT_FILE,
    check_export,
    export_weights,
    read_export,
)
from openthoughts_cli.export.weights import find_weights
from openthoughts_cli.places import runs_dir
from openthoughts_cli.runs.layout import list_runs

__all__ = ["PushedModel", "push_export", "push_weights", "subset_or_weights"]

_ADAPTER_CONFIG = "adapter_config.json"
_BEGINNING = frozenset({".gitattributes", "README.md", "LICENSE"})
"""What a repository may hold before the first push."""


@dataclass(frozen=True, slots=True)
class PushedModel:
    """Where the weights lie on the hub now. `files` maps paths to the hub's own digests."""

    url: str
    commit: str
    private: bool
    kind: str
    files: Mapping[str, str]
    reused: bool = False
    """Whether all of it was there already and nothing was sent."""

    def __repr__(self) -> str:
        seen = "private" if self.private else "public"
        how = "there already" if self.reused else f"{len(self.files)} files"
        return f"<PushedModel {self.kind} at {self.url} ({seen}), commit {self.commit[:8]}: {how}>"


def push_weights(
    name: str,
    repo: str,
    *,
    checkpoint: str | None = None,
    merged: bool = False,
    public: bool = False,
    force: bool = False,
    listener: Listener = silent,
) -> PushedModel:
    """Export a run's weights, or take the export that is there, and upload it.

    Args:
        name: a run, RUN@CHECKPOINT, the path of a checkpoint, or an exported folder.
        repo: `owner/name` of a model repository; made, private, where there is none.
        public: make it public, or agree that it is.
        force: replace other weights in that repository.

    Raises:
        OtError: as `export_weights` and `push_export`.
    """
    folder = Path(name).expanduser()
    if read_export(folder) is None:
        find_weights(name, checkpoint)  # before anything is asked of the hub
        hub.check_writer(repo)
        folder = export_weights(name, checkpoint=checkpoint, merged=merged, listener=listener).path
    elif merged or checkpoint:
        raise UsageError(
            f"{name} is an export already, so --merged and --checkpoint cannot be given",
            hint="give the run instead",
        )
    return push_export(folder, repo, public=public, force=force, listener=listener)


def subset_or_weights(name: str, *, weights: bool = False) -> Subset | None:
    """The subset of that name, or None where `name` means a run's weights or an export.

    Args:
        weights: it can be no subset, by what else was asked.

    Raises:
        NotFoundError: it is neither.
        UsageError: it is both.
    """
    folder = Path(name).expanduser()
    if weights or "://" in name or read_export(folder) is not None:
        return None
    try:
        subset = load_subset(name)
    except NotFoundError as error:
        try:
            find_weights(name)
        except NotFoundError as other:
            raise NotFoundError(
                f"there is neither a subset nor a run {name!r}",
                hint=f"{error.hint or error.message}; {other.hint or other.message}",
            ) from other
        return None
    if any(run.run_id == name for run in list_runs()):
        raise UsageError(
            f"{name} is a subset and a run",
            hint=f"give the path: {subset.path}, or {runs_dir() / name}",
        )
    return subset


def push_export(
    folder: Path,
    repo: str,
    *,
    public: bool = False,
    force: bool = False,
    listener: Listener = silent,
) -> PushedModel:
    """Upload an exported folder, and check what the hub then holds.

    Raises:
        NotFoundError: the folder is no export.
        IntegrityError: its files are not those that were exported, or the hub holds other bytes.
        AuthError: there is no token, or it may not write there.
        ConflictError: the repository holds something else; it is public and `public` was not
            said; somebody else pushed meanwhile.
        NetworkError: the hub cannot be reached.
    """
    record = read_export(folder)
    if record is None:
        raise NotFoundError(f"{folder} is not an export", hint="`ot runs export` makes one")
    check_export(folder, record)
    contents = _contents(folder, record)
    identity = record["identity"]
    with hub.writable(repo, "model", public=public) as there:
        gone = _replaced(there, identity, force)
        if not (gone - contents.keys()) and there.holds(contents):
            held = {path: digest for path, digest in there.held.items() if path in contents}
            return _pushed(there, identity, held, reused=True)
        stage, size = "uploading", sum(map(hub.content_size, contents.values()))
        listener(StageStarted(stage, unit="files"))
        now = there.commit(
            contents,
            message=f"{identity['run']}: step {identity['step']}, {identity['kind']}",
            description=f"ot export of checkpoint {identity['checkpoint']}",
            gone=gone - contents.keys(),
        )
        listener(StageDone(stage, f"{len(contents)} files, {size / 1e6:,.1f} MB"))
    held = now.held
    return _pushed(now, identity, {path: held[path] for path in sorted(contents)})


def _contents(folder: Path, record: Mapping[str, Any]) -> dict[str, hub.Content]:
    """By path in the repository; the base model is named there as others know it."""
    contents: dict[str, hub.Content] = {
        name: folder / name
        for name in record["files"]
        if (folder / name).is_file()  # a card that a person removed stays away
    }
    contents[EXPORT_FILE] = folder / EXPORT_FILE
    if _ADAPTER_CONFIG not in contents:
        return contents
    settings = json.loads((folder / _ADAPTER_CONFIG).read_text(encoding="utf-8"))
    if not Path(str(settings.get("base_model_name_or_path") or "")).is_absolute():
        return contents
    settings["base_model_name_or_path"] = record["identity"]["base"]
    text = (json.dumps(settings, indent=2, sort_keys=True) + "\n").encode()
    entry = {"bytes": len(text), "sha256": hashlib.sha256(text).hexdigest()}
    theirs = {**record, "files": {**record["files"], _ADAPTER_CONFIG: entry}}
    contents[_ADAPTER_CONFIG] = text
    contents[EXPORT_FILE] = (json.dumps(theirs, indent=2) + "\n").encode()
    return contents


def _replaced(there: hub.Repository, identity: Mapping[str, Any], force: bool) -> set[str]:
    """The files that this push replaces: those of an earlier one into the same repository.

    Raises:
        ConflictError: the repository holds other weights, or files that no push of ours made.
    """
    if EXPORT_FILE not in there.paths:
        foreign = sorted(there.paths - _BEGINNING)
        if foreign and not force:
            raise ConflictError(
                f"{there.name} holds other files, such as {foreign[0]}",
                hint="give another repository; --force adds to it and replaces files of one name",
            )
        return set()
    file = hub.look_up(there.name, EXPORT_FILE, revision=there.info.sha, kind="model")
    (local,) = hub.fetch_files([file])
    try:
        theirs = json.loads(local.read_text(encoding="utf-8"))
        differing = sorted(k for k in identity if theirs["identity"].get(k) != identity[k])
        files = set(theirs["files"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{EXPORT_FILE} of {there.name} is damaged",
            hint="correct it on the hub, or give another repository",
        ) from error
    if differing and not force:
        raise ConflictError(
            f"{there.name} holds weights with another {', '.join(differing)}",
            hint="--force replaces them",
        )
    return {path for path in files if path in there.paths}


def _pushed(
    there: hub.Repository,
    identity: Mapping[str, Any],
    files: Mapping[str, str],
    *,
    reused: bool = False,
) -> PushedModel:
    private = bool(there.info.private)
    return PushedModel(
        there.page, there.info.sha, private, str(identity["kind"]), files, reused=reused
    )
