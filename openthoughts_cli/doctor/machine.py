"""Python, memory, disk, and a browser to look with."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import webbrowser
from collections.abc import Iterator
from pathlib import Path

from openthoughts_cli.doctor.check import Check, fail, ok, warn
from openthoughts_cli.places import cache_dir, runs_dir, subsets_dir

__all__ = ["check_browser", "check_disk", "check_memory", "check_python"]

_GROUP = "machine"
_GIB = 1024**3
_LOW_DISK_GIB = 5
_LOW_MEMORY_GIB = 4
"""The quickstart peaks at 3.8 GB (docs/benchmarks/quickstart.md)."""


def check_python(version: tuple[int, int, int] = sys.version_info[:3]) -> Check:
    """The interpreter: 3.11 or later."""
    text = f"{'.'.join(map(str, version))} on {platform.system()} {platform.machine()}"
    if version < (3, 11):
        return fail(_GROUP, "python", text, "install Python 3.11 or later, and ot in it")
    return ok(_GROUP, "python", text)


def check_memory(meminfo: Path = Path("/proc/meminfo")) -> Check:
    """Memory that a process can still get, and the cores it may use."""
    cores = _cores()
    available = _available_gib(meminfo)
    if available is None:
        return ok(_GROUP, "memory", f"not told by this system; {cores} cores")
    text = f"{available:.1f} GiB free, {cores} cores"
    if available < _LOW_MEMORY_GIB:
        return warn(
            _GROUP,
            "memory",
            text,
            f"the local engine wants {_LOW_MEMORY_GIB} GiB: close something, or use --engine tinker",
        )
    return ok(_GROUP, "memory", text)


def check_disk() -> Iterator[Check]:
    """Room and rights where the cache, the subsets and the runs go."""
    places = (("cache", cache_dir()), ("subsets", subsets_dir()), ("runs", runs_dir()))
    variables = {"cache": "OT_CACHE", "subsets": "OT_SUBSETS", "runs": "OT_RUNS"}
    for name, place in places:
        yield _check_place(name, place.absolute(), variables[name])


def check_browser() -> Check:
    """Whether a page can be opened from here."""
    try:
        browser = webbrowser.get()
    except webbrowser.Error:
        return warn(
            _GROUP,
            "browser",
            "none can be opened from here",
            "ot explore --no-open prints an address to open elsewhere; ot report writes a file",
        )
    return ok(_GROUP, "browser", str(getattr(browser, "name", type(browser).__name__)))


def _check_place(name: str, place: Path, variable: str) -> Check:
    there = next(folder for folder in (place, *place.parents) if folder.exists())
    remedy = f"point {variable} at another directory"
    if not there.is_dir():
        return fail(_GROUP, name, f"{there} is no directory", remedy)
    if not os.access(there, os.W_OK | os.X_OK):
        return fail(_GROUP, name, f"{there} cannot be written", remedy)
    free = shutil.disk_usage(there).free / _GIB
    text = f"{place}: {free:,.0f} GiB free" if free >= 10 else f"{place}: {free:.1f} GiB free"
    if free < _LOW_DISK_GIB:
        return warn(_GROUP, name, text, f"make room, or {remedy}")
    return ok(_GROUP, name, text)


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1


def _available_gib(meminfo: Path) -> float | None:
    try:
        lines = meminfo.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024 / _GIB
    return None
