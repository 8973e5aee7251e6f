"""What is wrong with a config, in a person's words: what was given, what is expected, an example."""

from __future__ import annotations

import math
import typing
from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from openthoughts_cli.config.base import ConfigModel
from openthoughts_cli.config.layers import dotted
from openthoughts_cli.config.schema import (
    VERBS,
    annotation_at,
    as_yaml,
    example_of,
    expected_of,
    inner_model,
    mapping_model,
    takes_scalar,
    verb_of,
    walk_fields,
)
from openthoughts_cli.config.yaml_file import KeyPath
from openthoughts_cli.words import close_to, did_you_mean

__all__ = ["explain_errors", "explain_lax_values", "explain_unknown_key"]

_MOST_LISTED_KEYS = 12
_OTHER_NAMES = {
    "train": {"lr": "learning_rate", "bs": "batch_size", "rank": "lora_rank", "r": "lora_rank",
              "benchmarks": "evals", "num_epochs": "epochs", "model_name": "model"},
    "eval": {"evals": "benchmarks", "model_name": "model"},
    "subset": {"sources": "source", "domains": "domain", "n": "limit", "output": "output_dir"},
}  # fmt: skip


def explain_errors(model: type[ConfigModel], error: ValidationError) -> dict[KeyPath, str]:
    """One sentence for each key that is wrong, in the order found.

    The empty path stands for the config as a whole.
    """
    explained: dict[KeyPath, str] = {}
    for item in error.errors(include_url=False):
        path = _key_path(model, item["loc"])
        if path in explained:
            continue  # the other branches of a union say the same thing
        kind = item["type"]
        if kind == "extra_forbidden":
            explained[path] = explain_unknown_key(model, path)
        elif kind == "missing":
            explained[path] = _explain_missing(model, path)
        elif kind == "value_error":
            explained[path] = str(item["ctx"]["error"]) if "ctx" in item else item["msg"]
        else:
            explained[path] = _explain_value(model, path, item["input"], item["msg"])
    return explained


def explain_lax_values(model: type[ConfigModel], values: dict[str, Any]) -> dict[KeyPath, str]:
    """What pydantic would convert and a person did not mean: `"32"` or `true` for a number.

    Its strict mode is no help: it refuses a list for a tuple behind a validator.
    """
    return dict(_lax_values(model, values, ()))


def _lax_values(
    model: type[ConfigModel], values: dict[str, Any], path: KeyPath
) -> Iterator[tuple[KeyPath, str]]:
    for name, value in values.items():
        info, here = model.model_fields.get(name), (*path, name)
        if info is None:
            continue
        nested, entries = inner_model(info.annotation), mapping_model(info.annotation)
        if isinstance(value, dict):
            if nested is not None:
                yield from _lax_values(nested, value, here)
            for key, item in value.items() if entries is not None else ():
                if entries is not None and isinstance(item, dict):
                    yield from _lax_values(entries, item, (*here, key))
            continue
        listed = isinstance(value, list) and _entry(info.annotation) is None
        items = list(enumerate(value)) if listed else []
        for where, item in [(here, value), *(((*here, i), item) for i, item in items)]:
            if nested is None and entries is None and not takes_scalar(info.annotation, item):
                yield where, _explain_value(model, where[len(path) :], item, "")


def explain_unknown_key(model: type[ConfigModel], path: KeyPath) -> str:
    """`unknown key; did you mean learning_rate?`, or where the key belongs."""
    verb, name = verb_of(model), str(path[-1])
    if "." in name and annotation_at(model, tuple(name.split("."))) is not None:
        *around_names, last = name.split(".")
        nested = "".join(f"{step}: {{" for step in around_names)
        return (
            f"unknown key; in a file it is nested: `{nested}{last}: ...{'}' * len(around_names)}`"
        )
    if name == "<<":
        return "merge keys are YAML 1.1; name the file to start from with `extends:`"
    around = path[:-1]
    if len(path) == 1:
        if (other := _OTHER_NAMES.get(verb, {}).get(name)) is not None:
            return f"unknown key; here it is called {other}"
        owners = [v for v, m in VERBS.items() if v != verb and name in m.model_fields]
        if owners:
            where = " and ".join(f"`ot {owner}`" for owner in owners)
            return f"unknown key; this key belongs to {where}"
    siblings = _names_beside(model, around)
    plain = name.lower().replace("-", "_")
    if close := close_to(plain, siblings, cutoff=0.7):
        return f"unknown key; did you mean {dotted((*around, close[0]))}?"
    keys = [field.key for field in walk_fields(model)]
    if deeper := [key for key in keys if key.rsplit(".", 1)[-1] == plain]:
        return f"unknown key; did you mean {deeper[0]}?"
    if len(siblings) > _MOST_LISTED_KEYS:
        return "unknown key, and no key is like it"
    return f"unknown key; the keys here are {', '.join(siblings)}"


