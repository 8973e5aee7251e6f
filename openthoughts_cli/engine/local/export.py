"""An adapter merged into its base model, as a folder that transformers loads without peft."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import torch

from openthoughts_cli.engine.local.fetch import locate
from openthoughts_cli.engine.local.weights import read_adapter_config
from openthoughts_cli.errors import ModelError
from openthoughts_cli.events import Listener, StageDone, StageStarted, silent

__all__ = ["write_merged"]


def write_merged(
    model: str, adapter: Path, folder: Path, *, listener: Listener = silent
) -> dict[str, Any]:
    """Merge the adapter in `adapter` into `model` and save the whole under `folder`.

    Added up in float32 and stored in the precision that the base model is stored in, as its
    config.json says: rounding to bfloat16 may cost a small adapter some of its effect.

    Returns:
        What the base was, for the record: `reference`, `revision`, `dtype`.

    Raises:
        ModelError: the base does not load, or the adapter is not of it.
    """
    import peft
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    source = locate(model, listener)
    read_adapter_config(adapter)
    logging.disable_progress_bar()
    stage = "merging the adapter into its base model"
    listener(StageStarted(stage))
    try:
        base: Any = AutoModelForCausalLM.from_pretrained(
            source.folder,
            dtype=torch.float32,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
        )
        stored = _stored_dtype(source.folder)
        with warnings.catch_warnings():
            # peft asks the model by a name that transformers is about to retire.
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
            adapted: Any = peft.PeftModel.from_pretrained(base, str(adapter))
            merged: Any = adapted.merge_and_unload(safe_merge=True)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(
            f"{adapter} cannot be merged into {model}: {first}",
            hint="the base must be the model that it was trained on",
        ) from error
    merged.to(stored).save_pretrained(folder, safe_serialization=True)
    size = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    listener(StageDone(stage, f"{size / 1e6:,.0f} MB"))
    return {
        "reference": source.reference,
        "revision": source.revision,
        "dtype": str(stored).removeprefix("torch."),
    }


def _stored_dtype(folder: Path) -> torch.dtype:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    name = config.get("dtype") or config.get("torch_dtype") or "float32"
    found = getattr(torch, str(name), None)
    return found if isinstance(found, torch.dtype) else torch.float32
