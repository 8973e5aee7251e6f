"""LiveCodeBench code generation: contest problems with tests, chosen by the date of the contest.

Jain et al. 2024, arXiv 2403.07974. The hub's data set is a loading script that `datasets` 4
refuses, so its JSONL shards are read as files. The window of dates changes the score and is
recorded. Rows may hold megabytes of tests, so a first pass reads who is in the window and a second
one reads the tests of those chosen.
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from openthoughts_cli.config.benchmark import BenchmarkConfig
from openthoughts_cli.digests import digest_value
from openthoughts_cli.errors import EmptyResultError, NotFoundError, SchemaError
from openthoughts_cli.problems.aime25 import row_id
from openthoughts_cli.problems.files import Located, read_file
from openthoughts_cli.problems.hub import fetch
from openthoughts_cli.problems.livecodebench_tests import read_tests
from openthoughts_cli.problems.load import HubPlace, elsewhere
from openthoughts_cli.problems.problem import Problem, ProblemSet, choose
from openthoughts_cli.problems.text import MEND_ROW

__all__ = ["DEFAULT_WINDOW", "LCB_PLACE", "Window", "load_livecodebench", "read_lcb_row"]

# The commit that many public harnesses pin, with the shards test.jsonl to test6.jsonl and 1,055 rows
# in them, releases v1 to v6 (found 2026-11-24; no hub could be reached to read it).
LCB_PLACE = HubPlace(
    "livecodebench/code_generation_lite", "test.jsonl", "0fe84c3912ea0c4d4a78037083943e8f0c4dd505"
)
MAX_QUESTION_CHARACTERS = 200_000

_RELEASES = ("v1", "v2", "v3", "v4", "v5", "v6")
# Contests up to these dates are in the releases (the data set's README); a shard is what its
# release adds. Borders overlap by weeks, hence the slack.
_RELEASED_UNTIL = (
    "2024-03-31",
    "2024-05-31",
    "2024-07-31",
    "2024-09-30",
    "2025-01-31",
    "2025-04-30",
)
_SHARD_SLACK = datetime.timedelta(days=45)
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


class Window(NamedTuple):
    """Contest dates, both ends included."""

    first: datetime.date
    last: datetime.date

    @classmethod
    def read(cls, text: str) -> Window:
        """Of "2024-06-01..2025-01-31".

        Raises:
            ValueError: it is not that.
        """
        first, separator, last = text.partition("..")
        if not separator:
            raise ValueError(f"{text!r} is not FIRST..LAST, such as {DEFAULT_WINDOW}")
        window = cls(datetime.date.fromisoformat(first), datetime.date.fromisoformat(last))
        if window.first > window.last:
            raise ValueError(f"{text!r} ends before it begins")
        return window

    def __str__(self) -> str:
        return f"{self.first}..{self.last}"


DEFAULT_WINDOW = "2024-06-01..2025-01-31"
"""The paper's: contests from June 2024 to January 2025."""


def read_lcb_row(row: Mapping[str, Any], where: str) -> Problem:
    """A problem from a row with the hub's columns.

    `answer` is all its tests, public ones first; `data` holds `starter_code`, `function` (None for
    programs that read stdin), `num_public`, `platform` and `date`; its groups are the difficulty and the platform.

    Raises:
        SchemaError: naming `where` and the column.
    """
    question = _text(row, "question_content", where)
    if not question.strip():
        raise SchemaError(f"{where}: 'question_content' is empty", hint=MEND_ROW)
    public = read_tests(row.get("public_test_cases"), f"{where}: public_test_cases")
    private = read_tests(row.get("private_test_cases"), f"{where}: private_test_cases")
    tests = public + private
    if not tests:
        raise SchemaError(
            f"{where}: there are no tests, so no answer could be graded", hint=MEND_ROW
        )
    if len({test.functional for test in tests}) > 1:
        raise SchemaError(f"{where}: stdin and functional tests are mixed", hint=MEND_ROW)
    function = _function_name(row, where) if tests[0].functional else None
    if function is not None:
        for number, test in enumerate(tests, start=1):
            _check_values(test.input, test.output, f"{where}: test {number}")
    platform = str(row.get("platform") or "")[:100]
    return Problem(
        id=row_id(row, "question_id", question, where),
        question=question,
        answer=tests,
        group=str(row.get("difficulty") or ""),
        data={
            "starter_code": _text(row, "starter_code", where) if row.get("starter_code") else "",
            "function": function,
            "num_public": len(public),
            "platform": platform,
            "date": str(_date(row, where)) if row.get("contest_date") else "",
        },
        more_groups=(platform,) if platform else (),
    )


