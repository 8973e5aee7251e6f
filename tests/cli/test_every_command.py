"""What holds for every command: exit codes, and what `--json` writes to stdout.

The tables name every command; a new one fails here until it is in them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from openthoughts_cli.cli.app import VERBS, load_verb
from tests.conftest import CommandResult
from tests.doubles.rows import many, write
from tests.doubles.tokenizer import byte_model

Ot = Callable[..., CommandResult]

NOT_THERE: dict[str, tuple[str, ...]] = {
    "subset": ("--dataset", "not-there.parquet"),
    "inspect": ("not-there",),
    "train": ("--subset", "not-there"),
    "eval": ("--run", "not-there", "-b", "nll"),
    "sweep": ("not-there.yaml",),
    "explore": ("not-there",),
    "quickstart": ("--seed", "some"),
    "index build": ("--dataset", "not-there.parquet"),
    "index status": ("--dataset", "not-there.parquet"),
    "index drop": ("--dataset", "not-there"),
    "grade": ("not-there", "--answers", "none.jsonl"),
    "compare": ("not-there", "neither"),
    "report": ("not-there",),
    "push": ("not-there", "me/rows"),
    "runs ls": ("not-there",),
    "runs show": ("not-there",),
    "runs sync": ("not-there",),
    "runs export": ("not-there",),
    "runs regrade": ("not-there",),
    "doctor": ("--config", "not-there.yaml"),
    "config show": ("train", "--config", "not-there.yaml"),
    "config init": ("not-there",),
    "config schema": ("not-there",),
    "config diff": ("not-there.yaml", "neither.yaml"),
}
"""Of each command, arguments that name something which does not exist, or cannot be."""


def leaves(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    inner = getattr(command, "commands", None)
    if not inner:
        yield path, command
    for name, sub in (inner or {}).items():
        yield from leaves(sub, f"{path} {name}")


COMMANDS = dict(leaf for verb in VERBS.values() for leaf in leaves(load_verb(verb), verb.name))


def has_option(path: str, name: str) -> bool:
    return any(name in param.opts for param in COMMANDS[path].params)


def test_the_table_names_every_command() -> None:
    assert set(NOT_THERE) == set(COMMANDS)


@pytest.mark.parametrize("path", COMMANDS)
def test_help_is_exit_0_on_stdout(ot: Ot, path: str) -> None:
    ended = ot(*path.split(), "--help")
    assert (ended.code, ended.err) == (0, "")
    assert f"ot {path}" in ended.out


@pytest.mark.parametrize("path", COMMANDS)
def test_an_unknown_option_is_exit_2_on_stderr(ot: Ot, path: str) -> None:
    ended = ot(*path.split(), "--qick")
    assert (ended.code, ended.out) == (2, "")
    assert f"error: ot {path} has no option --qick" in ended.err


@pytest.mark.parametrize("path", COMMANDS)
def test_what_does_not_exist_is_exit_2_and_stdout_stays_empty(
    ot: Ot, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    wish = ("--json",) if has_option(path, "--json") else ()
    ended = ot(*path.split(), *NOT_THERE[path], *wish)
    assert (ended.code, ended.out) == (2, ""), ended.err
    assert ended.err.count("error: ") == 1
    assert "hint: " in ended.err
    assert list(tmp_path.iterdir()) == []


def test_a_report_is_one_record_alone_and_lists_are_json_lines(
    ot: Ot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = write(tmp_path / "rows.parquet", many(60))
    source = ("--dataset", data, "--tokenizer", byte_model(tmp_path / "model"))
    row = {"problem": {"problem": "1 + 1?", "answer": 2}, "completion": "\\boxed{2}"}
    (tmp_path / "answers.jsonl").write_text(f"{json.dumps(row)}\n" * 2)
    (tmp_path / "a.yaml").write_text("subset: a\n")
    (tmp_path / "b.yaml").write_text("subset: b\n")
    calls: list[tuple[list[Any], list[str]]] = [
        (["index", "build", *source, "--workers", 1], ["index"]),
        (["index", "status", *source], ["index"]),
        (["index", "status"], ["indexes"]),
        (["subset", *source, "-n", 12, "--name", "it"], ["subset"]),
        (["inspect", "it"], ["inspection"]),
        (["index", "drop", "--yes"], ["index-dropped"]),
        (["grade", "aime25", "-a", "answers.jsonl"], ["grade", "grade", "grade_summary"]),
        (["config", "show", "train", "-c", "a.yaml"], ["config"]),
        (["config", "diff", "a.yaml", "b.yaml", "--verb", "train"], ["config-diff"]),
        (["runs", "ls"], []),
    ]
    for arguments, kinds in calls:
        ended = ot(*arguments, "--json")
        assert ended.code == 0, ended.err
        records = [json.loads(line) for line in ended.out.splitlines()]
        assert [record["kind"] for record in records] == kinds, arguments
        assert all(isinstance(record["format"], int) for record in records)
        assert "\x1b" not in ended.out + ended.err
