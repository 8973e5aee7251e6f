"""What is installed, against what this version of ot asks for in its own metadata."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement

from openthoughts_cli.doctor.check import Check, fail, ok, warn

__all__ = ["check_packages", "version_problems"]

_GROUP = "packages"
_DISTRIBUTION = "openthoughts-cli"
_SHOWN = ("tinker", "transformers", "datasets", "polars", "pydantic", "streamlit", "wandb")
_EXTRAS = {
    "local": "the local engine",
    "cookbook": "merging an adapter trained on Tinker",
    "ray": "sweeps on a Ray cluster",
}


def check_packages() -> Iterator[Check]:
    """A line for the core and a line for each extra that a user may want."""
    wanted = requires(_DISTRIBUTION) if _installed(_DISTRIBUTION) else None
    if wanted is None:
        yield fail(
            _GROUP,
            "core",
            "ot itself is not installed, it runs from a source tree",
            "pip install -e '.[local]'",
        )
        return
    requirements = [Requirement(text) for text in wanted]
    yield _core(requirements)
    for extra, purpose in _EXTRAS.items():
        yield _extra(requirements, extra, purpose)


def version_problems(requirements: list[Requirement], extra: str = "") -> list[str]:
    """The requirements that apply here under `extra` and are not met, in a few words."""
    problems: list[str] = []
    absent: list[str] = []
    for wanted in _applying(requirements, extra):
        found = _installed(wanted.name)
        if found is None:
            absent.append(wanted.name)
        elif not wanted.specifier.contains(found, prereleases=True):
            problems.append(f"{wanted.name} is {found}, not {wanted.specifier}")
    return [*([f"not installed: {', '.join(absent)}"] if absent else []), *problems]


def _core(requirements: list[Requirement]) -> Check:
    problems = version_problems(requirements)
    if problems:
        remedy = f"pip install --upgrade '{_DISTRIBUTION}'"
        return fail(_GROUP, "core", "; ".join(problems), remedy)
    versions = ", ".join(f"{name} {_installed(name)}" for name in _SHOWN if _installed(name))
    count = len(_applying(requirements, ""))
    own = _installed(_DISTRIBUTION)
    return ok(_GROUP, "core", f"ot {own}, {count} packages as asked for: {versions}")


def _extra(requirements: list[Requirement], extra: str, purpose: str) -> Check:
    problems = version_problems(requirements, extra)
    remedy = f"pip install '{_DISTRIBUTION}[{extra}]'"
    if problems:
        text = f"{'; '.join(problems)} (for {purpose})"
        return warn(_GROUP, f"extra {extra}", text, remedy)
    names = [wanted.name for wanted in _applying(requirements, extra)]
    return ok(_GROUP, f"extra {extra}", ", ".join(f"{name} {_installed(name)}" for name in names))


def _applying(requirements: list[Requirement], extra: str) -> list[Requirement]:
    """Those that hold for this machine: of the core, or only of the extra."""

    def applies(wanted: Requirement, chosen: str) -> bool:
        return wanted.marker is None or wanted.marker.evaluate({"extra": chosen})

    return [
        wanted
        for wanted in requirements
        if applies(wanted, extra) and (not extra or not applies(wanted, ""))
    ]


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
