"""One base model in memory, and the adapters that are switched onto it.

Trainers and samplers share the frozen base; each has an adapter of its own name on it. Everything
here runs while holding the turn of `lanes.Turns`, so that nobody switches under a computation.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import warnings
from collections import deque
from collections.abc import Generator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from openthoughts_cli.config.engine import EngineConfig
from openthoughts_cli.engine.base import LoraSpec
from openthoughts_cli.engine.local.fetch import Source, info_of
from openthoughts_cli.engine.local.targets import find_layers, find_targets
from openthoughts_cli.errors import ConfigError, ModelError

__all__ = [
    "LORA_ALPHA",
    "Base",
    "choose_device",
    "choose_dtype",
    "load_base",
    "lora_config",
    "read_adapter_config",
]

LORA_ALPHA = 32
"""The scale of an adapter is alpha / rank (docs/decisions/2026-11-24-local-lora.md)."""

_UNKNOWN = "?"


class Base:
    """A frozen causal language model; at most one adapter is switched on at a time."""

    def __init__(self, name: str, source: Source, model: Any) -> None:
        self.source = source
        self.model: Any = model
        self.device: torch.device = model.device
        text = model.config.get_text_config()
        self.vocab_size: int = text.vocab_size
        self.info = info_of(name, text.to_dict())
        self.layers = find_layers(model)
        self.head_is_plain = _head_is_plain(model)
        self._peft: Any = None
        self._active: str | None = None
        self._names = itertools.count(1)
        self._discarded: deque[str] = deque()

    def features(self, tokens: torch.Tensor) -> torch.Tensor:
        """What `logits` reads, [rows, width, size], of token ids [rows, width] padded on the right.

        No mask is needed: a token never sees those after it.
        """
        if self.head_is_plain:
            return self.model.base_model(input_ids=tokens, use_cache=False).last_hidden_state
        return self.model(input_ids=tokens, use_cache=False).logits

    def logits(self, features: torch.Tensor) -> torch.Tensor:
        """Scores of the whole vocabulary in float32, [positions, vocabulary]."""
        if self.head_is_plain:
            features = self.model.get_output_embeddings()(features)
        return features.float()

    def add_adapter(self, config: Any, *, seed: int) -> str:
        """A fresh adapter; the same seed gives the same first weights. Returns its name."""
        import peft

        name = f"adapter{next(self._names)}"
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices), warnings.catch_warnings():
            # peft asks the model by a name that transformers is about to retire.
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
            torch.manual_seed(seed)
            if self._peft is None:
                self._peft = peft.PeftModel(self.model, config, adapter_name=name)
            else:
                self._peft.add_adapter(name, config)
        self._active = _UNKNOWN
        return name

    def discard_adapter(self, name: str) -> None:
        """Free an adapter at the next switch. May be called from any thread, at any time."""
        self._discarded.append(name)

    def _remove_discarded(self) -> None:
        while self._discarded:
            name = self._discarded.popleft()
            others = [other for other in self._peft.peft_config if other != name]
            if others:  # peft warns when the active one goes
                self._peft.set_adapter(others[0])
            self._peft.delete_adapter(name)
            self._active = _UNKNOWN

    def activate(self, name: str | None) -> None:
        """Switch on this adapter alone, or none for the base model itself."""
        self._remove_discarded()
        if self._peft is None or name == self._active:
            return
        if name is None:
            self._peft.base_model.disable_adapter_layers()
        else:
            self._peft.base_model.enable_adapter_layers()
            self._peft.set_adapter(name)
        self._active = name

    def parameters(self, name: str) -> dict[str, nn.Parameter]:
        """The float32 weights of an adapter by path (without its name), in the model's order."""
        return {
            path.replace(f".{name}.", "."): parameter
            for path, parameter in self.model.named_parameters()
            if f".{name}." in path
        }

    def adapter_weights(self, name: str) -> dict[str, torch.Tensor]:
        """The same by the names that peft gives them in files."""
        from peft import get_peft_model_state_dict

        state = get_peft_model_state_dict(
            self._peft, adapter_name=name, save_embedding_layers=False
        )
        return {key: value.detach().to("cpu").contiguous() for key, value in state.items()}

    def set_adapter_weights(self, name: str, weights: dict[str, torch.Tensor]) -> None:
        from peft import set_peft_model_state_dict

        outcome = set_peft_model_state_dict(self._peft, weights, adapter_name=name)
        if outcome.unexpected_keys:
            raise ModelError(
                f"the saved adapter has weights that {self.info.name} has no place for, "
                f"such as {outcome.unexpected_keys[0]}",
                hint="open it with the model it was trained on",
            )

    def adapter_config(self, name: str) -> Any:
        return self._peft.peft_config[name]

    @contextlib.contextmanager
    def recomputed_activations(self, on: bool) -> Generator[None]:
        """Keep only each layer's input for the backward pass, where the model can do so.

        The layers alone are told that they train: their parts stay in evaluation mode, without
        dropout.
        """
        from torch.utils.checkpoint import checkpoint
        from transformers.modeling_layers import GradientCheckpointingLayer

        layers = [m for m in self.model.modules() if isinstance(m, GradientCheckpointingLayer)]
        if not on or not layers:
            yield
            return
        # Set on the layers themselves: the model's own switch changed its name in transformers 5.
        recompute: Any = functools.partial(checkpoint, use_reentrant=False)
        for layer in layers:
            layer.gradient_checkpointing = layer.training = True
            layer._gradient_checkpointing_func = recompute  # pyright: ignore[reportPrivateUsage]
        try:
            yield
        finally:
            for layer in layers:
                layer.gradient_checkpointing = layer.training = False


