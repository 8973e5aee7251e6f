"""Who holds a directory: by process and by when it started, so that an id given anew is nobody's."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from openthoughts_cli.errors import InUseError
from openthoughts_cli.runs.follow import is_held
from openthoughts_cli.runs.layout import RunDirectory
from openthoughts_cli.runs.lock import locked
from openthoughts_cli.runs.owner import is_alive, owner_text, owner_words

HERE = socket.gethostname()


def test_this_process_is_alive_and_another_with_its_id_is_not_it() -> None:
    text = owner_text()
    assert is_alive(text)
    assert owner_words(text) == f"pid {os.getpid()} on {HERE}"
    if "started" in text:  # where there is a /proc
        begin = text.rpartition("/")[0]
        assert not is_alive(f"{begin}/1\n")
        assert not is_alive(f"pid {os.getpid()} on {HERE}\nstarted another-boot/1\n")


def test_what_older_versions_and_other_machines_wrote() -> None:
    assert is_alive(f"pid {os.getpid()} on {HERE}\n")
    assert is_alive("pid 1 on elsewhere\nstarted x/1\n")
    assert not is_alive("")
    assert not is_alive(f"pid {10**30} on {HERE}\n")
    assert owner_words("torn") == "another process"


def test_a_directory_is_held_for_as_long_as_it_is_locked(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "r")
    with locked(run):
        assert is_held(run)
        with (
            pytest.raises(InUseError, match=f"in use by pid {os.getpid()} on {HERE}$"),
            locked(run),
        ):
            pass
        assert is_held(run)
    assert not is_held(run)  # though this process lives on


def test_a_killed_holder_holds_no_more(tmp_path: Path) -> None:
    code = (
        "import os, sys\nfrom pathlib import Path\n"
        "from openthoughts_cli.runs.layout import RunDirectory\n"
        "from openthoughts_cli.runs.lock import locked\n"
        "with locked(RunDirectory(Path(sys.argv[1]))):\n    os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "r")], check=False)
    assert done.returncode == -9
    run = RunDirectory(tmp_path / "r")
    assert (run.path / ".owner").is_file()
    assert not is_held(run)
    with locked(run):
        assert is_held(run)