def load_livecodebench(settings: BenchmarkConfig) -> ProblemSet:
    """The problems that `settings` choose: `window` and `release`, then `limit` by `seed`.

    `settings.data` is a JSONL or parquet file with the hub's columns, a folder of them, or
    `hub:owner/name@revision`; unset: the shards on the hub that may hold the window.

    Raises:
        NotFoundError, NetworkError: the rows cannot be had.
        SchemaError: a row is malformed, by file:line and column.
        EmptyResultError: no problem lies in the window.
    """
    window = Window.read(settings.window or DEFAULT_WINDOW)
    paths, source, revision = _places(settings, window)
    light: list[Problem] = []
    seen: dict[str, str] = {}
    for where, row in _rows(paths):
        day = _date(row, where)
        if not window.first <= day <= window.last:
            continue
        identity = row_id(row, "question_id", str(row.get("question_content")), where)
        if identity in seen:
            raise SchemaError(
                f"{where}: the id {identity!r} was already used at {seen[identity]}",
                hint="give each row an id of its own; do the files of the folder overlap?",
            )
        seen[identity] = where
        light.append(Problem(identity, "", None))
    if not light:
        raise EmptyResultError(
            f"livecodebench: {source} holds no problem of {window}",
            hint="choose another window: --set benchmarks.livecodebench.window=FIRST..LAST",
        )
    chosen = [problem.id for problem in choose(light, settings.limit, settings.seed)]
    wanted = {seen[identity] for identity in chosen}
    full = {
        problem.id: problem
        for where, row in _rows(paths)
        if where in wanted
        for problem in (read_lcb_row(row, where),)
    }
    problems = tuple(full[identity] for identity in chosen)
    return ProblemSet(
        problems=problems,
        source=source,
        revision=revision,
        digest=digest_value([[problem.id, problem.content_digest()] for problem in problems]),
        total=len(light),
        window=str(window),
        notes=(f"release {settings.release}",) if settings.release else (),
    )


def _places(settings: BenchmarkConfig, window: Window) -> tuple[list[Path], str, str]:
    """The files to read, what to call them, and the hub's commit ("" for local files)."""
    data = settings.data
    if data is not None and not data.startswith("hub:"):
        path = Path(data).expanduser()
        if not path.is_dir():
            return [path], data, ""
        files = sorted(file for kind in ("*.jsonl", "*.parquet") for file in path.glob(kind))
        if not files:
            raise NotFoundError(
                f"the folder {path} holds no .jsonl or .parquet file",
                hint="give the folder that holds the benchmark's files, or one file",
            )
        return files, data, ""
    place = LCB_PLACE if data is None else elsewhere(data, LCB_PLACE)
    names = _shards(window, settings.release)
    found = [
        fetch(place.repo, name, revision=place.revision, benchmark="livecodebench")
        for name in names
    ]
    return [file.path for file in found], f"{place.repo}/{{{','.join(names)}}}", found[0].commit


def _shards(window: Window, release: str | None) -> list[str]:
    """The files of `release` (all) that may hold contests of the window."""
    ends = [datetime.date.fromisoformat(day) for day in _RELEASED_UNTIL]
    starts = [datetime.date.min, *ends]
    count = _RELEASES.index(release) + 1 if release else len(_RELEASES)
    wanted = [
        index
        for index in range(count)
        if window.first <= ends[index] + _SHARD_SLACK
        and (index == 0 or window.last >= starts[index] - _SHARD_SLACK)
    ]
    if not wanted:
        raise EmptyResultError(
            f"livecodebench: release {release} holds no contest of {window}",
            hint="choose another release or window: --set "
            "benchmarks.livecodebench.window=FIRST..LAST",
        )
    return [f"test{index + 1 if index else ''}.jsonl" for index in wanted]


def _rows(paths: list[Path]) -> Iterator[Located]:
    for path in paths:
        yield from read_file(path)


def _date(row: Mapping[str, Any], where: str) -> datetime.date:
    """The contest's day, from text, a date or a datetime."""
    value = row.get("contest_date")
    if isinstance(value, datetime.datetime):
        return value.date()
    if isinstance(value, datetime.date):
        return value
    try:
        return datetime.datetime.fromisoformat(value if isinstance(value, str) else "").date()
    except ValueError as error:
        raise SchemaError(
            f"{where}: 'contest_date' is not a date: {str(value)[:60]!r}", hint=MEND_ROW
        ) from error


def _function_name(row: Mapping[str, Any], where: str) -> str:
    metadata = row.get("metadata")
    try:
        read = json.loads(metadata) if isinstance(metadata, str) else metadata
    except (ValueError, RecursionError) as error:
        raise SchemaError(f"{where}: 'metadata' is not JSON", hint=MEND_ROW) from error
    name = read.get("func_name") if isinstance(read, dict) else None
    if not isinstance(name, str) or not name.isidentifier():
        raise SchemaError(
            f"{where}: 'metadata' has no func_name, and the tests call a function",
            hint=MEND_ROW,
        )
    return name


def _check_values(given: str, expected: str, where: str) -> None:
    """Functional tests hold one JSON value a line; found out here, not while grading."""
    try:
        for line in (*given.split("\n"), expected):
            json.loads(line)
    except (ValueError, RecursionError) as error:
        raise SchemaError(
            f"{where}: a functional test holds one JSON value on each line, and this does not: "
            f"{str(error)[:100]}",
            hint=MEND_ROW,
        ) from error


def _text(row: Mapping[str, Any], key: str, where: str) -> str:
    """The column as text of a bounded size, without control characters other than tab and newline."""
    value = row.get(key)
    if not isinstance(value, str):
        raise SchemaError(
            f"{where}: {key!r} must be text, and it is {type(value).__name__}", hint=MEND_ROW
        )
    if len(value) > MAX_QUESTION_CHARACTERS:
        raise SchemaError(
            f"{where}: {key!r} has {len(value):,} characters, and at most "
            f"{MAX_QUESTION_CHARACTERS:,} are allowed",
            hint="shorten it, or leave the row out",
        )
    return _CONTROL.sub("", value.replace("\r\n", "\n"))
