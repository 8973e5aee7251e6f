"""What the config models say about themselves: keys, types, defaults, examples, texts.

Completion, error messages, `ot config init` and docs/config.md are all made from here.
"""

from __future__ import annotations

import json
import re
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic.fields import FieldInfo

from openthoughts_cli.config.base import ConfigModel
from openthoughts_cli.config.engine import EngineConfig
from openthoughts_cli.config.eval import EvalConfig
from openthoughts_cli.config.subset import SubsetConfig
from openthoughts_cli.config.sweep import SweepConfig
from openthoughts_cli.config.train import TrainConfig

__all__ = [
    "KNOWN_BENCHMARKS",
    "NAME",
    "SHORT_KEYS",
    "VERBS",
    "Field",
    "annotation_at",
    "as_yaml",
    "choices_of",
    "default_of",
    "example_of",
    "expected_of",
    "inner_model",
    "mapping_model",
    "takes_scalar",
    "verb_of",
    "walk_fields",
]

VERBS: dict[str, type[ConfigModel]] = {
    "subset": SubsetConfig,
    "train": TrainConfig,
    "eval": EvalConfig,
    "sweep": SweepConfig,
}
"""The verbs that read a config, each with its model."""

KNOWN_BENCHMARKS = ("nll", "arithmetic", "aime25", "gpqa", "livecodebench")
"""The benchmarks' names, for completion (the evals room holds the benchmarks themselves)."""

SHORT_KEYS: dict[type[ConfigModel], str] = {EngineConfig: "kind"}
"""Models that may be written as one value, and the key which that value sets."""

NAME = "<name>"
"""Stands in a dotted key for the free name of a mapping's entry: `evals.<name>.every`."""


_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./@-]*\Z")
_NOT_TEXT = ("true", "false", "null")


@dataclass(frozen=True, slots=True)
class Field:
    """One key of a config: dotted, with what it takes and what it is for."""

    key: str
    expected: str
    default: str
    example: str
    text: str
    is_section: bool
    required: bool


def verb_of(model: type[ConfigModel]) -> str:
    """`TrainConfig` -> `train`; a model of no verb gives its class's name in lower case."""
    for verb, known in VERBS.items():
        if model is known:
            return verb
    return model.__name__.removesuffix("Config").lower()


def walk_fields(model: type[ConfigModel], prefix: str = "") -> Iterator[Field]:
    """All keys of a model, sections before their contents, in the order of the model."""
    for name, info in model.model_fields.items():
        key = f"{prefix}{name}"
        nested, entries = inner_model(info.annotation), mapping_model(info.annotation)
        yield Field(
            key=key,
            expected=expected_of(info.annotation, info.metadata),
            default="required" if info.is_required() else as_yaml(default_of(info)),
            example=example_of(info),
            text=" ".join((info.description or "").split()),
            is_section=nested is not None or entries is not None,
            required=info.is_required(),
        )
        if nested is not None:
            yield from walk_fields(nested, f"{key}.")
        if entries is not None:
            yield from walk_fields(entries, f"{key}.{NAME}.")


def default_of(info: FieldInfo) -> Any:
    """A field's default as JSON-like values; of nested models only what is set."""
    value = info.get_default(call_default_factory=True)
    if isinstance(value, ConfigModel):
        return value.model_dump(mode="json", exclude_unset=True)
    if isinstance(value, dict):
        return {
            name: item.model_dump(mode="json", exclude_unset=True)
            if isinstance(item, ConfigModel)
            else item
            for name, item in typing.cast("dict[str, Any]", value).items()
        }
    if isinstance(value, tuple):
        return list(typing.cast("tuple[Any, ...]", value))
    return str(value) if isinstance(value, Path) else value


def inner_model(annotation: Any) -> type[ConfigModel] | None:
    """The model that a field holds, if it holds one."""
    for branch in _branches(annotation):
        if isinstance(branch, type) and issubclass(branch, ConfigModel):
            return branch
    return None


def mapping_model(annotation: Any) -> type[ConfigModel] | None:
    """The model of the entries of a field that maps free names to models, if it does."""
    for branch in _branches(annotation):
        if typing.get_origin(branch) is dict:
            entry = typing.get_args(branch)[1]
            if isinstance(entry, type) and issubclass(entry, ConfigModel):
                return entry
    return None


