"""The two streams: what goes where with --json, --quiet and --plain, on a terminal and off it."""

from __future__ import annotations

import io
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console as RichConsole

from openthoughts_cli.cli.console import open_console
from openthoughts_cli.cli.render.progress import PlainProgress
from openthoughts_cli.cli.render.tables import facts, table
from openthoughts_cli.errors import ConfirmationError
from openthoughts_cli.events import (
    EvalDone,
    EvalProgress,
    EvalStarted,
    Notice,
    StageDone,
    StageProgress,
    StageStarted,
)

Capture = pytest.CaptureFixture[str]


def test_a_report_is_a_record_with_json_and_a_rendering_without(capsys: Capture) -> None:
    values = {"path": Path("/a/b"), "names": ("x", "y"), "text": "naïve [bold]", "nothing": None}
    open_console(as_json=True).report("thing", values, lambda: "for people")
    out, err = capsys.readouterr()
    assert json.loads(out) == {
        "kind": "thing",
        "format": 1,
        "path": "/a/b",
        "names": ["x", "y"],
        "text": "naïve [bold]",
        "nothing": None,
    }
    assert out.count("\n") == 1
    assert err == ""
    open_console().report("thing", values, lambda: "for [people]")
    assert capsys.readouterr() == ("for [people]\n", "")


def test_a_record_refuses_what_json_cannot_hold() -> None:
    console = open_console(as_json=True)
    with pytest.raises(ValueError, match="not JSON compliant"):
        console.record("thing", {"loss": float("nan")})
    with pytest.raises(ValueError, match="kind"):
        console.record("thing", {"kind": "mine"})
    with pytest.raises(TypeError, match="no place in a JSON record"):
        console.record("thing", {"x": object()})


def test_notes_and_warnings_go_to_stderr_and_quiet_keeps_warnings(capsys: Capture) -> None:
    console = open_console()
    console.note("reading")
    console.warn("3 rows dropped")
    assert capsys.readouterr() == ("", "reading\nwarning: 3 rows dropped\n")
    console = open_console(quiet=True)
    console.note("reading")
    console.warn("3 rows dropped")
    console.error("it broke", "mend it")
    assert capsys.readouterr().err == ("warning: 3 rows dropped\nerror: it broke\nhint: mend it\n")


def test_with_json_what_is_printed_goes_to_stderr(capsys: Capture) -> None:
    open_console(as_json=True).print("a table")
    assert capsys.readouterr() == ("", "a table\n")


def test_long_lines_are_not_wrapped_or_cut(capsys: Capture) -> None:
    console = open_console()
    console.note("x " * 200)
    console.print("y " * 200)
    out, err = capsys.readouterr()
    assert (out.count("\n"), err.count("\n")) == (1, 1)


def test_consent_is_given_beforehand_or_refused_without_a_terminal(capsys: Capture) -> None:
    console = open_console()
    console.confirm("Spend $3?", yes=True, hint="")
    with pytest.raises(ConfirmationError) as caught:
        console.confirm("Spend $3?", yes=False, hint="add --yes")
    assert caught.value.hint == "add --yes"
    assert capsys.readouterr() == ("", "")


def on_a_terminal(code: str, typed: bytes = b"", **environ: str) -> str:
    """Run Python code with a pseudo-terminal for stdin and stderr; what stderr showed."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=theirs,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        env={**os.environ, **environ},
        cwd=Path(__file__).parents[2],
    )
    os.close(theirs)
    os.write(ours, typed)
    shown = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        shown += piece
    process.wait()
    os.close(ours)
    return shown.decode()


ASK = """
from openthoughts_cli.cli.console import open_console
from openthoughts_cli.errors import ConfirmationError
console = open_console(plain={plain})
try:
    console.confirm("Spend $3?", yes=False, hint="add --yes")
    console.note("AGREED")
except ConfirmationError as error:
    console.note("REFUSED " + error.message)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("typed", "plain", "ends"),
    [
        (b"y\n", False, "AGREED"),
        (b"YES\n", False, "AGREED"),
        (b"\n", False, "REFUSED not confirmed"),
        (b"n\n", False, "REFUSED not confirmed"),
        (b"y\n", True, "REFUSED Spend $3? There is no terminal"),
    ],
)
def test_a_question_is_asked_on_a_terminal(typed: bytes, plain: bool, ends: str) -> None:
    assert ends in on_a_terminal(ASK.format(plain=plain), typed)


