"""The layout of the hub's cache, which huggingface_hub and other programs share.

    datasets--owner--name/
      blobs/<digest>                   a file's content
      snapshots/<commit>/<path>        a link to it (a copy where there are no links)
      refs/<branch or tag>             the commit that it meant last

It is described in huggingface_hub's guide "Manage your cache". What is put here is found by every
other program, and what they put is found here.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from openthoughts_cli.store import as_storage_errors, write_whole

__all__ = ["RepoCache"]


class RepoCache:
    """The cached files of one repository. `kind` is "dataset" or "model"."""

    def __init__(self, repo: str, kind: str = "dataset") -> None:
        from huggingface_hub import constants

        name = f"{kind}s--{repo.replace('/', '--')}"
        self.home = Path(constants.HF_HUB_CACHE) / name
        self._locks = Path(constants.HF_HUB_CACHE) / ".locks" / name

    def file(self, commit: str, path: str) -> Path | None:
        """The cached file; None when it is not there."""
        place = self._place(commit, path)
        return place if place.is_file() else None

    def files(self, commit: str, suffix: str) -> list[tuple[str, Path]]:
        """Name and path of every cached file of a commit whose name ends so, sorted."""
        folder = self.home / "snapshots" / commit
        found = (file for file in folder.rglob(f"*{suffix}") if file.is_file())
        return sorted((file.relative_to(folder).as_posix(), file) for file in found)

    def commit(self, revision: str) -> str | None:
        """The commit that a branch or tag meant when it was last looked up."""
        place = self.home / "refs" / revision
        if place.is_file():
            return place.read_text(encoding="ascii").strip()
        return revision if (self.home / "snapshots" / revision).is_dir() else None

    def remember(self, revision: str, commit: str) -> None:
        """Note what a branch or tag means, for a time without a network."""
        if revision != commit and self.commit(revision) != commit:
            write_whole(self.home / "refs" / revision, commit, shared=True)

    def blob(self, digest: str) -> Path:
        """Where a content lies, or will lie."""
        return self.home / "blobs" / digest

    def lock(self, digest: str) -> Path:
        """The file that huggingface_hub too locks while it fetches this content."""
        return self._locks / f"{digest}.lock"

    def link(self, commit: str, path: str, digest: str) -> Path:
        """Make the content known by its name in a commit, and return that place.

        Raises:
            StorageError: the cache cannot be written.
        """
        place, blob = self._place(commit, path), self.blob(digest)
        with as_storage_errors(place):
            place.parent.mkdir(parents=True, exist_ok=True)
            aside = place.with_name(f".{place.name}.{os.getpid()}")
            aside.unlink(missing_ok=True)
            try:
                aside.symlink_to(os.path.relpath(blob, place.parent))
            except (OSError, NotImplementedError):  # a file system without links
                shutil.copyfile(blob, aside)
            aside.replace(place)
        return place

    def _place(self, commit: str, path: str) -> Path:
        parts = path.split("/")
        if any(part in ("", ".", "..") or "\\" in part for part in parts):
            raise ValueError(f"{path!r} is no path inside a repository")
        return self.home.joinpath("snapshots", commit, *parts)