def _names_beside(model: type[ConfigModel], around: KeyPath) -> list[str]:
    inside = _model_at(model, around)
    return list(inside.model_fields) if inside is not None else []


def _model_at(model: type[ConfigModel], path: KeyPath) -> type[ConfigModel] | None:
    if not path:
        return model
    if info := annotation_at(model, path):
        return inner_model(info.annotation)
    parent = annotation_at(model, path[:-1])
    return mapping_model(parent.annotation) if parent is not None else None


def _explain_missing(model: type[ConfigModel], path: KeyPath) -> str:
    info = annotation_at(model, path)
    if info is None:
        return "it is required"
    option = f"`--set {dotted(path)}={example_of(info)}`"
    expected = expected_of(info.annotation, info.metadata)
    return f"it is required ({expected}): write `{path[-1]}: {example_of(info)}` or give {option}"


def _explain_value(model: type[ConfigModel], path: KeyPath, given: Any, message: str) -> str:
    names = path[:-1] if path and isinstance(path[-1], int) else path
    info = annotation_at(model, names)
    if info is None and (entry := _entry_at(model, path)) is not None:
        expected = expected_of(entry)
        as_list = expected.startswith("a list") and not isinstance(given, (dict, list))
        remedy = f": write `{path[-1]}: [{as_yaml(given)}]`" if as_list else ""
        return f"expected {expected}, got {_shown(given)}{remedy}"
    if info is None:
        if _model_at(model, path) is not None:
            return f"expected a mapping of settings, got {_shown(given)}"
        return f"{message[0].lower()}{message[1:]}, got {_shown(given)}"
    expected, example = expected_of(info.annotation, info.metadata), example_of(info)
    if path and isinstance(path[-1], int):
        return f"expected {expected}, and item {path[-1] + 1} is {_shown(given)}"
    name = dotted(path).rsplit(".", 1)[-1]
    text = f"expected {expected}, got {_shown(given)}"
    if isinstance(given, str) and "number" in expected and _is_number(given):
        return f"{text}: leave out the quotes"
    if given is not None and not isinstance(given, (str, dict, list)) and expected == "text":
        return f'{text}: put it in quotes, `{name}: "{as_yaml(given)}"`'
    if isinstance(given, str) and "one of" in expected:
        choices = [word.strip() for word in expected.split("one of ", 1)[1].split(",")]
        if guess := did_you_mean(given, choices, ": did you mean {}?"):
            return text + guess
    return f"{text}; for example `{name}: {example}`"


def _entry(annotation: Any) -> Any:
    """What the values of a mapping of free keys are, where they are no sections; else None."""
    plain = typing.get_origin(annotation) is dict and mapping_model(annotation) is None
    return typing.get_args(annotation)[1] if plain else None


def _entry_at(model: type[ConfigModel], path: KeyPath) -> Any:
    around = annotation_at(model, path[:-1]) if path else None
    return None if around is None else _entry(around.annotation)


def _shown(value: Any) -> str:
    if value is None:
        return "nothing (null)"
    if isinstance(value, str):
        return f"the text {value[:60]!r}"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, (int, float)):
        return as_yaml(value)
    return "a mapping" if isinstance(value, dict) else "a list"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _key_path(model: type[ConfigModel], location: tuple[int | str, ...]) -> KeyPath:
    """The part of pydantic's location that names keys: tags of union branches are left out."""
    path: list[str | int] = []
    current: type[ConfigModel] | None = model
    entries: type[ConfigModel] | None = None
    free = plain = False
    for step in location:
        if plain:  # a mapping of free keys, whose values are no sections
            path.append(step)
            break
        if entries is not None:
            path.append(step)
            current, entries = entries, None
        elif current is not None:
            path.append(step)
            info = current.model_fields.get(str(step))
            if info is None:
                break
            entries, current = mapping_model(info.annotation), inner_model(info.annotation)
            free = entries is None and current is None
            plain = free and _entry(info.annotation) is not None
        elif free and isinstance(step, int):
            path.append(step)
            break
        elif not free:
            break
    return tuple(path)
