"""The wheel and the sdist: what they hold, and the first steps of somebody who installed the wheel.

The wheel is built from the sdist, so that the sdist is proven to be enough. It is installed in a new
environment outside the source tree; its dependencies are those of this environment, by path (fetching
them takes minutes: `make test-wheel` does that).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.doubles.tokenizer import byte_model

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[2]
PACKAGE = REPOSITORY / "openthoughts_cli"


def run(*argv: object, cwd: Path, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        [str(word) for word in argv], cwd=cwd, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ".", cwd=REPOSITORY)
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    (found,) = built.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def ot(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """`ot(...)` of the installed wheel, in a directory that is no source tree."""
    home = tmp_path_factory.mktemp("installed")
    venv.create(home / "venv", with_pip=False, symlinks=True)
    python = home / "venv" / "bin" / "python"
    run(
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "-q",
        "--no-deps",
        wheel,
        cwd=home,
    )
    site = Path(
        run(
            python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=home
        ).strip()
    )
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def call(*args: object) -> str:
        return run(home / "venv" / "bin" / "ot", *args, cwd=home, env=kept)

    where = run(
        python,
        "-c",
        "import openthoughts_cli; print(openthoughts_cli.__file__)",
        cwd=home,
        env=kept,
    )
    assert Path(where.strip()).is_relative_to(home)
    return call


def sources() -> set[str]:
    tracked = run("git", "ls-files", "openthoughts_cli", cwd=REPOSITORY).splitlines()
    return {name for name in tracked if (REPOSITORY / name).is_file()}


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert sources() <= names
    assert all(name.startswith("openthoughts_cli/") for name in names)
    assert not [name for name in names if name.endswith(".pyc") or "__pycache__" in name]
    assert "openthoughts_cli/py.typed" in names


def test_the_sdist_holds_what_a_contributor_needs(built: Path) -> None:
    (found,) = built.glob("*.tar.gz")
    with tarfile.open(found) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert sources() <= names
    for name in (
        "README.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "LICENSE",
        "Makefile",
        "pyproject.toml",
    ):
        assert name in names
    for folder in ("configs/", "docs/", "tests/", "benchmarks/"):
        assert any(name.startswith(folder) for name in names)
    assert not [name for name in names if name.startswith(("runs/", ".venv/", "shared/"))]


def test_the_first_steps_of_who_installed_the_wheel(ot: Callable[..., str], tmp_path: Path) -> None:
    assert ot("--version").startswith("ot 0.")
    assert "subset" in ot("--help")
    cut = json.loads(
        ot(
            "subset",
            "--dataset",
            "sample",
            "--tokenizer",
            byte_model(tmp_path / "model"),
            "-n",
            8,
            "--name",
            "first",
            "--json",
        )
    )
    assert cut["record"]["figures"]["rows"] == 8
    assert json.loads(ot("inspect", "first", "--json"))["kind"] == "inspection"
    assert "learning_rate" in ot("config", "init", "train")
    assert "arithmetic" in ot("eval", "--list")
    assert json.loads(ot("doctor", "--offline", "--json"))["status"] != "fail"
