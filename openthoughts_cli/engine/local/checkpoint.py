"""What a trainer leaves on disk: sampler snapshots and states to resume from.

Both are folders that peft reads: adapter_config.json and adapter_model.safetensors. `ot.json`
beside them says by which name the model was asked for; a state adds the optimiser's moments.
Everything is JSON or safetensors, so opening a checkpoint runs no code.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from openthoughts_cli.engine.base import LoraSpec
from openthoughts_cli.errors import EngineError, ModelError
from openthoughts_cli.store import as_storage_errors, directory_aside

__all__ = ["SavedState", "read_sampler", "read_state", "write_sampler", "write_state"]

_FORMAT = 1
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_ADAPTER_FILE = "adapter_model.safetensors"
_OPTIMIZER_FILE = "optimizer.safetensors"
_ABOUT_FILE = "ot.json"

Tensors = Mapping[str, torch.Tensor]


@dataclass(frozen=True, slots=True)
class SavedState:
    """What a trainer is, besides the model."""

    model: str
    lora: LoraSpec
    adapter: dict[str, torch.Tensor]
    optimizer: dict[str, torch.Tensor]
    """By parameter: its two moments and, where it is not zero, its gradient so far."""
    steps: int


def write_sampler(store: Path, name: str, model: str, config: Any, adapter: Tensors) -> Path:
    """Save an adapter under samplers/<name>, in the place of an older one of that name.

    Raises:
        EngineError: the name cannot be a folder's.
        StorageError: it could not be written; an older one is as it was.
    """
    place = _place(store, "samplers", name)
    with directory_aside(place, replace=True) as aside:
        _write_adapter(aside, config, adapter)
        _write_about(aside, {"kind": "sampler", "model": model})
    return place


def write_state(store: Path, name: str, config: Any, state: SavedState) -> Path:
    """Save everything that training needs to go on, under states/<name>; raises the same."""
    place = _place(store, "states", name)
    with directory_aside(place, replace=True) as aside:
        _write_adapter(aside, config, state.adapter)
        _save(state.optimizer, aside / _OPTIMIZER_FILE)
        about = {"kind": "state", "model": state.model, "steps": state.steps}
        _write_about(aside, {**about, "lora": dataclasses.asdict(state.lora)})
    return place


def read_sampler(path: Path) -> tuple[str | None, dict[str, torch.Tensor]]:
    """The model's name, if our own record says it, and the adapter's weights.

    Any folder in peft's format is good.

    Raises:
        ModelError: there is no adapter at `path`.
    """
    about = _read_about(path) if (path / _ABOUT_FILE).is_file() else {}
    return about.get("model"), _load(path / _ADAPTER_FILE)


def read_state(path: Path) -> SavedState:
    """Raises `ModelError` when there is no state at `path`, or one of another format."""
    about = _read_about(path)
    if about.get("kind") != "state" or about.get("format") != _FORMAT:
        raise ModelError(
            f"{path} is not a training state of this version",
            hint="give a path that save_state returned; a sampler's weights have no optimiser",
        )
    return SavedState(
        model=about["model"],
        lora=LoraSpec(**about["lora"]),
        adapter=_load(path / _ADAPTER_FILE),
        optimizer=_load(path / _OPTIMIZER_FILE),
        steps=about["steps"],
    )


def _place(store: Path, kind: str, name: str) -> Path:
    if not _NAME.fullmatch(name):
        raise EngineError(
            f"a checkpoint cannot be called {name!r}",
            hint="use letters, digits, '.', '_' and '-', beginning with a letter or digit",
        )
    return store.resolve() / kind / name


def _write_adapter(folder: Path, config: Any, adapter: Tensors) -> None:
    _save(adapter, folder / _ADAPTER_FILE)
    settings = config.to_dict()
    settings["inference_mode"] = True
    settings["target_modules"] = sorted(config.target_modules)
    text = json.dumps(settings, indent=2, sort_keys=True, default=str)
    (folder / "adapter_config.json").write_text(text + "\n", encoding="utf-8")


def _write_about(folder: Path, about: Mapping[str, Any]) -> None:
    text = json.dumps({"format": _FORMAT, **about}, indent=2)
    (folder / _ABOUT_FILE).write_text(text + "\n", encoding="utf-8")


def _read_about(path: Path) -> dict[str, Any]:
    try:
        return json.loads((path / _ABOUT_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(
            f"there is no saved checkpoint at {path}: {error}",
            hint="choose another checkpoint; `ot runs show RUN` lists those of a run",
        ) from error


def _save(tensors: Tensors, file: Path) -> None:
    from safetensors.torch import save

    with as_storage_errors(file):
        file.write_bytes(save(dict(tensors), metadata={"format": "pt"}))


def _load(file: Path) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        return load(file.read_bytes())
    except (OSError, SafetensorError) as error:
        raise ModelError(
            f"there are no saved weights at {file}: {error}",
            hint="choose another checkpoint; `ot runs show RUN` lists those of a run",
        ) from error
