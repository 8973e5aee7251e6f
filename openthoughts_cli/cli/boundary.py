"""The one place where a failure becomes a line for a person and an exit code.

OtError                   error: and hint:, the class's exit code
usage error of the parser error: and hint:, exit 2
Ctrl-C, SIGTERM           one line, exit 130
reader of stdout has gone quiet, exit 0
disk, rights             the system's own words and the file, exit 1
anything else             a crash file without secrets, its path, exit 1
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import signal
import sys
import threading
from collections.abc import Generator
from pathlib import Path
from types import FrameType
from typing import Any

from openthoughts_cli.cli.console import current_console, open_console
from openthoughts_cli.errors import OtError

__all__ = ["run"]

INTERRUPTED = 130

_SYSTEM = frozenset(
    {
        *(errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO),
        *(errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ELOOP, errno.ENAMETOOLONG),
        *(errno.EISDIR, errno.ENOTDIR, errno.ETXTBSY, errno.ESTALE),
    }
)
"""What the system refuses for reasons of its own, whatever ot does."""


def run(args: list[str]) -> int:
    """Run the root command and return the exit code; nothing is raised, not even SystemExit."""
    _replace_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        # A terminal or pipe that cannot show a character shows "?" and not a traceback.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    open_console(plain="--plain" in args)  # for what fails before a command opens its own
    try:
        with _terminate_like_interrupt(), _shell_words():
            code = _run_command(args)
            sys.stdout.flush()
    except BrokenPipeError:
        _close_quietly(sys.stdout)
        return 0
    except OSError as error:  # what stdout held back could not be written, as on a full disk
        _close_quietly(sys.stdout)
        return _system_error(error)
    return code


def _shell_words() -> contextlib.AbstractContextManager[None]:
    if "_OT_COMPLETE" not in os.environ:
        return contextlib.nullcontext()
    from openthoughts_cli.cli.complete_config import words_of_bash

    return words_of_bash(os.environ)


def _run_command(args: list[str]) -> int:
    from typer.exceptions import Abort, TyperException

    from openthoughts_cli.cli.app import root_command

    try:
        code = root_command().main(args, prog_name="ot", standalone_mode=False)
    except OtError as error:
        current_console().error(error.message, error.hint)
        return error.exit_code
    except TyperException as error:
        return _usage_error(error, args)
    except (KeyboardInterrupt, Abort):
        code = INTERRUPTED
    except BrokenPipeError:
        raise
    except SystemExit as stop:
        if isinstance(stop.__context__, BrokenPipeError):
            raise BrokenPipeError from stop
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except OSError as error:
        if error.errno not in _SYSTEM:
            return _bug(error, args)
        _close_quietly(sys.stdout)
        return _system_error(error)
    except Exception as error:  # noqa: BLE001 - the boundary: a bug becomes a crash file
        return _bug(error, args)
    if code == INTERRUPTED:
        # Typer turns KeyboardInterrupt into this code without a word.
        current_console().error(
            "interrupted",
            "what was finished is kept; the same command goes on, and a run: ot train --resume RUN",
        )
    return code if isinstance(code, int) else 0


def _bug(error: Exception, args: list[str]) -> int:
    from openthoughts_cli.cli.crash import write_crash_file

    place = write_crash_file(error, args)
    current_console().error(
        f"unexpected {type(error).__name__}: {error}",
        f"this is a bug in ot; the details, without secrets, are in {place}",
    )
    return 1


def _system_error(error: OSError) -> int:
    """A disk or rights that nothing below has put into words: no bug, so no crash file."""
    where = error.filename if error.filename is not None else "what ot writes to stdout"
    current_console().error(f"{where}: {error.strerror or error}")
    return 1


def _usage_error(error: Any, args: list[str]) -> int:
    from openthoughts_cli.cli.usage import explain_usage_error

    if type(error).__name__ == "NoArgsIsHelpError":
        return int(error.exit_code)  # the help is on the screen already
    message, hint = explain_usage_error(error, args)
    current_console().error(message, hint)
    return int(error.exit_code)


@contextlib.contextmanager
def _terminate_like_interrupt() -> Generator[None]:
    """SIGTERM unwinds the stack as Ctrl-C does, so that nothing half-written stays."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        del number, frame
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _replace_closed_streams() -> None:
    """A stream that the caller closed (`ot runs ls >&-`) is None in Python: write to nothing."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115


def _close_quietly(stream: Any) -> None:
    """Point a broken stdout at nothing, or Python complains when it flushes it at exit."""
    with contextlib.suppress(OSError, ValueError):  # a stdout that is no file needs nothing
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
