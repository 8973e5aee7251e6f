"""Folders that are made once and kept."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from openthoughts_cli.chat.folder import kept_folder
from openthoughts_cli.errors import NetworkError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OT_CACHE", str(tmp_path))
    return tmp_path / "tokenizers"


def test_a_folder_is_made_once(cache: Path) -> None:
    made: list[Path] = []

    def fill(folder: Path) -> None:
        made.append(folder)
        (folder / "x").write_text("content")

    assert kept_folder("name", fill) == cache / "name"
    assert kept_folder("name", fill) == cache / "name"
    assert len(made) == 1
    assert (cache / "name" / "x").read_text() == "content"


def test_two_at_once_make_it_once() -> None:
    began, made = threading.Barrier(2), threading.Semaphore(1)

    def fill(folder: Path) -> None:
        assert made.acquire(blocking=False), "made twice"
        (folder / "x").write_text("content")

    def get(_: int) -> str:
        began.wait(10)
        return (kept_folder("name", fill) / "x").read_text()

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(get, range(2))) == ["content", "content"]


@pytest.mark.parametrize("error", [NetworkError("away"), KeyboardInterrupt()])
def test_a_failed_or_interrupted_making_leaves_nothing(cache: Path, error: BaseException) -> None:
    def fail(folder: Path) -> None:
        (folder / "x").write_text("half")
        raise error

    with pytest.raises(type(error)):
        kept_folder("name", fail)
    assert [path for path in cache.iterdir() if path.is_dir()] == []
    assert kept_folder("name", lambda folder: None) == cache / "name"
