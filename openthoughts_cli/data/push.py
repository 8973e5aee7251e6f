"""A subset onto the Hugging Face hub, as one config of a data set repository that may hold many.

    README.md             a header that lists the configs, and a section for each
    <subset>/train.parquet
    <subset>/...          the other files of the subset's directory

Everything of one subset goes in one commit, and then the hub is asked what it holds: a push has
succeeded when the digests there are those of the files here.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping
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
from openthoughts_cli.errors import ConflictError, DataError
from openthoughts_cli.events import Listener, StageDone, StageStarted, silent
from openthoughts_cli.leftovers import sweep_scratch

__all__ = ["Pushed", "push_subset"]

_ROWS = "train.parquet"
_GROUP_ROWS = 1000


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

    def __repr__(self) -> str:
        seen = "private" if self.private else "public"
        how = "there already" if self.reused else f"{len(self.files)} files"
        return f"<Pushed {self.config} to {self.url} ({seen}), commit {self.commit[:8]}: {how}>"


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
    subset.rows()
    with hub.writable(repo, "dataset", public=public) as there:
        if (same := _already(there, subset, force)) is not None:
            return same
        return _send(there, subset, listener)


def _already(there: hub.Repository, subset: Subset, force: bool) -> Pushed | None:
    """The config that is there, if it holds these rows; None where there is none to keep."""
    path = f"{subset.name}/metadata.json"
    if path not in there.paths:
        return None
    file = hub.look_up(there.name, path, revision=there.info.sha)
    (local,) = hub.fetch_files([file])
    try:
        digest = json.loads(local.read_text(encoding="utf-8"))["digest"]
    except (ValueError, KeyError, TypeError):
        digest = None
    if digest != subset.digest:
        if force:
            return None
        raise ConflictError(
            f"{there.name} has a config {subset.name} already, of other rows ({digest})",
            hint="--force replaces it",
        )
    if f"{subset.name}/{_ROWS}" not in there.paths:
        return None
    held = {
        path: digest
        for path, digest in there.held.items()
        if path.startswith(f"{subset.name}/") or path == "README.md"
    }
    return _pushed(there, subset.name, held, reused=True)


def _send(there: hub.Repository, subset: Subset, listener: Listener) -> Pushed:
    with tempfile.TemporaryDirectory(prefix=_scratch_name()) as scratch:
        contents = _contents(subset, Path(scratch))
        contents["README.md"] = _readme(subset, there).encode()
        stage, size = "uploading", sum(map(hub.content_size, contents.values()))
        listener(StageStarted(stage, unit="files"))
        ours = {path for path in there.paths if path.startswith(f"{subset.name}/")}
        now = there.commit(
            contents,
            message=f"{subset.name}: {subset.metadata['figures']['rows']:,} rows",
            description=f"digest {subset.digest}",
            gone=ours - contents.keys(),
        )
        listener(StageDone(stage, f"{len(contents)} files, {size / 1e6:,.1f} MB"))
    held = now.held
    return _pushed(now, subset.name, {path: held[path] for path in sorted(contents)})


def _scratch_name() -> str:
    """Rows lie there while they are uploaded; those of a push that was killed are removed."""
    return sweep_scratch(Path(tempfile.gettempdir()), "ot-push-")


def _pushed(
    there: hub.Repository, name: str, files: Mapping[str, str], *, reused: bool = False
) -> Pushed:
    private = bool(there.info.private)
    return Pushed(there.page, name, there.info.sha, private, files, reused=reused)


def _contents(subset: Subset, scratch: Path) -> dict[str, hub.Content]:
    """By path in the repository: every file of the subset, its rows as parquet."""
    import pyarrow.parquet as pq

    table = arrow_directory.read_table(subset.path / "dataset")
    rows = scratch / _ROWS
    pq.write_table(table, rows, compression="zstd", row_group_size=_GROUP_ROWS)
    contents: dict[str, hub.Content] = {f"{subset.name}/{_ROWS}": rows}
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


def _readme(subset: Subset, there: hub.Repository) -> str:
    """The repository's README.md with this subset's config and section put in or renewed."""
    text, repo = "", there.name
    if "README.md" in there.paths:
        file = hub.look_up(repo, "README.md", revision=there.info.sha)
        (local,) = hub.fetch_files([file])
        text = local.read_text(encoding="utf-8")
    try:
        theirs, body = split_header(text)
    except ValueError as error:
        raise DataError(
            f"README.md of {repo} cannot be kept as it is: {error}", hint="correct it on the hub"
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
