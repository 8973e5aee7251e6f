"""What the SDK would log, told to the listener: pauses over billing or capacity, deprecations.

A run that waits an hour for a payment must say so; and a log line in the middle of a live view
helps nobody.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging

from openthoughts_cli.events import Listener, Notice
from openthoughts_cli.redaction import redact

__all__ = ["SdkNotices"]

_LOGGER = "tinker"
_ROUTINE = ("because of try_again",)
_MOST_CHARACTERS = 300


class SdkNotices(logging.Handler):
    """Hears the SDK's warnings from `attach` to `detach`; each text is told once in a row.

    Errors are left out: they arrive as exceptions. So is the routine of waiting for a result.
    """

    def __init__(self, listener: Listener) -> None:
        super().__init__(level=logging.WARNING)
        self._listener = listener
        self._loop: asyncio.AbstractEventLoop | None = None
        self._last = ""

    def attach(self) -> None:
        """Tell the listener in the running loop from now on."""
        self._loop = asyncio.get_running_loop()
        logging.getLogger(_LOGGER).addHandler(self)

    def detach(self) -> None:
        logging.getLogger(_LOGGER).removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Called in the SDK's thread."""
        text = " ".join(redact(record.getMessage()).split())[:_MOST_CHARACTERS]
        routine = any(phrase in text for phrase in _ROUTINE)
        if record.levelno != logging.WARNING or routine or text == self._last:
            return
        self._last = text
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(
                    self._listener, Notice(f"Tinker: {text}", "warning")
                )
