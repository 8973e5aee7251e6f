"""A tiny random Llama on disk: a real model for the local engine, made in a moment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

__all__ = ["CONTEXT_TOKENS", "VOCAB_SIZE", "save_tiny_llama"]

VOCAB_SIZE = 300
CONTEXT_TOKENS = 64


def save_tiny_llama(folder: Path, *, seed: int = 0, **settings: Any) -> Path:
    """A LlamaForCausalLM with weights large enough to have opinions; `settings` go to its config."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    whole: dict[str, Any] = {
        "vocab_size": VOCAB_SIZE,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": CONTEXT_TOKENS,
        "initializer_range": 0.2,
        "tie_word_embeddings": True,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 2,
        **settings,
    }
    config = LlamaConfig(**whole)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
    model.save_pretrained(folder)
    return folder
