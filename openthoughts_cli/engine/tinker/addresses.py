"""Which Tinker servers a person has named: only those are sent the key.

A run's record holds the address it was trained at, and a run may come from somebody else. So an
address that was read from a record is used only where the person has named it too: now, by
`TINKER_BASE_URL`, an option or a config, or on an earlier day. Those of earlier days are lines of a
private file; an address gets there once its server has answered, and nowhere else from.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import stat
from datetime import UTC, datetime
from pathlib import Path

from openthoughts_cli.config.engine import EngineConfig
from openthoughts_cli.errors import StorageError, UsageError
from openthoughts_cli.places import state_dir
from openthoughts_cli.store import append_line, read_lines

__all__ = ["refuse_foreign", "remember"]


def refuse_foreign(engine: EngineConfig, run: str) -> None:
    """That the server which a run's record names may be sent this person's key.

    Args:
        engine: as the record has it.
        run: the run's name, for the message.

    Raises:
        UsageError: nobody here has named that server.
    """
    if engine.kind == "local" or not engine.base_url or _is_own(engine.base_url):
        return
    address = shlex.quote(engine.base_url)
    raise UsageError(
        f"{run} names a Tinker server that you have not named yet, {engine.base_url}, and your key "
        "would be sent there",
        hint=f"if you trust that server, name it: TINKER_BASE_URL={address} before the command "
        f"(ot train and ot eval also take --base-url {address})",
    )


def remember(address: str) -> None:
    """Note that this person works with the server at `address`; where nothing can be noted, it is
    asked for again."""
    if _is_own(address, now=False):
        return
    stamp = datetime.now(UTC).isoformat(timespec="seconds")
    with contextlib.suppress(StorageError):
        append_line(_file(), {"address": _plain(address), "time": stamp})


def _is_own(address: str, *, now: bool = True) -> bool:
    """Whether it is the service, or was named before, or with `now` is named by the environment."""
    from tinker.lib.base_url import DEFAULT_BASE_URL, resolve_base_url

    known = {DEFAULT_BASE_URL, *_remembered()}
    if now:
        known.add(_plain(resolve_base_url()))
    return _plain(address) in known


def _plain(address: str) -> str:
    return address.rstrip("/")


def _file() -> Path:
    return state_dir() / "tinker-servers.jsonl"


def _remembered() -> list[str]:
    """The addresses in the file, if nobody else can have written it."""
    try:
        status = _file().stat()
    except OSError:
        return []
    owner = getattr(os, "geteuid", lambda: status.st_uid)()
    if status.st_uid != owner or stat.S_IMODE(status.st_mode) & 0o022:
        return []
    with contextlib.suppress(StorageError):
        return [str(line.get("address")) for line in read_lines(_file())]
    return []
