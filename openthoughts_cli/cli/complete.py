"""What the shell offers after <TAB>: names on this disk, known names, config keys.

Each function takes what was typed so far and answers from small facts alone: a directory listing
or a table. None imports a heavy package, and none raises: a completion that fails is silent.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from openthoughts_cli.places import runs_dir, subsets_dir, sweeps_dir

__all__ = [
    "benchmark_questions",
    "benchmarks",
    "config_files",
    "configs_and_runs",
    "datasets",
    "domains",
    "engines",
    "runs",
    "runs_and_sweeps",
    "sources",
    "subsets",
    "subsets_and_runs",
    "subsets_runs_and_sweeps",
    "verbs_with_config",
]

_CONFIG_SUFFIXES = (".yaml", ".yml", ".json")


def subsets(incomplete: str) -> list[str]:
    """Names of the subsets on this disk."""
    return _entries(subsets_dir(), "metadata.json", incomplete)


def runs(incomplete: str) -> list[str]:
    """Ids of the runs on this disk, the newest first."""
    return sorted(_entries(runs_dir(), "config.json", incomplete), reverse=True)


def runs_and_sweeps(incomplete: str) -> list[str]:
    """Names of the sweeps on this disk, then ids of the runs."""
    return [*_entries(sweeps_dir(), "sweep.json", incomplete), *runs(incomplete)]


def subsets_and_runs(incomplete: str) -> list[str]:
    """What `ot push` can send."""
    return [*subsets(incomplete), *runs(incomplete)]


def subsets_runs_and_sweeps(incomplete: str) -> list[str]:
    """What `ot explore` can open first."""
    return [*subsets(incomplete), *runs_and_sweeps(incomplete)]


def engines(incomplete: str) -> list[str]:
    """The kinds of engine."""
    return _starting(["tinker", "local", "auto"], incomplete)


def sources(incomplete: str) -> list[tuple[str, str]]:
    """Short source names, each with its full name as the explanation."""
    from openthoughts_cli.config.sources import SOURCES

    known = [(source.short, source.full) for source in SOURCES] + [("all", "every source")]
    return [(name, text) for name, text in known if name.startswith(incomplete)]


def domains(incomplete: str) -> list[str]:
    """The three domains."""
    from openthoughts_cli.config.sources import DOMAINS

    return _starting([*DOMAINS, "all"], incomplete)


def datasets(incomplete: str) -> list[str]:
    """The default data set, the built-in rows, folders and parquet files."""
    from openthoughts_cli.config.sources import DEFAULT_DATASET, SAMPLE_DATASET

    names = _starting([SAMPLE_DATASET, DEFAULT_DATASET], incomplete)
    return names + list(_files(incomplete, (".parquet",)))


def benchmarks(incomplete: str) -> list[str]:
    """The benchmarks by name."""
    from openthoughts_cli.config.schema import KNOWN_BENCHMARKS

    return _starting(list(KNOWN_BENCHMARKS), incomplete)


def benchmark_questions(incomplete: str) -> list[str]:
    """The benchmarks that hold questions, and files of questions."""
    names = _starting(["aime25", "arithmetic", "gpqa", "livecodebench"], incomplete)
    return names + list(_files(incomplete, (".jsonl",)))


def config_files(incomplete: str) -> list[str]:
    """Config files and folders below what was typed."""
    return list(_files(incomplete, _CONFIG_SUFFIXES))


def configs_and_runs(incomplete: str) -> list[str]:
    """Config files, then ids of the runs, whose configs are files like any other."""
    return [*config_files(incomplete), *runs(incomplete)]


def verbs_with_config(incomplete: str) -> list[str]:
    """The verbs that read a config."""
    from openthoughts_cli.config.schema import VERBS

    return _starting(list(VERBS), incomplete)


def _entries(root: Path, marker: str, incomplete: str) -> list[str]:
    """Directories in `root` that hold the file `marker`."""
    try:
        names = [entry.name for entry in root.iterdir() if (entry / marker).is_file()]
    except OSError:
        return []
    return _starting(sorted(names), incomplete)


def _files(incomplete: str, suffixes: tuple[str, ...]) -> Iterator[str]:
    typed = Path(incomplete)
    folder, start = (typed, "") if incomplete.endswith("/") else (typed.parent, typed.name)
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        return
    prefix = incomplete[: len(incomplete) - len(start)]
    for entry in entries:
        if not entry.name.startswith(start or "") or (not start and entry.name.startswith(".")):
            continue
        if entry.is_dir():
            yield f"{prefix}{entry.name}/"
        elif entry.suffix in suffixes:
            yield f"{prefix}{entry.name}"


def _starting(names: list[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]
