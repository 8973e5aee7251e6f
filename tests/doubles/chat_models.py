"""Small tokenizer folders of every template family, built by code: a byte-level BPE of a few merges.

The templates are our own, written after the shape of the published ones.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from openthoughts_cli.chat.bytelevel import byte_level, byte_symbols

__all__ = [
    "CHATML",
    "LLAMA3",
    "QWEN35",
    "QWEN3_HYBRID",
    "SMOLLM2",
    "TEMPLATES",
    "chatml_folder",
    "llama3_folder",
    "write_folder",
]

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)

SMOLLM2 = (
    "{% for m in messages %}"
    "{% if loop.first and m['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a test.<|im_end|>\n' }}{% endif %}"
    "{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)

# Cuts the thinking out of earlier assistant turns and re-spaces the last one.
QWEN3_HYBRID = """\
{%- set ns = namespace(last_query=messages|length - 1) %}
{%- for m in messages[::-1] %}
    {%- if m.role == 'user' %}
        {%- set ns.last_query = (messages|length - 1) - loop.index0 %}
        {%- break %}
    {%- endif %}
{%- endfor %}
{%- for m in messages %}
    {%- if m.role == 'assistant' %}
        {%- set answer = m.content.split('</think>')[-1].lstrip('\\n') %}
        {%- if loop.index0 > ns.last_query and '</think>' in m.content %}
            {%- set thought = m.content.split('</think>')[0].split('<think>')[-1].strip('\\n') %}
            {{- '<|im_start|>assistant\\n<think>\\n' + thought + '\\n</think>\\n\\n' + answer }}
        {%- else %}
            {{- '<|im_start|>assistant\\n' + answer }}
        {%- endif %}
        {{- '<|im_end|>\\n' }}
    {%- else %}
        {{- '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}
"""

QWEN35 = QWEN3_HYBRID.replace(
    "</think>\\n\\n' }}\n    {%- endif %}\n{%- endif %}",
    "</think>\\n\\n' }}\n    {%- else %}\n        {{- '<think>\\n' }}\n    {%- endif %}\n{%- endif %}",
)

LLAMA3 = """\
{{- bos_token }}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}
        {%- set date_string = strftime_now("%d %b %Y") %}
    {%- else %}
        {%- set date_string = "26 Jul 2024" %}
    {%- endif %}
{%- endif %}
{%- if messages[0]['role'] == 'system' %}
    {{- raise_exception('no system prompt here') }}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{{- "Today Date: " + date_string + "\\n\\n<|eot_id|>" }}
{%- for m in messages %}
    {{- '<|start_header_id|>' + m['role'] + '<|end_header_id|>\\n\\n' }}
    {%- generation %}{{- m['content'] | trim + '<|eot_id|>' }}{%- endgeneration %}
{%- endfor %}
{%- if tools is not none %}{{- tools | tojson }}{%- endif %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
"""

TEMPLATES = {
    "chatml": CHATML,
    "smollm2": SMOLLM2,
    "qwen3-hybrid": QWEN3_HYBRID,
    "qwen3.5": QWEN35,
    "llama3": LLAMA3,
}

_CHATML_TOKENS = {
    "<|endoftext|>": True,
    "<|im_start|>": True,
    "<|im_end|>": True,
    "<tool_call>": False,
    "<think>": False,
    "</think>": False,
}
_LLAMA3_TOKENS = {
    "<|begin_of_text|>": True,
    "<|end_of_text|>": True,
    "<|start_header_id|>": True,
    "<|end_header_id|>": True,
    "<|eot_id|>": True,
    "<|eom_id|>": True,
}
_MERGES = ["h e", "l l", "he ll", "hell o", "Ġ w", "Ċ Ċ", "i n", "t h"]


def write_folder(
    folder: Path,
    *,
    added: dict[str, bool],
    config: dict[str, Any],
    template: str | None = None,
    adds_bos: str | None = None,
    truncation: bool = False,
) -> Path:
    """A model folder: 256 bytes and a few merges as vocabulary, then the added tokens (-> special)."""
    folder.mkdir(parents=True, exist_ok=True)
    symbols = [*byte_symbols(), *(merge.replace(" ", "") for merge in _MERGES)]
    ids = {content: len(symbols) + i for i, content in enumerate(added)}
    plain = byte_level(add_prefix_space=False, trim_offsets=True, use_regex=True)
    after: dict[str, Any] | None = None
    if adds_bos is not None:
        after = {
            "type": "TemplateProcessing",
            "single": [
                {"SpecialToken": {"id": adds_bos, "type_id": 0}},
                {"Sequence": {"id": "A", "type_id": 0}},
            ],
            "pair": [
                {"Sequence": {"id": "A", "type_id": 0}},
                {"Sequence": {"id": "B", "type_id": 1}},
            ],
            "special_tokens": {
                adds_bos: {"id": adds_bos, "ids": [ids[adds_bos]], "tokens": [adds_bos]}
            },
        }
    limit = {"max_length": 4, "strategy": "LongestFirst", "stride": 0, "direction": "Right"}
    tokenizer = {
        "version": "1.0",
        "truncation": limit if truncation else None,
        "padding": None,
        "added_tokens": [
            {
                "id": ids[content],
                "content": content,
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": special,
            }
            for content, special in added.items()
        ],
        "normalizer": None,
        "pre_tokenizer": plain,
        "post_processor": after,
        "decoder": plain,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {symbol: i for i, symbol in enumerate(symbols)},
            "merges": [merge.split(" ") for merge in _MERGES],
        },
    }
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", **config}
    if template is not None:
        settings["chat_template"] = template
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return folder


def chatml_folder(folder: Path, template: str | None = CHATML, **more: Any) -> Path:
    """A folder of the ChatML family (Qwen, SmolLM2); end of turn `<|im_end|>`."""
    config = {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>", **more}
    return write_folder(folder, added=_CHATML_TOKENS, config=config, template=template)


def llama3_folder(folder: Path, template: str | None = LLAMA3) -> Path:
    """A folder of the Llama 3 family, whose tokenizer itself would add a BOS."""
    return write_folder(
        folder,
        added=_LLAMA3_TOKENS,
        config={
            "bos_token": {"content": "<|begin_of_text|>", "__type": "AddedToken"},
            "eos_token": "<|eot_id|>",
        },
        template=template,
        adds_bos="<|begin_of_text|>",
    )
