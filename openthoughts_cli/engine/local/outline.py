"""What a model's weights are called and how large they are, without the weights.

Translating an adapter needs the names in a model's safetensors, which stand in the first kilobytes
of each file. A model that is not on this machine is outlined: the same folder, its headers real and
the rest of each file a hole that takes no room.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

from openthoughts_cli import hub
from openthoughts_cli.engine.local.fetch import config_folder, whole_folder
from openthoughts_cli.errors import IntegrityError, ModelError
from openthoughts_cli.events import Listener, StageDone, StageStarted
from openthoughts_cli.store import as_storage_errors

__all__ = ["outline"]

_LENGTH_BYTES = 8
_GUESS_BYTES = 1 << 18
_MOST_HEADER_BYTES = 100_000_000  # safetensors' own limit


def outline(model: str, into: Path, listener: Listener) -> Path:
    """A folder with config.json and safetensors by whose headers the weights' names can be read.

    Args:
        model: a local folder, or a hub id.
        into: where an outline is made, if the whole model is not on this machine; must not exist.

    Raises:
        ModelError: no such model, or one without safetensors.
        NetworkError: the hub cannot be reached, or serves no ranges.
        IntegrityError: a file that does not begin as safetensors do.
    """
    if (folder := whole_folder(model)) is not None:
        return folder
    config = config_folder(model)
    stage = f"reading the outline of {model}"
    files = _weights_of(model)
    listener(StageStarted(stage, total=len(files), unit="files"))
    with as_storage_errors(into):
        into.mkdir(parents=True)
        (into / "config.json").write_bytes((config / "config.json").read_bytes())
    read = sum(_outline_file(file, into) for file in files)
    whole = sum(file.size for file in files)
    listener(StageDone(stage, f"{read / 1e6:,.1f} MB of {whole / 1e6:,.0f} MB"))
    return into


def _weights_of(model: str) -> list[hub.RemoteFile]:
    from huggingface_hub import HfApi

    api: Any = HfApi(endpoint=hub.endpoint())
    info = hub.patiently(
        lambda: api.model_info(model, files_metadata=True, timeout=10.0), f"asking for {model}"
    )
    found = [
        hub.RemoteFile(
            model, f.rfilename, info.sha, f.size, f.lfs.sha256 if f.lfs else f.blob_id, "model"
        )
        for f in info.siblings or ()
        if f.rfilename.endswith(".safetensors") and "/" not in f.rfilename
    ]
    if not found:
        raise ModelError(
            f"{model} has no safetensors weights on the hub",
            hint="convert it once with transformers: model.save_pretrained(folder)",
        )
    return found


def _outline_file(file: hub.RemoteFile, into: Path) -> int:
    """Write the head of `file` and a hole for the rest; returns the bytes that were fetched."""
    head = hub.read_range(file, 0, min(_GUESS_BYTES, file.size), what="the header")
    length = struct.unpack("<Q", head[:_LENGTH_BYTES])[0] if len(head) > _LENGTH_BYTES else 0
    if not 0 < length <= min(_MOST_HEADER_BYTES, file.size - _LENGTH_BYTES):
        raise IntegrityError(
            f"{file.path} of {file.repo} is not a safetensors file",
            hint="its weights on the hub are damaged: check the model, or choose another",
        )
    missing = _LENGTH_BYTES + length - len(head)
    if missing > 0:
        head += hub.read_range(file, len(head), missing, what="the header")
    with as_storage_errors(into), (into / file.path).open("wb") as place:
        place.write(head[: _LENGTH_BYTES + length])
        place.truncate(file.size)
    return len(head)
