"""A model's tokenizer as files in a folder: what is read of them, and how a folder of our own is kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock
from tokenizers import Tokenizer

from openthoughts_cli.errors import DataError, ModelError
from openthoughts_cli.places import cache_dir
from openthoughts_cli.store import as_storage_errors, directory_aside, read_object

__all__ = ["FILES", "TokenizerFiles", "kept_folder", "read_folder", "write_json"]

FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    "generation_config.json",
)
"""All that is read of a model here; only the first must exist."""

_SPECIAL_TOKENS = (
    "bos_token",
    "eos_token",
    "unk_token",
    "sep_token",
    "pad_token",
    "cls_token",
    "mask_token",
)


@dataclass(frozen=True, slots=True)
class TokenizerFiles:
    """What a folder says about a model's tokens."""

    folder: Path
    tokenizer: Tokenizer
    """Without truncation and padding, whatever the file asks for."""
    template: str | None
    """The Jinja source; None for a base model."""
    special_tokens: dict[str, str]
    """By role: "bos_token", "eos_token", ...; only those that are set."""
    eos_ids: tuple[int, ...]
    """The ids that generation_config.json names as ends."""


def read_folder(folder: Path, *, model: str) -> TokenizerFiles:
    """Read tokenizer, template and special tokens of `folder`.

    A chat_template.jinja wins over the template inside tokenizer_config.json, as in transformers.

    Raises:
        ModelError: tokenizer.json is absent or broken, or another file is not valid.
    """
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise ModelError(
            f"{model} has no tokenizer.json in {folder}",
            hint="make one with transformers: AutoTokenizer.from_pretrained(...).save_pretrained"
            "(folder), and give that folder",
        )
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises nothing narrower
        raise ModelError(
            f"{path} is not a tokenizer that the `tokenizers` library reads: {error}",
            hint="fetch or copy the file again",
        ) from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    config = _read_json(folder / "tokenizer_config.json")
    legacy = _read_json(folder / "special_tokens_map.json")
    eos = _read_json(folder / "generation_config.json").get("eos_token_id")
    return TokenizerFiles(
        folder=folder,
        tokenizer=tokenizer,
        template=_template(folder, config, model),
        special_tokens=_special_tokens({**legacy, **config}),
        eos_ids=tuple(i for i in (eos if isinstance(eos, list) else [eos]) if isinstance(i, int)),
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return read_object(path) or {}
    except DataError as error:
        raise ModelError(error.message, hint="fetch or copy the file again") from error


def _template(folder: Path, config: dict[str, Any], model: str) -> str | None:
    own = folder / "chat_template.jinja"
    if own.is_file():
        return own.read_text(encoding="utf-8")
    template = config.get("chat_template")
    if isinstance(template, list):  # several, by name
        named = {t["name"]: t["template"] for t in template}
        template = named.get("default")
        if template is None:
            raise ModelError(
                f"{model} has chat templates {sorted(named)} and none named 'default'",
                hint="copy its folder and put the one you want into chat_template.jinja",
            )
    return template or None


def _special_tokens(config: dict[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for role in _SPECIAL_TOKENS:
        value = config.get(role)
        text = value.get("content") if isinstance(value, dict) else value
        if isinstance(text, str) and text:
            found[role] = text
    return found


def kept_folder(name: str, fill: Callable[[Path], None]) -> Path:
    """`cache_dir()/tokenizers/<name>`, made once by `fill(empty folder)`.

    Two processes may ask at once: one makes it, the other waits. A folder that is there is whole.

    Raises:
        StorageError: the cache cannot be written. What `fill` raises passes through.
    """
    home = cache_dir() / "tokenizers"
    place = home / name
    if place.is_dir():
        return place
    with as_storage_errors(home):
        home.mkdir(parents=True, exist_ok=True)
    with FileLock(home / f".{name}.lock"):
        if not place.is_dir():
            with directory_aside(place, shared=True) as aside:
                fill(aside)
    return place


def write_json(path: Path, value: Any) -> None:
    """Write `value` as tokenizers writes its files: two blanks an indent, text not escaped."""
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False), encoding="utf-8")
