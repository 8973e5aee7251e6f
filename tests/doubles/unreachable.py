"""An address where every connection fails before a request can be sent; how often it was tried.

It takes connections and ends each at once. Its address begins with `https`, so a client is still
about to greet: its error is the one for a host that it never reached, as for a closed port.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Generator
from dataclasses import dataclass

__all__ = ["Unreachable", "unreachable"]


@dataclass
class Unreachable:
    """Where it is, and how many connections were tried."""

    url: str
    attempts: int = 0


@contextlib.contextmanager
def unreachable() -> Generator[Unreachable]:
    """Fail every connection until the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        place = Unreachable(f"https://127.0.0.1:{listening.getsockname()[1]}")

        def refuse() -> None:
            with contextlib.suppress(OSError):  # the block ended
                while True:
                    connection, _ = listening.accept()
                    place.attempts += 1
                    connection.close()

        thread = threading.Thread(target=refuse, name="unreachable", daemon=True)
        thread.start()
        try:
            yield place
        finally:
            listening.shutdown(socket.SHUT_RDWR)  # wakes `accept`
            thread.join()
