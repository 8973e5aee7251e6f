"""What the work itself stands on: the local engine, the sandbox, the indexes."""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from openthoughts_cli.config.engine import LOCAL_MODEL
from openthoughts_cli.doctor.check import Check, fail, ok, warn
from openthoughts_cli.places import cache_dir, index_dir

__all__ = ["check_index", "check_local_engine", "check_sandbox"]

_GROUP = "work"
_NEEDED = ("torch", "peft", "gguf", "accelerate")


def check_local_engine(model: str, *, chosen: bool, needed: tuple[str, ...] = _NEEDED) -> Check:
    """Whether a model can be trained here. `chosen`: the settings mean this engine."""
    missing = [name for name in needed if find_spec(name) is None]
    remedy = "pip install 'openthoughts-cli[local]'"
    if chosen:
        remedy += ", or train on Tinker: set TINKER_API_KEY"
    if missing:
        text = f"not usable without {', '.join(missing)}"
        return (fail if chosen else warn)(_GROUP, "local engine", text, remedy)
    gpu = "an NVIDIA GPU" if Path("/dev/nvidia0").exists() else "the CPU"
    where = f"torch {_version('torch')} on {gpu}"
    if model != LOCAL_MODEL:
        return ok(_GROUP, "local engine", where)
    fetched = (cache_dir() / "models" / LOCAL_MODEL / "config.json").is_file()
    state = "is cached" if fetched else "is fetched at its first use (0.1-0.3 GB)"
    return ok(_GROUP, "local engine", f"{where}; {LOCAL_MODEL} {state}")


def check_sandbox() -> Check:
    """Whether model-written code can be isolated, by really running a program."""
    from openthoughts_cli.evals.sandbox import Sandbox

    status = Sandbox().probe()
    if not status.available:
        remedy = status.hint or "see docs/sandbox.md"
        return warn(_GROUP, "sandbox", f"no LiveCodeBench here: {status.reason}", remedy)
    if status.notes:
        text = f"{status.isolation}; {'; '.join(status.notes)}"
        return warn(_GROUP, "sandbox", text, "see docs/sandbox.md")
    return ok(_GROUP, "sandbox", f"{status.isolation}, and a program ran in it")


def check_index() -> Check:
    """Which data sets have an index here."""
    from openthoughts_cli.data.index import stored_indexes

    stored = stored_indexes()
    damaged = sum(len(index.parts) for index in stored if index.dataset == "?")
    if damaged:
        text = f"{damaged:,} damaged parts in {index_dir()}"
        return warn(_GROUP, "index", text, "ot index drop --dataset '?'; they are built anew")
    if not stored:
        return ok(_GROUP, "index", "none yet; `ot subset --full` and `ot index build` make one")
    names = ", ".join(f"{index.dataset} ({index.rows:,} rows)" for index in stored)
    return ok(_GROUP, "index", names)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return f"(no metadata, Python {sys.version_info.major})"
