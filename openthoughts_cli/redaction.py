"""Secrets taken out of text that leaves this process: error lines, crash files, run records."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from urllib.parse import quote

__all__ = ["redact", "without_secrets"]

_SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASSW|PASSPHRASE|CREDENTIAL", re.IGNORECASE)
# A setting such as OT_SUBSET__TOKENIZER or OT_TRAIN__CURRICULUM_KEY; no config key holds a secret.
_SETTING = re.compile(r"OT_(?:SUBSET|TRAIN|EVAL|SWEEP)__|.*TOKENIZER(?:S_PARALLELISM)?$")
_SECRET_FORM = re.compile(
    r"\b(?:tml-|hf_|sk-|wandb_v1_)[A-Za-z0-9_\-]{6,}"
    r"|\beyJ[\w\-]{4,}(?:\.[\w\-]+)*"  # a JSON web token
    r"|(?<![\w@/])[0-9a-f]{40}\b"  # a W&B key; a git commit stands behind "@" or "/"
)
_USERINFO = re.compile(r"(?<=://)[^/\s]+(?=@)")
_IN_QUERY = re.compile(
    r"(?<=[?&])((?:[\w\-]*(?:token|key|secret|password|signature|sig|credential))=)[^&\s\"'<>]+",
    re.IGNORECASE,
)
_HEADER = re.compile(r"\b((?:bearer|basic)\s+)[\w\-.~+/=]{6,}", re.IGNORECASE)
_SHORTEST_SECRET = 6
_HARMLESS = re.compile(r"true|false|enabled|disabled|\d{1,6}", re.IGNORECASE)


def redact(text: str, environ: Mapping[str, str] | None = None) -> str:
    """Take secrets out of `text`.

    Taken out are: values of variables named like a secret, as they are and as they stand in a URL
    or in JSON; what has the form of a known kind of key; the user and password of an address; the
    secret parameters of its query; and what follows `Bearer` or `Basic`.
    """
    for form, name in _known_secrets(os.environ if environ is None else environ):
        text = text.replace(form, f"<{name}>")
    text = _USERINFO.sub("<secret>", _SECRET_FORM.sub("<secret>", text))
    return _HEADER.sub(r"\1<secret>", _IN_QUERY.sub(r"\1<secret>", text))


def without_secrets(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment for a program that needs none of our keys: a pager, pip."""
    given = os.environ if environ is None else environ
    return {name: value for name, value in given.items() if not _holds_a_secret(name)}


def _holds_a_secret(name: str) -> bool:
    return _SECRET_NAME.search(name) is not None and _SETTING.match(name) is None


def _known_secrets(environ: Mapping[str, str]) -> list[tuple[str, str]]:
    """Each form of each secret value with its variable; the longest first, since one may hold another."""
    found = {
        form: name
        for name, value in environ.items()
        if len(value) >= _SHORTEST_SECRET
        and _holds_a_secret(name)
        and not _HARMLESS.fullmatch(value)
        for form in _forms(value)
    }
    return sorted(found.items(), key=lambda entry: -len(entry[0]))


def _forms(value: str) -> Iterator[str]:
    yield value
    yield quote(value, safe="", errors="replace")
    yield quote(value, errors="replace")
    yield json.dumps(value)[1:-1]
