"""The Hugging Face hub, or the mirror that HF_ENDPOINT names: what every room needs of it.

    session.py    which hub, with or without a network, nothing drawn on the terminal
    patience.py   how often and how long a request is repeated, with the server's own wait
    cache.py      the layout of the hub's cache, which other programs share
    download.py   files fetched into it: resumed after cuts and kills, checked by digest
    upload.py     files sent in one commit, and the hub asked what it then holds

huggingface_hub is imported when a function is called. Its own `hf_hub_download` deletes a half
fetched file, gives up on a reset connection, and sleeps as long as a server says; see
docs/decisions/2026-11-24-own-downloads.md.
"""

from __future__ import annotations

from openthoughts_cli.hub.cache import RepoCache
from openthoughts_cli.hub.download import RemoteFile, fetch_files, look_up, read_range, read_tail
from openthoughts_cli.hub.patience import Patience, patiently
from openthoughts_cli.hub.session import (
    OFFLINE_VARIABLES,
    access_steps,
    endpoint,
    http_error,
    is_offline,
    quiet,
    refuse_offline,
    short_reason,
    why_unreachable,
)
from openthoughts_cli.hub.upload import Content, Repository, check_writer, content_size, writable

__all__ = [
    "OFFLINE_VARIABLES",
    "Content",
    "Patience",
    "RemoteFile",
    "RepoCache",
    "Repository",
    "access_steps",
    "check_writer",
    "content_size",
    "endpoint",
    "fetch_files",
    "http_error",
    "is_offline",
    "look_up",
    "patiently",
    "quiet",
    "read_range",
    "read_tail",
    "refuse_offline",
    "short_reason",
    "why_unreachable",
    "writable",
]
