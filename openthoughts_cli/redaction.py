"""Secrets taken out of text that leaves this process: error lines, crash files, run records."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

__all__ = ["redact"]

_SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASSWORD", re.IGNORECASE)
_SECRET_FORM = re.compile(
    r"\b(?:tml-|hf_|sk-|wandb_v1_)[A-Za-z0-9_\-]{6,}"
    r"|\beyJ[\w\-]{4,}(?:\.[\w\-]+)*"  # a JSON web token
    r"|\b[0-9a-f]{40}\b"  # a W&B key (and a git commit, which nobody misses here)
)
_USERINFO = re.compile(r"(?<=://)[^/\s@]+(?=@)")
_SHORTEST_SECRET = 6


def redact(text: str, environ: Mapping[str, str] | None = None) -> str:
    """Take secrets out of `text`: values of variables named like one, what looks like one, and the
    user and password of an address."""
    for name, value in (os.environ if environ is None else environ).items():
        if len(value) >= _SHORTEST_SECRET and _SECRET_NAME.search(name):
            text = text.replace(value, f"<{name}>")
    return _USERINFO.sub("<secret>", _SECRET_FORM.sub("<secret>", text))
