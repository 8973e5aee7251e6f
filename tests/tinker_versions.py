"""The Tinker tests against the lowest `tinker` that pyproject.toml allows, and the newest on PyPI.

    python -m tests.tinker_versions            # `make test-tinker`; --list only says which
    python -m tests.tinker_versions --others   # .ci/run: not the installed one, which `make test` tests

The version that is installed here is tested here; another gets an environment of its own, in
`.venv-tinker-<version>`.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import re
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

__all__ = ["lowest", "main", "newest"]

REPO = Path(__file__).parents[1]
TESTS = (
    "tests/contract/test_tinker_contract.py",
    "tests/contract/test_tinker_parity.py",
    "tests/doubles/test_tinker_server.py",
    "tests/unit/test_tinker_engine.py",
    "tests/unit/test_tinker_failures.py",
    "tests/unit/test_tinker_own_cluster.py",
    "tests/unit/test_tinker_credentials.py",
    "tests/unit/test_tinker_page.py",
    "tests/faults",
)


def lowest() -> str:
    """The lower bound in pyproject.toml."""
    project = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (bound,) = (d for d in project["dependencies"] if re.match(r"tinker\b", d))
    found = re.fullmatch(r"tinker>=([\d.]+)", bound)
    assert found is not None, f"a lower bound alone is expected, not {bound}"
    return found.group(1)


def newest() -> str:
    """The newest release, as pip says; where no registry answers, the one installed here."""
    done = subprocess.run(
        [sys.executable, "-m", "pip", "index", "versions", "tinker"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        print(f"the newest tinker is not known: {done.stderr.strip()[-200:]}", flush=True)
        return importlib.metadata.version("tinker")
    found = re.search(r"^tinker \(([\d.]+)\)", done.stdout, re.MULTILINE)
    assert found is not None, done.stdout
    return found.group(1)


def _same(first: str, second: str) -> bool:
    """0.38 and 0.38.0 are one release."""
    return re.sub(r"(\.0)+$", "", first) == re.sub(r"(\.0)+$", "", second)


def _python_with(version: str) -> Path:
    """The interpreter of an environment with that version."""
    if _same(version, importlib.metadata.version("tinker")):
        return Path(sys.executable)
    place = REPO / f".venv-tinker-{version}"
    python = place / "bin" / "python"
    if not python.exists():
        venv.create(place, with_pip=True)
    install = [python, "-m", "pip", "install", "--quiet", "--editable", ".[dev]"]
    subprocess.run([*install, f"tinker=={version}"], cwd=REPO, check=True)
    return python


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.tinker_versions")
    parser.add_argument("--list", action="store_true", help="say which versions, and stop")
    parser.add_argument("--others", action="store_true", help="not the version installed here")
    given = parser.parse_args(arguments)
    low, new = lowest(), newest()
    versions = [low] if _same(low, new) else [low, new]
    if given.others:
        here = importlib.metadata.version("tinker")
        versions = [version for version in versions if not _same(version, here)]
    print(f"lowest {low}, newest {new}: {len(versions)} to test", flush=True)
    codes = [0]
    for version in [] if given.list else versions:
        print(f"tinker {version}", flush=True)
        command = [_python_with(version), "-m", "pytest", "-n0", *TESTS]
        codes.append(subprocess.run(command, cwd=REPO, check=False).returncode)
    return max(codes)


if __name__ == "__main__":
    raise SystemExit(main())
