"""Append a line, or write aside and rename: nothing half-written is ever seen."""

from __future__ import annotations

import errno
import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openthoughts_cli import leftovers, store
from openthoughts_cli.errors import DataError, StorageError
from openthoughts_cli.leftovers import sweep, sweep_scratch
from openthoughts_cli.store import (
    append_line,
    as_storage_errors,
    directory_aside,
    read_lines,
    read_object,
    write_whole,
)

json_values = st.dictionaries(st.text(max_size=8), st.integers() | st.text(max_size=20), max_size=4)


@given(records=st.lists(json_values, max_size=6), torn=st.binary(max_size=12))
def test_what_was_appended_is_read_back_even_behind_a_torn_line(
    tmp_path_factory: pytest.TempPathFactory, records: list[dict[str, object]], torn: bytes
) -> None:
    path = tmp_path_factory.mktemp("log") / "log.jsonl"
    path.write_bytes(b'{"a": 1, "b": ' + torn.replace(b"\n", b"").replace(b"\r", b""))
    torn_records = read_lines(path)
    for record in records:
        append_line(path, record)
    assert read_lines(path) == torn_records + records


def test_a_line_keeps_text_of_any_kind(tmp_path: Path) -> None:
    append_line(tmp_path / "a.jsonl", {"text": "é \u2028 \n \U0001f600"})
    assert len((tmp_path / "a.jsonl").read_bytes().split(b"\n")) == 2
    assert read_lines(tmp_path / "a.jsonl") == [{"text": "é \u2028 \n \U0001f600"}]


def test_a_missing_log_has_no_lines(tmp_path: Path) -> None:
    assert read_lines(tmp_path / "none.jsonl") == []


