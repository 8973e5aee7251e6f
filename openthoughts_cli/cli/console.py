"""The two streams of a command: stderr for people, stdout for what was asked for.

Progress, notes, warnings and questions go to stderr. Stdout holds the report: a rendering for a
person, or with `--json` records and nothing else, so that a pipe can always read it.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import sys
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from openthoughts_cli.errors import ConfirmationError
from openthoughts_cli.events import Listener

if TYPE_CHECKING:
    from rich.console import Console as RichConsole
    from rich.console import RenderableType

__all__ = [
    "RECORD_FORMAT",
    "Console",
    "current_console",
    "open_console",
    "survive_closed_stderr",
]

RECORD_FORMAT = 1


@dataclass(frozen=True)
class Console:
    """What a command writes with. Made by `open_console`.

    `as_json`: stdout holds records only. `quiet`: no progress and no notes (warnings and errors
    stay). `plain`: no colour, no boxes that move, no questions.
    """

    as_json: bool = False
    quiet: bool = False
    plain: bool = False

    @cached_property
    def people(self) -> RichConsole:
        """The rich console on stderr: progress, notes, warnings."""
        return _rich_console(sys.stderr, plain=self.plain)

    @cached_property
    def report_to(self) -> RichConsole:
        """The rich console on stdout: reports for a person."""
        return _rich_console(sys.stdout, plain=self.plain)

    @property
    def interactive(self) -> bool:
        """Whether a person can answer a question: stdin and stderr are terminals, not plain."""
        return not self.plain and sys.stdin.isatty() and sys.stderr.isatty()

    @property
    def live(self) -> bool:
        """Whether moving bars and views make sense: stderr is a terminal that can move."""
        return not (self.plain or self.quiet) and self.people.is_terminal and not _is_dumb()

    def note(self, text: str) -> None:
        """One line for a person, on stderr; left out with `--quiet`."""
        if not self.quiet:
            self._to_people(text)

    def warn(self, text: str) -> None:
        """A warning on stderr; `--quiet` keeps it."""
        self._to_people(text, label="warning", style="bold yellow")

    def print(self, renderable: RenderableType = "") -> None:
        """A report for a person, on stdout. Text is printed as it is: no markup in it is read.

        With `--json` it goes to stderr, since stdout then holds records only.
        """
        to = self.people if self.as_json else self.report_to
        to.print(renderable, markup=False, highlight=False, soft_wrap=isinstance(renderable, str))

    def page(self, *renderables: RenderableType) -> None:
        """A report that may be long: through `$PAGER` where it is higher than the terminal.

        Only where a person sits at a terminal, without --plain and --json; an empty `PAGER` or
        "cat" prints. Unset, it is `less`, which leaves at once what fits.
        """
        command = shlex.split(os.environ.get("PAGER", "less"))
        at_terminal = sys.stdin.isatty() and self.report_to.is_terminal and not _is_dumb()
        if self.as_json or self.plain or not at_terminal or command in ([], ["cat"]):
            for renderable in renderables:
                self.print(renderable)
            return
        with self.report_to.capture() as captured:
            for renderable in renderables:
                self.print(renderable)
        text = captured.get()
        if text.count("\n") < self.report_to.size.height or not _paged(command, text):
            sys.stdout.write(text)
            sys.stdout.flush()

    def record(self, kind: str, values: Mapping[str, Any]) -> None:
        """Write one record to stdout as a line of JSON: `kind`, `format`, then the values.

        Raises:
            ValueError: a value is not a finite number, or a key is taken.
        """
        if taken := {"kind", "format"} & values.keys():
            raise ValueError(f"a record's own keys cannot be {sorted(taken)}")
        record = {"kind": kind, "format": RECORD_FORMAT, **values}
        utf8 = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
        line = json.dumps(record, ensure_ascii=not utf8, allow_nan=False, default=_plain_value)
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    def report(
        self, kind: str, values: Mapping[str, Any], render: Callable[[], RenderableType]
    ) -> None:
        """The result of a command: the record with `--json`, else what `render` returns."""
        if self.as_json:
            self.record(kind, values)
        else:
            self.print(render())

    @contextlib.contextmanager
    def listening(self) -> Generator[Listener]:
        """A listener that shows events on stderr: bars on a terminal, plain lines elsewhere."""
        from openthoughts_cli.cli.render.progress import open_progress

        with open_progress(self) as listener:
            yield listener

    def confirm(self, question: str, *, yes: bool, hint: str) -> None:
        """Ask for consent on the terminal; `yes` gives it beforehand.

        Raises:
            ConfirmationError: the answer was no, or there is no terminal to ask on; with `hint`.
        """
        if yes:
            return
        if not self.interactive:
            raise ConfirmationError(f"{question} There is no terminal to ask on", hint=hint)
        self.people.print(f"{question} [y/N] ", end="", markup=False, highlight=False)
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            raise ConfirmationError("not confirmed, nothing was started", hint=hint)

    def error(self, message: str, hint: str | None = None) -> None:
        """An error and its remedy, on stderr, whatever the options; secrets are taken out."""
        from openthoughts_cli.redaction import redact

        message, hint = redact(message), redact(hint) if hint else None
        self._to_people(message, label="error", style="bold red")
        if hint:
            self._to_people(hint, label="hint", style="bold cyan")

    def _to_people(self, text: str, *, label: str = "", style: str = "") -> None:
        from rich.text import Text

        line = Text()
        if label:
            line.append(f"{label}: ", style=style)
        line.append(text)
        with survive_closed_stderr():
            self.people.print(line, soft_wrap=True, highlight=False)


_latest = Console()


def open_console(*, as_json: bool = False, quiet: bool = False, plain: bool = False) -> Console:
    """The console of this command; the error boundary uses the one opened last."""
    global _latest
    _latest = Console(as_json=as_json, quiet=quiet, plain=plain)
    return _latest


def current_console() -> Console:
    """The console opened last, or one with no options."""
    return _latest


@contextlib.contextmanager
def survive_closed_stderr() -> Generator[None]:
    """Long work goes on when whoever read its progress has left (`2>&1 | head`)."""
    try:
        yield
    except BrokenPipeError:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 2)
        os.close(null)


def _rich_console(stream: TextIO, *, plain: bool) -> RichConsole:
    from rich.console import Console as RichConsole

    class _OurConsole(RichConsole):
        def on_broken_pipe(self) -> None:
            # Called while the BrokenPipeError is handled. Rich would exit here; the boundary and
            # the listeners decide instead.
            raise

    options: dict[str, Any] = {"no_color": True, "force_terminal": False} if plain else {}
    return _OurConsole(file=stream, emoji=False, **options)


def _paged(command: list[str], text: str) -> bool:
    """Show the text by a pager, and wait for it; False when there is no such program."""
    import signal
    import subprocess

    from openthoughts_cli.redaction import without_secrets

    environ = {"LESS": "FRX", "LESSCHARSET": "utf-8", **without_secrets()}
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the pager's
    try:
        subprocess.run(command, input=text.encode(errors="replace"), env=environ, check=False)
    except OSError:
        return False
    finally:
        signal.signal(signal.SIGINT, before)
    return True


def _is_dumb() -> bool:
    return os.environ.get("TERM", "").lower() in ("dumb", "unknown")


def _plain_value(value: Any) -> Any:
    """JSON of what `json` does not know: paths as text, tuples and sets as lists."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    raise TypeError(f"{type(value).__name__} has no place in a JSON record")