SHOW = """
import time
from openthoughts_cli.cli.console import open_console
from openthoughts_cli.events import *
console = open_console(plain={plain})
with console.listening() as hear:
    hear(StageStarted("reading [x]", total=4))
    hear(StageProgress("reading [x]", 2))
    time.sleep(0.3)
    hear(StageDone("reading [x]", "4 rows"))
    hear(Notice("one was odd", "warning"))
"""


@pytest.mark.slow
def test_a_terminal_shows_bars_that_plain_and_dumb_terminals_do_not() -> None:
    shown = on_a_terminal(SHOW.format(plain=False))
    assert "2/4" in shown
    assert "\x1b[" in shown
    assert "reading [x]: 4 rows" in shown
    for text in (
        on_a_terminal(SHOW.format(plain=True)),
        on_a_terminal(SHOW.format(plain=False), TERM="dumb"),
    ):
        assert "2/4" not in text
        assert "\x1b[" not in text
        assert "reading [x]: 4 rows" in text


@pytest.mark.slow
def test_no_color_leaves_out_colour() -> None:
    code = "from openthoughts_cli.cli.console import open_console; open_console().warn('careful')"
    assert "\x1b[1;33m" in on_a_terminal(code)
    assert "33m" not in on_a_terminal(code, NO_COLOR="1")


@pytest.mark.slow
def test_work_goes_on_when_the_reader_of_its_progress_has_left(tmp_path: Path) -> None:
    code = (
        "from openthoughts_cli.cli.console import open_console\n"
        "import time, pathlib\n"
        "console = open_console()\n"
        "for n in range(50):\n"
        "    console.note('line ' * 1000)\n"
        f"pathlib.Path({str(tmp_path / 'done')!r}).write_text('yes')\n"
    )
    subprocess.run(
        f'{sys.executable} -c "$CODE" 2>&1 | head -1',
        shell=True,
        env={**os.environ, "CODE": code},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        check=False,
    )
    assert (tmp_path / "done").read_text() == "yes"


def test_plain_progress_is_a_line_at_the_end_and_now_and_then(capsys: Capture) -> None:
    hear = PlainProgress(open_console(), every_s=0).hear
    hear(StageStarted("reading", total=2000))
    hear(StageProgress("reading", 1000))
    hear(StageDone("reading", "512 of 2,000 rows"))
    hear(StageStarted("fetching", unit="MB"))
    hear(StageProgress("fetching", 7))
    hear(StageDone("fetching"))
    hear(EvalStarted("aime25", 10, 210))
    hear(EvalProgress("aime25", 10, 105, 210))
    hear(EvalDone("aime25", 10, {"pass@7": 0.4333, "mean": 1.23456}))
    hear(StageProgress("never started", 1))
    hear(Notice("all well"))
    assert capsys.readouterr().err.splitlines() == [
        "reading: 1,000 of 2,000 rows (50%)",
        "reading: 512 of 2,000 rows",
        "fetching: 7 MB",
        "fetching: done",
        "aime25: 105 of 210 answers (50%)",
        "aime25: pass@7 43.3%, mean 1.235",
        "all well",
    ]


def test_plain_progress_is_silent_between(capsys: Capture) -> None:
    hear = PlainProgress(open_console(), every_s=3600).hear
    hear(StageStarted("reading", total=10))
    for done in range(10):
        hear(StageProgress("reading", done))
    assert capsys.readouterr() == ("", "")


def rendered(renderable: object, width: int) -> str:
    to = RichConsole(file=io.StringIO(), width=width)
    to.print(renderable)
    assert isinstance(to.file, io.StringIO)
    return to.file.getvalue()


def test_tables_fold_and_lose_nothing() -> None:
    long = "abcdefgh" * 12
    text = rendered(
        table(["name", "rows"], [(long, 1234567), ("[red]x", None)], right=["rows"]), 40
    )
    assert "".join(text.split()).count("abcdefgh") + text.count("\n") >= 12
    assert "1,234,567" in text
    assert "[red]x" in text
    assert "…" not in text


def test_facts_stand_side_by_side() -> None:
    assert rendered(facts([("model", "m"), ("gated", True)]), 40).split() == [
        "model",
        "m",
        "gated",
        "yes",
    ]
