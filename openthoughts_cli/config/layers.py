"""Values of one config from several places, put over each other, each with its origin.

A mapping merges key by key; a list or a single value replaces what was below. A value given to a
dotted key (`--set`, the environment, an option) replaces exactly that key.
"""

from __future__ import annotations

import typing
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from openthoughts_cli.config.base import ConfigModel
from openthoughts_cli.config.schema import (
    SHORT_KEYS,
    annotation_at,
    default_of,
    inner_model,
    mapping_model,
)
from openthoughts_cli.config.yaml_file import KeyPath

__all__ = ["Layers", "Origin", "dotted"]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value comes from.

    `where` is `file:line:column`, an option such as `--limit`, `--set key=value`, or the name of an
    environment variable; empty for a default.
    """

    kind: Literal["default", "file", "environment", "option", "set"]
    where: str = ""

    def __str__(self) -> str:
        return self.where or self.kind


@dataclass(slots=True)
class Layers:
    """The values so far, and the origin of each key that was given."""

    model: type[ConfigModel]
    values: dict[str, Any] = field(default_factory=dict[str, Any])
    origins: dict[KeyPath, Origin] = field(default_factory=dict["KeyPath", "Origin"])

    def merge(self, values: dict[str, Any], origin: Callable[[KeyPath], Origin]) -> None:
        """Put the mapping of a file over what is there, key by key."""
        self._merge(self.values, values, (), origin)

    def set(self, path: KeyPath, value: Any, origin: Origin) -> None:
        """Give one dotted key exactly this value; what lay below the key is gone.

        Defaults that the key reaches into (`evals.nll.every`) are filled in first. A short form
        (`engine=local`) sets the key it is short for and leaves its neighbours.
        """
        self._fill_defaults(path)
        inner = self._model_at(path)
        if inner in SHORT_KEYS and not isinstance(value, dict):
            path = (*path, SHORT_KEYS[inner])
        elif inner is None or not isinstance(value, dict):
            self._forget(path)
        target = self.values
        for depth, step in enumerate(path[:-1], start=1):
            below = target.get(str(step))
            if not isinstance(below, dict):
                below = target[str(step)] = {}
                self.origins[path[:depth]] = origin
            target = typing.cast("dict[str, Any]", below)
        name = str(path[-1])
        target.pop(name, None)
        self._merge(target, {name: value}, path[:-1], lambda _: origin)

    def nearest_origin(self, path: KeyPath) -> Origin | None:
        """The origin of a key, or of the nearest key around it that was given."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.origins:
                return self.origins[path[:length]]
        return None

    def _merge(
        self,
        into: dict[str, Any],
        values: dict[str, Any],
        path: KeyPath,
        origin: Callable[[KeyPath], Origin],
    ) -> None:
        for name, given in values.items():
            here = (*path, name)
            value = self._long_form(here, given)
            if value is _REMOVED:
                into.pop(name, None)
                self._forget(here)
                continue
            if isinstance(value, dict):
                below = into.get(name)
                if not isinstance(below, dict):
                    self._forget(here)
                    below = into[name] = {}
                self.origins[here] = origin(here)
                self._merge(typing.cast("dict[str, Any]", below), value, here, origin)
            else:
                self._forget(here)
                self.origins[here] = origin(here)
                into[name] = value

    def _long_form(self, path: KeyPath, value: Any) -> Any:
        """What a short form is short for: `engine: local`, `evals: [nll]`, `evals.nll: null`."""
        if isinstance(value, (str, bytes)) or not isinstance(value, dict):
            info = annotation_at(self.model, path)
            inner = self._model_at(path)
            if inner in SHORT_KEYS and isinstance(value, str):
                return {SHORT_KEYS[inner]: value}
            if info is None and inner is not None:  # an entry of a mapping of models
                return {} if value is None or value is True else _removed_if_false(value)
            if info is not None and mapping_model(info.annotation) is not None:
                return _names_to_entries(value)
        return value

    def _model_at(self, path: KeyPath) -> type[ConfigModel] | None:
        """The model that stands at a path: a section, or an entry of a mapping of models."""
        if info := annotation_at(self.model, path):
            return inner_model(info.annotation)
        around = annotation_at(self.model, path[:-1]) if len(path) > 1 else None
        return mapping_model(around.annotation) if around is not None else None

    def _fill_defaults(self, path: KeyPath) -> None:
        """Write out the default entries that a longer path changes one of."""
        name = str(path[0])
        info = self.model.model_fields.get(name)
        if len(path) == 1 or info is None or name in self.values or info.is_required():
            return
        if mapping_model(info.annotation) is not None:
            self.values[name] = default_of(info)

    def _forget(self, path: KeyPath) -> None:
        for known in [key for key in self.origins if key[: len(path)] == path]:
            del self.origins[known]


_REMOVED = object()


def _removed_if_false(value: Any) -> Any:
    return _REMOVED if value is False else value


def _names_to_entries(value: Any) -> Any:
    """`[nll, arithmetic]` or `nll` -> a mapping of the names to their defaults."""
    names = [value] if isinstance(value, str) else value
    if isinstance(names, (list, tuple)) and all(isinstance(name, str) for name in names):
        return {str(name): {} for name in names}
    return value


def dotted(path: KeyPath) -> str:
    """`("evals", "nll", "every")` -> `evals.nll.every`; list items as `source[0]`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def json_ready(value: Any) -> Any:
    """Options may hold paths and tuples; a config file could only hold text and lists."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, dict):
        return {str(key): json_ready(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_ready(item) for item in value]
    return value
