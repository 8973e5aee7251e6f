"""Crash files: the traceback of a bug, kept for a report, with secrets taken out."""

from __future__ import annotations

import datetime
import os
import platform
import re
import shlex
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path

from openthoughts_cli.places import cache_dir

__all__ = ["crashes_dir", "redact", "write_crash_file"]

_SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASSWORD", re.IGNORECASE)
_SECRET_FORM = re.compile(r"\b(?:tml-|hf_|sk-|wandb_v1_)[A-Za-z0-9_\-]{6,}|\b[0-9a-f]{40}\b")
_SHORTEST_SECRET = 6


def crashes_dir() -> Path:
    """The directory of crash files."""
    return cache_dir() / "crashes"


def redact(text: str, environ: Mapping[str, str] | None = None) -> str:
    """Take secrets out of `text`: values of variables named like one, and what looks like one."""
    for name, value in (os.environ if environ is None else environ).items():
        if len(value) >= _SHORTEST_SECRET and _SECRET_NAME.search(name):
            text = text.replace(value, f"<{name}>")
    return _SECRET_FORM.sub("<secret>", text)


def write_crash_file(error: BaseException, args: list[str]) -> str:
    """Write the traceback of `error` and return the file's path, or why there is none."""
    now = datetime.datetime.now(datetime.UTC)
    lines = [
        f"time: {now.isoformat(timespec='seconds')}",
        f"command: ot {shlex.join(args)}",
        f"python: {sys.version}",
        f"platform: {platform.platform()}",
        "",
        *traceback.format_exception(error),
    ]
    path = crashes_dir() / f"{now:%Y%m%d-%H%M%S}-{os.getpid()}.txt"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(redact("\n".join(lines)), encoding="utf-8")
    except OSError as problem:
        return f"no file, since {path.parent} cannot be written ({problem.strerror})"
    return str(path)
