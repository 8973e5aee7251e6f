"""The last words of a process that may be ended without a chance to speak.

Ray's library ends the process that uses it, from within, when the cluster's node here is lost. A small
child holds the other end of a pipe: when that closes and nobody said goodbye, it says what happened.
"""

from __future__ import annotations

import contextlib
import subprocess

__all__ = ["LastWords"]

_LISTEN = """
read -r word && exit
[ -t 2 ] && printf '\\033[?25h' >&2
printf '\\n%s\\n' "$1" >&2
"""
"""In a terminal the cursor is shown again, which a live view had hidden."""


class LastWords:
    """Says `text` on stderr when this process ends without having called `goodbye`."""

    def __init__(self, text: str) -> None:
        self._child = subprocess.Popen(
            ["/bin/sh", "-c", _LISTEN, "ot", text],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env={},
            start_new_session=True,  # a Ctrl-C is not its end
        )

    def goodbye(self) -> None:
        """This process ends by its own will: nothing is said."""
        with contextlib.suppress(OSError):
            self._child.communicate(b"goodbye\n")
