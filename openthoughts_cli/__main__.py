"""The entry point: run the command line, and turn whatever ends it into a line and an exit code."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(args: Sequence[str] | None = None) -> int:
    """Run `ot` with `args` (default: the process's) and return the exit code."""
    try:
        from openthoughts_cli.cli.boundary import run

        return run(list(sys.argv[1:] if args is None else args))
    except KeyboardInterrupt:  # while the command line itself was imported, or as it ended
        sys.stderr.write("error: interrupted\n")
        return 130
    finally:
        if args is None:
            _end_at_once_on_ctrl_c()


def _end_at_once_on_ctrl_c() -> None:
    """From here on only libraries tidy up: Ctrl-C ends the process, and no traceback is printed."""
    with contextlib.suppress(ValueError):  # not the main thread: no signal arrives here
        signal.signal(signal.SIGINT, signal.SIG_DFL)


if __name__ == "__main__":
    sys.exit(main())
