"""The root: its table of verbs, its help, and how each kind of end becomes a line and a code."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from openthoughts_cli.cli import app as root
from openthoughts_cli.cli.app import MAIN, VERBS, Verb, load_verb
from openthoughts_cli.errors import BudgetError, OtError, PartialError
from tests.conftest import CommandResult

Ot = Callable[..., CommandResult]


@pytest.mark.parametrize("verb", VERBS.values(), ids=lambda verb: verb.name)
def test_each_row_of_the_table_says_what_its_module_says(verb: Verb) -> None:
    command = load_verb(verb)
    assert command.name == verb.name
    assert (command.help or "").strip().splitlines()[0] == verb.help
    assert len(verb.help) <= 62, "one line at 80 columns"
    assert verb.help.endswith(".")


@pytest.mark.parametrize("verb", VERBS.values(), ids=lambda verb: verb.name)
def test_every_option_of_every_command_is_explained(verb: Verb) -> None:
    command = load_verb(verb)
    for inner in getattr(command, "commands", {"": command}).values():
        assert inner.help, f"{verb.name} {inner.name} has no help"
        silent = [param.name for param in inner.params if not getattr(param, "help", "")]
        assert silent == []


def test_help_shows_the_verbs_in_their_panels(ot: Ot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    done = ot("--help")
    assert done.code == 0
    lines = done.out.splitlines()
    assert max(len(line) for line in lines) <= 80
    main = next(i for i, line in enumerate(lines) if "─ Main ─" in line)
    more = next(i for i, line in enumerate(lines) if "─ More ─" in line)
    for verb in VERBS.values():
        row = next(i for i, line in enumerate(lines) if line.startswith(f"│ {verb.name} "))
        assert (main < row < more) == (verb.panel == MAIN)
        assert verb.help in lines[row]


def test_no_arguments_show_the_help_and_are_a_usage_error(ot: Ot) -> None:
    done = ot()
    assert done.code == 2
    assert "Usage: ot" in done.out
    assert done.err == ""


def test_an_unknown_command_is_met_with_a_guess(ot: Ot) -> None:
    done = ot("confg")
    assert done.code == 2
    assert done.out == ""
    assert "ot has no command 'confg'" in done.err
    assert "did you mean `ot config`?" in done.err


def test_an_unknown_option_is_met_with_a_guess(ot: Ot) -> None:
    done = ot("config", "show", "train", "--wy")
    assert (done.code, done.out) == (2, "")
    assert "ot config show has no option --wy" in done.err
    assert "did you mean --why?" in done.err


def test_an_option_before_the_command_is_told_its_place(ot: Ot) -> None:
    done = ot("--json", "runs", "ls")
    assert (done.code, done.out) == (2, "")
    assert "options stand after the command" in done.err


def test_a_missing_argument_is_a_usage_error(ot: Ot) -> None:
    done = ot("config", "show")
    assert (done.code, done.out) == (2, "")
    assert "missing argument 'VERB'" in done.err
    assert "ot config show --help" in done.err


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["train", "--epochs", "many"], "'--epochs': expected a whole number, got 'many'"),
        (["train", "--batch-size=1.5"], "'--batch-size': expected a whole number, got '1.5'"),
        (["train", "--max-usd", "x"], "'--max-usd': expected a number, got 'x'"),
        (["runs", "show", "a", "b"], "there is no place for the argument b"),
        (["train", "a.yaml"], "a config file is given with --config"),
        (["train", "--set"], "option '--set' requires an argument"),
        (["train", "--yes=1"], "option '--yes' does not take a value"),
    ],
)
def test_a_wrong_option_value_says_what_is_expected(ot: Ot, args: list[str], message: str) -> None:
    done = ot(*args)
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert "Input should" not in done.err
    assert f"see `ot {args[0]}" in done.err


def test_the_version_is_shown(ot: Ot) -> None:
    done = ot("--version")
    assert done.code == 0
    assert done.out.startswith("ot ")


@pytest.fixture
def ends_with(ot: Ot, monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], CommandResult]:
    """Run a verb whose command raises what is given: a real module, added to the real table."""

    def call(error: BaseException) -> CommandResult:
        class Module:
            app = typer.Typer(add_completion=False)

        @Module.app.command()
        def fail() -> None:
            """Fail."""
            raise error

        monkeypatch.setitem(sys.modules, "a_verb_that_fails", Module)
        monkeypatch.setitem(root.VERBS, "fail", Verb("fail", "a_verb_that_fails", "Fail."))
        return ot("fail")

    return call


EndsWith = Callable[[BaseException], CommandResult]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OtError("the disk is full", hint="free some space"), 1),
        (PartialError("2 of 3 failed", hint="free some space"), 3),
        (BudgetError("$5 are spent", hint="free some space"), 4),
    ],
)
def test_an_error_of_the_tool_is_two_lines_and_its_code(
    ends_with: EndsWith, error: OtError, code: int
) -> None:
    done = ends_with(error)
    assert done.code == code
    assert done.out == ""
    assert done.err == f"error: {error.message}\nhint: free some space\n"


def test_markup_in_a_message_is_printed_as_it_is(ends_with: EndsWith) -> None:
    done = ends_with(OtError("no key [bold]x[/bold] in a[0]"))
    assert done.err == "error: no key [bold]x[/bold] in a[0]\n"


def test_ctrl_c_is_one_line_and_130(ends_with: EndsWith) -> None:
    done = ends_with(KeyboardInterrupt())
    assert (done.code, done.out) == (130, "")
    assert done.err.startswith("error: interrupted\nhint: what was finished is kept;")


def test_a_command_may_choose_its_code(ends_with: EndsWith) -> None:
    done = ends_with(typer.Exit(3))
    assert (done.code, done.out, done.err) == (3, "", "")


def test_a_closed_pipe_ends_quietly(ends_with: EndsWith) -> None:
    done = ends_with(BrokenPipeError())
    assert (done.code, done.err) == (0, "")


def test_a_bug_leaves_a_crash_file_without_secrets(
    ends_with: EndsWith, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OT_CACHE", str(tmp_path))
    monkeypatch.setenv("SOME_API_KEY", "very-private-1234")
    done = ends_with(RuntimeError("broke with very-private-1234 and tml-abcdef123456"))
    assert done.code == 1
    [file] = (tmp_path / "crashes").iterdir()
    assert str(file) in done.err.replace("\n", "")
    assert "Traceback" not in done.err
    text = file.read_text()
    assert "RuntimeError: broke with <SOME_API_KEY> and <secret>" in text
    assert "very-private" not in done.err + text
    assert "tml-abc" not in done.err + text


def test_a_bug_where_no_file_can_be_written_is_still_an_error(
    ends_with: EndsWith, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("OT_CACHE", str(tmp_path / "file"))
    done = ends_with(RuntimeError("broke"))
    assert done.code == 1
    assert "unexpected RuntimeError: broke" in done.err
    assert "cannot be written" in done.err


def test_a_reader_that_leaves_early_sees_no_traceback(repo: Path) -> None:
    done = subprocess.run(
        f"{sys.executable} -m openthoughts_cli config schema train | head -1; "
        'echo "code ${PIPESTATUS[0]}"',
        shell=True,
        executable="/bin/bash",
        capture_output=True,
        text=True,
        cwd=repo,
        env=dict(os.environ),
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["{", "code 0"]


def test_output_survives_a_terminal_without_unicode(repo: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "openthoughts_cli", "config", "show", "tr\u00e4in"],
        capture_output=True,
        cwd=repo,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        check=False,
    )
    assert done.returncode == 2
    assert b"Traceback" not in done.stderr
    assert b"no verb" in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
@pytest.mark.parametrize(
    "words", [("--help",), ("runs", "ls", "--json"), ("config", "init", "train")]
)
def test_a_full_stdout_is_told_in_one_line_and_is_no_bug(
    repo: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    (tmp_path / "runs" / "r").mkdir(parents=True)
    (tmp_path / "runs" / "r" / "config.json").write_text("{}")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "openthoughts_cli", *words],
            cwd=repo,
            env={**os.environ, "OT_RUNS": str(tmp_path / "runs"), "OT_CACHE": str(tmp_path / "c")},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == "error: what ot writes to stdout: No space left on device\n"
    assert not (tmp_path / "c" / "crashes").exists()


@pytest.mark.parametrize("words", ["config schema train", "runs ls --json", "--help"])
def test_a_closed_stdout_is_survived(repo: Path, tmp_path: Path, words: str) -> None:
    done = subprocess.run(
        ["sh", "-c", f'exec "$0" -m openthoughts_cli {words} >&-', sys.executable],
        cwd=repo,
        env={**os.environ, "OT_RUNS": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_file_that_may_not_be_read_is_no_bug(ends_with: EndsWith) -> None:
    done = ends_with(PermissionError(13, "Permission denied", "runs/a/events.jsonl"))
    assert done.code == 1
    assert done.err == "error: runs/a/events.jsonl: Permission denied\n"