def annotation_at(model: type[ConfigModel], path: tuple[str | int, ...]) -> FieldInfo | None:
    """The field that a key path names; None when the path leaves the model."""
    current: type[ConfigModel] | None = model
    info: FieldInfo | None = None
    steps = iter(path)
    for step in steps:
        if current is None or step not in current.model_fields:
            return None
        info = current.model_fields[str(step)]
        if (entries := mapping_model(info.annotation)) is not None:
            if next(steps, None) is None:
                return info
            current, info = entries, None
        else:
            current = inner_model(info.annotation)
    return info


def takes_scalar(annotation: Any, value: Any) -> bool:
    """Whether a field takes this single value without conversion; not asked of other values."""
    kinds: set[Any] = set()
    for branch in _branches(annotation):
        if typing.get_origin(branch) is Literal:
            kinds |= {type(choice) for choice in typing.get_args(branch)}
        elif typing.get_origin(branch) is tuple:
            # One name stands for a list of one.
            kinds |= set(_branches(typing.get_args(branch)[0]))
        else:
            kinds.add(typing.get_origin(branch) or branch)
    if Any in kinds or value is None or isinstance(value, (dict, list)):
        return True
    if isinstance(value, bool):
        return bool in kinds
    if isinstance(value, (int, float)):
        return bool not in kinds
    return bool(kinds & {str, Path})


def expected_of(annotation: Any, metadata: list[Any] | tuple[Any, ...] = ()) -> str:
    """What a field takes, in words: `a whole number, at least 1`."""
    words: list[str] = []
    for branch in _branches(annotation):
        word = _expected_branch(branch)
        if word and word not in words:
            words.append(word)
    return " or ".join(words) + "".join(f", {bound}" for bound in _bounds(metadata))


def choices_of(annotation: Any) -> list[str]:
    """The values of a field that takes only a few, as YAML; none where it takes others too."""
    choices: list[str] = []
    for branch in _branches(annotation):
        if typing.get_origin(branch) is Literal:
            choices += [as_yaml(choice) for choice in typing.get_args(branch)]
        elif branch is bool:
            choices += ["true", "false"]
    return choices


def example_of(info: FieldInfo) -> str:
    """A value that the field takes, as YAML: its default, or one made from its type."""
    if info.examples:
        return as_yaml(info.examples[0])
    if not info.is_required():
        default = default_of(info)
        if default is not None and default not in ([], {}):
            return as_yaml(default)
    for branch in _branches(info.annotation):
        origin = typing.get_origin(branch)
        if origin is Literal:
            return as_yaml(typing.get_args(branch)[0])
        if origin is tuple:
            return "[1]" if typing.get_args(branch)[0] is int else "[a, b]"
        if origin is dict:
            return "{name: {}}"
        by_type = {bool: "true", int: "16", float: "0.5", str: "my-name", Path: "some/folder"}
        if branch in by_type:
            return by_type[branch]
    return "..."


def as_yaml(value: Any) -> str:
    """A JSON-like value as one line of YAML: `null`, `1e-05`, `[a, b]`, text without quotes."""
    if isinstance(value, str) and _PLAIN.match(value) and value.lower() not in _NOT_TEXT:
        return value
    if isinstance(value, dict):
        inside = ", ".join(f"{key}: {as_yaml(item)}" for key, item in value.items())
        return "{" + inside + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(as_yaml(item) for item in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def _branches(annotation: Any) -> list[Any]:
    """The members of a union, None left out, `Annotated` opened."""
    if typing.get_origin(annotation) is typing.Annotated:
        return _branches(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return [
            inner
            for branch in typing.get_args(annotation)
            if branch is not type(None)
            for inner in _branches(branch)
        ]
    return [annotation]


def _expected_branch(branch: Any) -> str:
    origin = typing.get_origin(branch)
    if origin is Literal:
        choices = [as_yaml(choice) for choice in typing.get_args(branch)]
        return choices[0] if len(choices) == 1 else "one of " + ", ".join(choices)
    if origin is tuple:
        inner = {str: "names", int: "whole numbers", dict: "mappings"}
        item = typing.get_args(branch)[0]
        return "a list of " + inner.get(typing.get_origin(item) or item, "values")
    if origin is dict or (isinstance(branch, type) and issubclass(branch, ConfigModel)):
        return "a mapping"
    known = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
    return known.get(branch, "a path" if branch is Path else "any value")


def _bounds(metadata: list[Any] | tuple[Any, ...]) -> Iterator[str]:
    words = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    for item in metadata:
        for attribute, word in words.items():
            bound = getattr(item, attribute, None)
            if bound is not None:
                yield f"{word} {bound}"
