"""How `ot explore` starts: its port, its settings, the roots that names cannot leave, work apart."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from openthoughts_cli.errors import ConflictError, DataError, NotFoundError, UsageError
from openthoughts_cli.explorer.apart import run_apart
from openthoughts_cli.explorer.serve import choose_port, is_loopback
from openthoughts_cli.explorer.settings import Settings, inside
from openthoughts_cli.explorer.target import find_settings


def test_a_port_in_use_is_said_and_without_one_another_is_taken() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = int(taken.getsockname()[1])
        with pytest.raises(ConflictError, match=f"port {port} on 127.0.0.1 is in use"):
            choose_port("127.0.0.1", port)
    assert choose_port("127.0.0.1", None) > 0


def test_an_address_of_another_machine_is_said() -> None:
    with pytest.raises(UsageError, match="is not an address of this machine"):
        choose_port("192.0.2.1", 8599)


def test_what_only_this_machine_reaches() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "localhost", "::1", "127.9.9.9")))
    assert not any(map(is_loopback, ("127.example.org", "localhost.example.org", "::", "")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "10.0.0.1", "example.org")))


def test_settings_survive_the_environment() -> None:
    settings = Settings("a b", "model", True, "run", "2026-x")
    assert Settings.from_environ(settings.to_environ()) == settings
    public = Settings("a", public=True)
    assert Settings.from_environ(public.to_environ()) == public
    hidden = settings.to_environ() | {"OT_EXPLORE_PUBLIC": "1"}
    assert Settings.from_environ(hidden).target == ""


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "/etc", "a/b", "a\\b", "a\0b", "link"])
def test_a_name_stays_in_its_root(tmp_path: Path, name: str) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to(tmp_path)
    with pytest.raises(NotFoundError):
        inside(root, name)
    assert inside(root, "plain") == root / "plain"


def test_a_target_that_is_not_there_names_those_that_are() -> None:
    with pytest.raises(NotFoundError, match="no subset, run or sweep 'nothing'"):
        find_settings("nothing")
    with pytest.raises(UsageError, match="--public shows the data set alone"):
        find_settings("nothing", public=True)


def test_an_error_of_work_apart_keeps_its_class(tmp_path: Path) -> None:
    gone = str(tmp_path / "gone.parquet")
    work = run_apart("index", {"dataset": gone, "tokenizer": "none"})
    with pytest.raises(NotFoundError, match=r"gone\.parquet does not exist"):
        next(work)


def test_work_apart_that_complains_a_lot_is_not_held_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONVERBOSE", "1")  # megabytes on stderr
    work = run_apart("index", {"dataset": str(tmp_path / "gone.parquet"), "tokenizer": "none"})
    with pytest.raises(NotFoundError):
        next(work)


def test_work_apart_that_ends_suddenly_leaves_its_last_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTHONHOME", "/nowhere")  # an interpreter that cannot begin
    with pytest.raises(DataError, match="ended suddenly") as caught:
        next(run_apart("index", {"dataset": "sample", "tokenizer": "none"}))
    assert "encodings" in str(caught.value.hint)
