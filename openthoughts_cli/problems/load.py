"""From a place (local file, hub, built in) to the chosen problems. Nothing to ask is an error."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from openthoughts_cli.config.benchmark import BenchmarkConfig
from openthoughts_cli.digests import digest_value
from openthoughts_cli.errors import ConfigError, EmptyResultError, SchemaError
from openthoughts_cli.problems.files import Located, read_file
from openthoughts_cli.problems.hub import fetch
from openthoughts_cli.problems.problem import Problem, ProblemSet, choose

__all__ = ["HubPlace", "ReadRow", "elsewhere", "load_built_in", "load_problems", "problem_set"]

ReadRow: TypeAlias = Callable[[Mapping[str, Any], str], Problem]

_HUB_DATA = re.compile(r"hub:(?:(?P<repo>[\w.-]+/[\w.-]+))?(?:@(?P<revision>[\w./-]+))?")


class HubPlace(NamedTuple):
    """Where a benchmark lives on the hub: data set id, file in it, revision (best a commit)."""

    repo: str
    filename: str
    revision: str


def load_problems(
    benchmark: str, read: ReadRow, settings: BenchmarkConfig, place: HubPlace
) -> ProblemSet:
    """The problems that `settings` choose.

    Args:
        benchmark: the name, for messages.
        read: makes a problem of one row.
        settings: `data` is a local file, or `hub:owner/name@revision` (either part alone is
            allowed) to read another data set or another revision than `place`; unset: `place`.
            `limit` and `seed` choose.
        place: where the benchmark's own problems are.

    Raises:
        NotFoundError, AuthError, NetworkError: the rows cannot be had.
        SchemaError: a row is malformed, by file:line and key.
        EmptyResultError: there is no problem.
    """
    data = settings.data
    if data is not None and not data.startswith("hub:"):
        path = Path(data).expanduser()
        return problem_set(benchmark, read_file(path), read, settings, source=str(data))
    if data is not None:
        place = elsewhere(data, place)
    found = fetch(place.repo, place.filename, revision=place.revision, benchmark=benchmark)
    rows = (
        Located(where.replace(str(found.path), f"{place.repo}/{place.filename}"), row)
        for where, row in read_file(found.path)
    )
    source = f"{place.repo}/{place.filename}"
    return problem_set(benchmark, rows, read, settings, source=source, revision=found.commit)


def load_built_in(
    benchmark: str,
    rows: Callable[[], Iterable[Mapping[str, Any]]],
    read: ReadRow,
    settings: BenchmarkConfig,
) -> ProblemSet:
    """The same for rows that come with the package; `settings.data` may still name a file."""
    if settings.data is not None:
        if settings.data.startswith("hub:"):
            raise ConfigError(
                f"{benchmark} is built in and is not on the hub: {settings.data} cannot be read",
                hint="leave out data, or give a file",
            )
        path = Path(settings.data).expanduser()
        return problem_set(benchmark, read_file(path), read, settings, source=settings.data)
    located = (
        Located(f"{benchmark} (built in): row {number}", dict(row))
        for number, row in enumerate(rows(), start=1)
    )
    return problem_set(benchmark, located, read, settings, source="built in")


def problem_set(
    benchmark: str,
    rows: Iterable[Located],
    read: ReadRow,
    settings: BenchmarkConfig,
    *,
    source: str,
    revision: str = "",
) -> ProblemSet:
    """Read all rows, refuse none or doubled ids, and choose `settings.limit` of them by seed."""
    problems: list[Problem] = []
    places: dict[str, str] = {}
    for where, row in rows:
        problem = read(row, where)
        if problem.id in places:
            raise SchemaError(
                f"{where}: the id {problem.id!r} was already used at {places[problem.id]}",
                hint="give each row an id of its own",
            )
        places[problem.id] = where
        problems.append(problem)
    if not problems:
        raise EmptyResultError(
            f"{benchmark}: {source} holds no problem", hint="a score of nothing would mean nothing"
        )
    chosen = choose(problems, settings.limit, settings.seed)
    return ProblemSet(
        problems=chosen,
        source=source,
        revision=revision,
        digest=digest_value([[problem.id, problem.content_digest()] for problem in chosen]),
        total=len(problems),
    )


def elsewhere(data: str, place: HubPlace) -> HubPlace:
    """`place` with the data set and revision of `hub:owner/name@revision`.

    Raises:
        ConfigError: `data` is not that.
    """
    match = _HUB_DATA.fullmatch(data)
    if match is None:
        raise ConfigError(
            f"{data!r} is not a place on the hub",
            hint="write hub:owner/name, hub:owner/name@revision or hub:@revision",
        )
    repo = match["repo"] or place.repo
    default = place.revision if repo == place.repo else "main"
    return HubPlace(repo, place.filename, match["revision"] or default)
