"""What of the host a sandboxed program sees: the interpreter, its libraries, chosen packages.

Everything is read-only. The interpreter stays at its own path (one moved elsewhere may load
another libpython); packages move to /packages, so that the project's folder is not named.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path

__all__ = ["PACKAGES", "host_steps", "interpreter", "package_folders", "package_versions"]

PACKAGES = "/packages"
_SYSTEM_LIBRARIES = ("/usr/lib", "/usr/lib32", "/usr/lib64", "/lib", "/lib32", "/lib64")
_LOADER_FILES = ("/etc/ld.so.cache",)


def interpreter() -> str:
    """The real path of the base interpreter (not the virtual environment's link to it)."""
    base: str = getattr(sys, "_base_executable", None) or sys.executable
    return os.path.realpath(base)


def host_steps(packages: Sequence[str]) -> list[tuple[str, str, str]]:
    """What is shown, in the order in which it is put in place: kind, place, and what is there.

    "bind": a file or folder of the host. "link": a symbolic link and its target. "hide": an empty
    folder over what was bound there.
    """
    steps: list[tuple[str, str, str]] = []
    for path in _SYSTEM_LIBRARIES:
        place = Path(path)
        if place.is_symlink():  # /lib -> usr/lib on merged systems
            steps.append(("link", path, str(place.readlink())))
        elif place.is_dir():
            steps.append(("bind", path, path))
    steps += [("bind", path, path) for path in _LOADER_FILES if Path(path).exists()]
    steps += [("bind", path, path) for path in _python_files() if not path.startswith("/usr/lib/")]
    steps += [("hide", path, "") for path in _foreign_packages()]
    folders = package_folders(packages)
    return steps + [("bind", f"{PACKAGES}/{folder.name}", str(folder)) for folder in folders]


def package_folders(packages: Sequence[str]) -> list[Path]:
    """The folders of installed `packages`, and those of the libraries shipped beside them."""
    found: list[Path] = []
    for name in packages:
        spec = importlib.util.find_spec(name)
        for place in (spec.submodule_search_locations if spec else None) or ():
            folder = Path(place).resolve()
            libraries = folder.with_name(f"{folder.name}.libs")
            found += [folder, libraries] if libraries.is_dir() else [folder]
    return found


def package_versions(packages: Sequence[str]) -> dict[str, str]:
    """The versions of those `packages` that are installed."""
    versions: dict[str, str] = {}
    for name in packages:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _python_files() -> Iterator[str]:
    """The executable, the standard library, and libpython where there is one."""
    yield interpreter()
    prefix = os.path.realpath(sys.base_prefix)
    if prefix in {"/usr", "/usr/local"}:
        stdlib = {
            sysconfig.get_path(key, vars={"base": prefix}) for key in ("stdlib", "platstdlib")
        }
        yield from sorted(os.path.realpath(path) for path in stdlib)
        yield from _mapped_libpython()
    else:  # an installation of its own (pyenv, uv, conda): its lib may hold libraries it needs
        yield f"{prefix}/lib"


def _mapped_libpython() -> Iterator[str]:
    """The libpython that this process has loaded, if any."""
    with Path("/proc/self/maps").open(encoding="utf-8", errors="surrogateescape") as maps:
        mapped = {line.split(maxsplit=5)[5].strip() for line in maps if "/libpython" in line}
    yield from sorted(mapped)


def _foreign_packages() -> Iterator[str]:
    """Folders of installed packages under the standard library, which are hidden."""
    stdlib = Path(os.path.realpath(sysconfig.get_path("stdlib", vars={"base": sys.base_prefix})))
    for name in ("site-packages", "dist-packages"):
        if (stdlib / name).is_dir():
            yield str(stdlib / name)
    debian = Path("/usr/lib/python3/dist-packages")
    if debian.is_dir():
        yield str(debian)
