"""Ctrl-C for a command that should end at a safe point: the first asks, the second insists.

Other commands need nothing of this: there Ctrl-C and SIGTERM raise KeyboardInterrupt at once.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Generator
from types import FrameType

from openthoughts_cli.cli.console import current_console
from openthoughts_cli.training.stop import StopRequest

__all__ = ["stop_on_request"]


@contextlib.contextmanager
def stop_on_request(
    *, say: str = "stopping at the next safe point; Ctrl-C again stops at once"
) -> Generator[StopRequest]:
    """A request that the first SIGINT or SIGTERM of the block makes; the second one raises.

    Outside the main thread, where no signal arrives, the request is never made.

    Raises:
        KeyboardInterrupt: at the second signal.
    """
    stop = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def hear(number: int, frame: FrameType | None) -> None:
        del number, frame
        if stop.requested:
            raise KeyboardInterrupt
        stop.requested = True
        # Printed by another thread: the signal may have come while rich held its lock.
        threading.Thread(target=current_console().warn, args=(say,), daemon=True).start()

    before = {number: signal.signal(number, hear) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