def test_write_whole_replaces_and_leaves_no_other_file(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.json"
    write_whole(path, "one")
    write_whole(path, b"two")
    assert path.read_text() == "two"
    assert [p.name for p in path.parent.iterdir()] == ["a.json"]


def test_a_directory_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    place = tmp_path / "subset"
    with pytest.raises(RuntimeError, match="stop"), directory_aside(place) as aside:
        (aside / "half.txt").write_text("half")
        raise RuntimeError("stop")
    assert list(tmp_path.iterdir()) == []
    with directory_aside(place) as aside:
        (aside / "whole.txt").write_text("whole")
        assert not place.exists()
    assert (place / "whole.txt").read_text() == "whole"
    assert [p.name for p in tmp_path.iterdir()] == ["subset"]


def test_an_existing_directory_is_kept_unless_replaced(tmp_path: Path) -> None:
    place = tmp_path / "subset"
    place.mkdir()
    (place / "old").touch()
    with pytest.raises(StorageError, match="exists"), directory_aside(place) as aside:
        (aside / "new").touch()
    assert [p.name for p in place.iterdir()] == ["old"]
    with directory_aside(place, replace=True) as aside:
        (aside / "new").touch()
    assert [p.name for p in place.iterdir()] == ["new"]
    assert [p.name for p in tmp_path.iterdir()] == ["subset"]


def test_a_full_disk_is_told_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no space left") as caught, as_storage_errors(tmp_path):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert "free some space" in str(caught.value.hint)


def test_a_network_error_is_not_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(ConnectionResetError), as_storage_errors(tmp_path):
        raise ConnectionResetError


def test_a_file_in_the_place_of_a_directory_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot write"):
        append_line(tmp_path / "file" / "log.jsonl", json.loads("{}"))


LEAVING = """
import os, signal, sys
from pathlib import Path
from openthoughts_cli import store
root, how = Path(sys.argv[1]), sys.argv[2]
def die(*_): os.kill(os.getpid(), signal.SIGKILL)
if how == "directory":
    with store.directory_aside(root / "it") as aside:
        (aside / "half").write_text("half")
        die()
elif how == "file":
    store.put_in_place = die
    store.write_whole(root / "it", "whole")
else:  # between the two steps of a replacement where the system knows no exchange
    with store.directory_aside(root / "it") as aside:
        (aside / "whole").write_text("old")
    store._exchange = lambda *_: False
    with store.directory_aside(root / "it", replace=True) as aside:
        replace = Path.replace
        Path.replace = lambda one, other: replace(one, other) if other.name == "it" and one.name == "it" or other.parent != root else die()
        (aside / "whole").write_text("new")
"""


def left_by_a_kill(root: Path, how: str) -> list[Path]:
    root.mkdir()
    command = [sys.executable, "-c", LEAVING, str(root), how]
    ended = subprocess.run(command, check=False, capture_output=True, text=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    return list(root.iterdir())


@pytest.mark.parametrize("how", ["directory", "file"])
def test_what_a_killed_process_left_goes_with_the_next_write_there(
    tmp_path: Path, how: str
) -> None:
    for number, write in enumerate((write_whole, _write_directory)):
        root = tmp_path / str(number)
        [left] = left_by_a_kill(root, how)
        assert left.name.startswith(".it.partial-")
        write(root / "other", "x")
        assert [path.name for path in root.iterdir()] == ["other"]


def _write_directory(place: Path, text: str) -> None:
    with directory_aside(place) as aside:
        (aside / "file").write_text(text)


def test_what_a_living_process_or_another_machine_is_writing_stays(tmp_path: Path) -> None:
    [left] = left_by_a_kill(tmp_path / "home", "directory")
    here, _, number = left.name.removeprefix(".it.partial-").partition("-")
    dead = number.partition("-")[0]
    others = [
        left.with_name(f".it.partial-{here}-{os.getppid()}-abc"),
        left.with_name(f".it.partial-{here}-1-abc"),  # of another user, for most
        left.with_name(f".it.partial-elsewhere-{dead}-abc"),
        left.with_name(".it.partial-abc"),
        left.with_name("it.partial"),
    ]
    for other in others:
        other.mkdir()
    with pytest.raises(StorageError), directory_aside(left.with_name("it")) as mine:
        assert not left.exists()
        write_whole(left.with_name("small"), "x")
        sweep(tmp_path / "home")
        assert mine.exists()
        assert all(other.exists() for other in others)
        left.with_name("it").mkdir()
    with directory_aside(left.with_name("fine")):
        assert all(other.exists() for other in others)


def test_small_files_look_for_leftovers_once_in_a_directory(tmp_path: Path) -> None:
    home = tmp_path / "home"
    write_whole(home / "a", "x")
    (home / ".it.partial-x").mkdir()
    [left] = left_by_a_kill(tmp_path / "elsewhere", "file")
    left = left.replace(home / left.name)
    write_whole(home / "a", "y")
    assert left.exists()
    _write_directory(home / "b", "x")
    assert not left.exists()


def test_a_directory_that_was_moved_away_and_not_replaced_is_put_back(tmp_path: Path) -> None:
    left = left_by_a_kill(tmp_path / "home", "replacement")
    assert sorted(path.name.split("-")[0] for path in left) == [".it.old", ".it.partial"]
    write_whole(tmp_path / "home" / "other", "x")
    assert sorted(path.name for path in (tmp_path / "home").iterdir()) == ["it", "other"]
    assert (tmp_path / "home" / "it" / "whole").read_text() == "old"


def test_an_interrupt_between_the_two_steps_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write_directory(tmp_path / "it", "old")
    replace = Path.replace

    def interrupted(one: Path, other: Path) -> Path:
        if ".partial-" in one.name:
            raise KeyboardInterrupt
        return replace(one, other)

    monkeypatch.setattr(store, "_exchange", lambda *_: False)
    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt), directory_aside(tmp_path / "it", replace=True) as aside:
        (aside / "file").write_text("new")
    assert [path.name for path in tmp_path.iterdir()] == ["it"]
    assert (tmp_path / "it" / "file").read_text() == "old"


def test_what_cannot_be_put_back_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left_by_a_kill(tmp_path / "home", "replacement")

    def refused(one: Path, other: Path) -> Path:
        raise OSError(errno.ESTALE, "stale")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", refused)
        sweep(tmp_path / "home")
    [old] = (tmp_path / "home").iterdir()
    assert (old / "it" / "whole").read_text() == "old"
    sweep(tmp_path / "home")
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["it"]


def test_machines_are_told_apart_by_their_whole_name_and_containers_by_the_kernel(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    files = {"/etc/machine-id": "", "/proc/sys/kernel/random/boot_id": "one"}

    def read(path: Path, **_: object) -> str:
        return files[str(path)]

    monkeypatch.setattr(Path, "read_text", read)
    monkeypatch.setattr(Path, "readlink", lambda _: "pid:[4026532001]")
    monkeypatch.setattr(leftovers, "_here", vars(leftovers)["_here"].__wrapped__)  # no cache

    def mark(host: str) -> str:
        monkeypatch.setattr("socket.gethostname", lambda: host)
        return leftovers.aside_name("it")

    first = mark("trainer-deployment-7d9f8c-abcde")
    assert first == mark("trainer-deployment-7d9f8c-abcde")
    assert first != mark("trainer-deployment-7d9f8c-fghij")
    files["/proc/sys/kernel/random/boot_id"] = "two"
    assert first != mark("trainer-deployment-7d9f8c-abcde")


def test_a_long_name_leaves_room_for_what_is_put_behind_it(tmp_path: Path) -> None:
    for name in ("n" * 240, "\u00e9" * 120):
        write_whole(tmp_path / name, "x")
    assert len(list(tmp_path.iterdir())) == 2


def test_temporary_directories_of_the_dead_are_swept(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    own = sweep_scratch(tmp_path, "ot-cell-")
    assert own.endswith(f"-{os.getpid()}-")
    dead = tmp_path / own.replace(f"-{os.getpid()}-", f"-{child.pid}-abc")
    living, foreign = tmp_path / f"{own}abc", tmp_path / "ot-cell-abc"
    for place in (dead, living, foreign):
        (place / "deep").mkdir(parents=True)
    sweep_scratch(tmp_path, "ot-cell-")
    assert [place.exists() for place in (dead, living, foreign)] == [False, True, True]


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_what_is_written_is_for_its_owner_alone_whatever_the_umask(
    tmp_path: Path, umask: int
) -> None:
    before = os.umask(umask)
    try:
        home = tmp_path / "new" / "home"
        append_line(home / "log.jsonl", {"a": 1})
        write_whole(home / "whole.json", "{}")
        with directory_aside(home / "it") as aside:
            (aside / "deep").mkdir()
            (aside / "deep" / "file").write_text("x")
        with directory_aside(home / "shared", shared=True) as aside:
            (aside / "file").write_text("x")
        write_whole(home / "shared.yaml", "a: 1", shared=True)
    finally:
        os.umask(before)

    def mode(name: str) -> int:
        return stat.S_IMODE((home / name).stat().st_mode)

    assert [mode(name) for name in ("log.jsonl", "whole.json", "it/deep/file")] == [0o600] * 3
    assert [mode(name) for name in ("..", ".", "it", "it/deep")] == [0o700] * 4
    assert mode("shared") == 0o777 & ~umask
    assert mode("shared.yaml") == mode("shared/file") == 0o666 & ~umask


def test_a_directory_that_was_there_keeps_its_rights(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    append_line(tmp_path / "log.jsonl", {"a": 1})
    write_whole(tmp_path / "whole.json", "{}")
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


def test_an_odd_byte_of_a_command_line_is_written_and_read_back(tmp_path: Path) -> None:
    odd = os.fsdecode(b"caf\xe9")
    append_line(tmp_path / "log.jsonl", {"argv": odd})
    assert read_lines(tmp_path / "log.jsonl") == [{"argv": odd}]
    write_whole(tmp_path / "whole.json", json.dumps({"argv": odd}, ensure_ascii=False))
    assert json.loads((tmp_path / "whole.json").read_bytes()) == {"argv": odd}


def test_lines_that_nobody_wrote_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b"[" * 100_000 + b"\n" + b'{"a": 1}\n' + b"9" * 10_000 + b"\n\xff\xfe\n[1]\n")
    assert read_lines(path) == [{"a": 1}]


def test_an_object_is_read_whole_or_told_what_is_wrong_with_it(tmp_path: Path) -> None:
    place = tmp_path / "a.json"
    assert read_object(place) is None
    place.write_text('{"a": 1}')
    assert read_object(place) == {"a": 1}
    for damaged in ('{"a"', "[1]", "[" * 100_000, "\xff"):
        place.write_text(damaged, encoding="latin-1")
        with pytest.raises(DataError, match=r"a\.json is damaged"):
            read_object(place)
    with pytest.raises(StorageError, match="cannot read"):
        read_object(tmp_path)