def lora_config(base: Base, spec: LoraSpec) -> tuple[Any, tuple[str, ...]]:
    """peft's settings for `spec` on this model, and what is left out, one sentence each."""
    import peft

    targets = find_targets(base.layers, spec)
    config = peft.LoraConfig(
        r=spec.rank,
        lora_alpha=LORA_ALPHA,
        lora_dropout=0.0,
        bias="none",
        target_modules=list(targets.names),
        task_type="CAUSAL_LM",
        base_model_name_or_path=base.source.reference,
        revision=base.source.revision,
    )
    return config, targets.left_out


def choose_device(config: EngineConfig) -> torch.device:
    """Raises `ConfigError` when a GPU is asked for and none is there."""
    has_gpu = torch.cuda.is_available()
    if config.device == "cuda" and not has_gpu:
        raise ConfigError(
            "engine.device is cuda and torch sees no GPU",
            hint="set engine.device to cpu or auto, or install a torch build for your GPU",
        )
    return torch.device("cuda:0" if has_gpu and config.device != "cpu" else "cpu")


def choose_dtype(config: EngineConfig, device: torch.device) -> torch.dtype:
    """`auto` is bfloat16 where the hardware multiplies it, else float32.

    A CPU without such instructions emulates it: measured 9 times slower than float32.
    """
    if config.dtype != "auto":
        return torch.bfloat16 if config.dtype == "bfloat16" else torch.float32
    if device.type == "cuda":
        return torch.bfloat16
    abilities = getattr(torch.cpu, "get_capabilities", dict[str, Any])()
    fast = abilities.get("amx_bf16") or abilities.get("avx512_bf16")
    return torch.bfloat16 if fast else torch.float32


def load_base(name: str, source: Source, config: EngineConfig) -> Base:
    """Read a model into memory, frozen and in evaluation mode.

    Raises:
        ModelError: the folder does not hold a causal language model that transformers knows.
    """
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    device = choose_device(config)
    logging.disable_progress_bar()
    try:
        model = AutoModelForCausalLM.from_pretrained(
            source.folder,
            dtype=choose_dtype(config, device),
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,  # unset, transformers would ask at a terminal
        )
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise ModelError(
            f"{source.folder} does not load as a causal language model: {_first_line(error)}",
            hint="it needs config.json of an architecture that transformers knows, and "
            "safetensors weights that belong to it",
        ) from error
    model.requires_grad_(False)
    return Base(name, source, model.eval().to(device))  # pyright: ignore[reportArgumentType]


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _head_is_plain(model: Any) -> bool:
    """Whether the logits are the output layer's product with the last hidden states, no more.

    Some models scale or cap them afterwards; their own forward is then used, at a cost in memory.
    """
    head = model.get_output_embeddings()
    if head is None:
        return False
    tokens = torch.arange(4, device=model.device)[None] + 1
    with torch.no_grad():
        whole = model(input_ids=tokens, use_cache=False).logits
        hidden = model.base_model(input_ids=tokens, use_cache=False).last_hidden_state
        return bool(torch.allclose(whole.float(), head(hidden).float(), rtol=1e-3, atol=1e-3))


def read_adapter_config(folder: Path) -> Any:
    """The peft settings of a saved adapter.

    Raises:
        ModelError: the folder holds no adapter that peft reads.
    """
    import peft

    try:
        return peft.PeftConfig.from_pretrained(str(folder))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{folder} holds no saved adapter: {_first_line(error)}",
            hint="choose another checkpoint; `ot runs show RUN` lists those of a run",
        ) from error
