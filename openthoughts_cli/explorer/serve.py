"""Start the app's server in this process, on loopback unless told otherwise.

Streamlit's own configuration can be anything on a machine, so what matters here is set by flags,
which stand above it: no usage statistics, no watched files, no e-mail prompt, the address.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from openthoughts_cli.errors import ConflictError, MissingExtraError, UsageError
from openthoughts_cli.explorer.library import preload
from openthoughts_cli.explorer.settings import Settings

__all__ = ["DEFAULT_PORT", "LOOPBACK", "choose_port", "is_loopback", "serve"]

LOOPBACK = "127.0.0.1"
DEFAULT_PORT = 8501
_NEXT_PORTS = 20
_READY_TIMEOUT_S = 60.0
_POLL_S = 0.05


def is_loopback(address: str) -> bool:
    """Whether only this machine can reach the address."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"  # any other name is whatever a resolver says


def choose_port(address: str, port: int | None) -> int:
    """The port that was asked for, or the first free one from 8501 on.

    Raises:
        ConflictError: the port asked for is in use.
        UsageError: the address is none of this machine.
    """
    if port is not None:
        if not _is_free(address, port):
            raise ConflictError(
                f"port {port} on {address} is in use",
                hint="give another --port, or leave it out: a free one is then taken",
            )
        return port
    for candidate in range(DEFAULT_PORT, DEFAULT_PORT + _NEXT_PORTS):
        if _is_free(address, candidate):
            return candidate
    with _socket(address) as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


def _socket(address: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return socket.socket(family, socket.SOCK_STREAM)


def _is_free(address: str, port: int) -> bool:
    with _socket(address) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except PermissionError:
            return False
        except (socket.gaierror, OSError) as error:
            if isinstance(error, socket.gaierror) or error.errno in _NOT_OURS:
                raise UsageError(
                    f"{address} is not an address of this machine",
                    hint="leave out --address for 127.0.0.1, or give 0.0.0.0 for all of them",
                ) from error
            return False
    return True


_NOT_OURS = {99, 49, 10049}  # EADDRNOTAVAIL on Linux, macOS and Windows


def serve(
    settings: Settings,
    *,
    address: str = LOOPBACK,
    port: int,
    ready: Callable[[str], None],
) -> None:
    """Serve the app until Ctrl-C or SIGTERM.

    Args:
        settings: what to show.
        address: where to listen.
        port: a free one.
        ready: told the address of the first page, from another thread, when the app answers.

    Raises:
        MissingExtraError: Streamlit is not installed.
    """
    os.environ.update(settings.to_environ())
    try:
        from streamlit.web import bootstrap
    except ImportError as error:
        raise MissingExtraError(
            f"the explorer needs Streamlit: {error}", hint="pip install streamlit"
        ) from error
    script = str(Path(__file__).with_name("app.py"))
    flags = _flags(address, port, public=settings.public)
    bootstrap.load_config_options(flags)  # bootstrap.run does not put them in force itself
    shown = "127.0.0.1" if address == "0.0.0.0" else address
    url = f"http://{f'[{shown}]' if ':' in shown else shown}:{port}"
    threading.Thread(target=preload, args=(settings,), daemon=True).start()
    first = f"{url}/{settings.first_page}"
    threading.Thread(target=_tell_when_ready, args=(url, lambda: ready(first)), daemon=True).start()
    bootstrap.run(script, False, [], flags)


def _flags(address: str, port: int, *, public: bool) -> dict[str, Any]:
    return {
        "browser.gatherUsageStats": False,
        "browser.serverAddress": address,
        "client.showErrorDetails": "none" if public else "full",
        "client.showErrorLinks": False,
        "client.toolbarMode": "viewer",
        "global.developmentMode": False,
        "logger.hideWelcomeMessage": True,
        "logger.level": "error",
        "server.address": address,
        "server.enableAgentApi": False,
        "server.enableStaticServing": False,
        "server.fileWatcherType": "none",
        "server.headless": True,
        "server.port": port,
        "server.runOnSave": False,
        "server.showEmailPrompt": False,
        "theme.dark.primaryColor": "#4684cc",
        "theme.light.primaryColor": "#2f66ab",
    }


def _tell_when_ready(url: str, ready: Callable[[], None]) -> None:
    until = time.monotonic() + _READY_TIMEOUT_S
    # No proxy of the environment stands between this process and itself.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while time.monotonic() < until:
        with contextlib.suppress(OSError, urllib.error.URLError):
            with opener.open(f"{url}/_stcore/health", timeout=2):
                pass
            ready()
            return
        time.sleep(_POLL_S)
