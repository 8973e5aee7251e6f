"""Every command and code block that the documentation shows is run as it stands there.

The model is a tiny random one (by OT_..._MODEL), and `ot` is forked from a process that has imported
everything, so that a page takes seconds, and the
README trains four steps; all else is as a reader has it: the shell, the built-in rows, the
shipped configs, no network.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.doc_blocks import REPOSITORY, blocks, pages, unmarked_commands
from tests.e2e.conftest import own_environment
from tests.tools.warm_ot import WarmOt

pytestmark = [pytest.mark.slow, pytest.mark.torch]

RUN = [page for page in pages() if any(not block.reason for block in blocks(page))]


def name_of(page: Path) -> str:
    return page.relative_to(REPOSITORY).as_posix()


@pytest.mark.parametrize("page", RUN, ids=name_of)
def test_the_blocks_of_a_page_run(
    page: Path,
    tiny_model: Path,
    warm: WarmOt,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    shutil.copytree(REPOSITORY / "configs", tmp_path / "configs")
    ot = warm.client(tmp_path_factory.mktemp("bin"))
    environ = own_environment() | {
        "PATH": f"{ot.parent}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "OT_TRAIN__MODEL": str(tiny_model),
        "OT_EVAL__MODEL": str(tiny_model),
        "OT_SUBSET__TOKENIZER": str(tiny_model),
        "COLUMNS": "80",
    }
    if page.name == "README.md":
        environ["OT_TRAIN__MAX_STEPS"] = "4"
    if page.name == "tutorial.md":  # its grid spells `base` and `subset` out; others name files
        environ["OT_SWEEP__BASE__MODEL"] = str(tiny_model)
        environ["OT_SWEEP__SUBSET__TOKENIZER"] = str(tiny_model)
        environ["OT_SWEEP__HELD_OUT__TOKENIZER"] = str(tiny_model)
        environ["OT_SWEEP__SEEDS"] = "[0]"

    def run(argv: list[str], where: str) -> None:
        done = subprocess.run(
            argv, cwd=tmp_path, env=environ, stdin=subprocess.DEVNULL, capture_output=True,
            text=True, timeout=280, check=False,
        )  # fmt: skip
        said = f"{where}\n{argv[-1]}\n{done.stdout}\n{done.stderr}"
        assert done.returncode == 0, said
        assert "no ranking" not in done.stdout, said

    shown = [block for block in blocks(page) if not block.reason]
    for block in shown:
        if block.language == "sh":
            run(["bash", "-euo", "pipefail", "-c", block.text], f"{name_of(page)}:{block.line}")
    script = "\n".join(f"# line {b.line}\n{b.text}" for b in shown if b.language == "python")
    if script:  # the Python of a page is one notebook
        run([sys.executable, "-c", script], name_of(page))


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_no_command_hides_in_a_block_that_nobody_runs(page: Path) -> None:
    assert unmarked_commands(page) == []


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_a_block_that_is_not_run_says_why(page: Path) -> None:
    assert all(len(block.reason) > 10 for block in blocks(page) if block.reason)
