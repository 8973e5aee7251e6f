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
        (`engine=local`) sets the key it is short for and leaves its neighbours; names of benchmarks
        (`evals=[nll]`, `evals.nll=true`) keep the settings that these have.
        """
        self._fill_defaults(path)
        target = self.values
        for depth, step in enumerate(path[:-1], start=1):
            below = target.get(str(step))
            if not isinstance(below, dict):
                below = target[str(step)] = {}
                self.origins[path[:depth]] = origin
            target = typing.cast("dict[str, Any]", below)
        name = str(path[-1])
        if isinstance(value, dict) or not self._is_short(path, value):
            target.pop(name, None)
            self._forget(path)
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
            value = self._long_form(here, given, into)
            if value is _REMOVED:
                into.pop(name, None)
                self._forget(here)
            elif isinstance(value, _Kept):
                into[name] = dict(value)
                self.origins.setdefault(here, origin(here))
            elif isinstance(value, dict):
                below = into.get(name)
                if not isinstance(below, dict) or isinstance(given, (list, tuple)):
                    self._forget_all_but(here, value)
                    below = into[name] = {}
                self.origins[here] = origin(here)
                self._merge(typing.cast("dict[str, Any]", below), value, here, origin)
            else:
                self._forget(here)
                self.origins[here] = origin(here)
                into[name] = value

    def _is_short(self, path: KeyPath, value: Any) -> bool:
        """Whether a value that is no mapping stands for one."""
        info, inner = annotation_at(self.model, path), self._model_at(path)
        if info is None:
            return inner is not None and (value is None or value is True)
        return inner in SHORT_KEYS or mapping_model(info.annotation) is not None

    def _long_form(self, path: KeyPath, value: Any, into: dict[str, Any]) -> Any:
        """What a short form is short for: `engine: local`, `evals: [nll]`, `evals.nll: null`."""
        if isinstance(value, dict):
            return value
        info, inner = annotation_at(self.model, path), self._model_at(path)
        if inner in SHORT_KEYS and isinstance(value, str):
            return {SHORT_KEYS[inner]: value}
        if info is None and inner is not None:  # an entry of a mapping of models
            if value is False:
                return _REMOVED
            known = {**self._default_entries(path[:-1]), **into}
            return _Kept(known.get(str(path[-1]), {})) if value in (None, True) else value
        names = [value] if isinstance(value, str) else value
        if info is None or mapping_model(info.annotation) is None or not _are_names(names):
            return value
        now = into.get(str(path[-1]))
        known = typing.cast("dict[str, Any]", now if isinstance(now, dict) else {})
        known = {**self._default_entries(path), **known}
        return {str(name): _Kept(known.get(str(name), {})) for name in names}

    def _default_entries(self, path: KeyPath) -> dict[str, Any]:
        """The entries that a mapping of models has by default."""
        info = annotation_at(self.model, path)
        return default_of(info) if info is not None and not info.is_required() else {}

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

    def _forget_all_but(self, path: KeyPath, kept: dict[str, Any]) -> None:
        depth = len(path)
        for known in [key for key in self.origins if key[:depth] == path]:
            if len(known) == depth or known[depth] not in kept:
                del self.origins[known]

    def _forget(self, path: KeyPath) -> None:
        for known in [key for key in self.origins if key[: len(path)] == path]:
            del self.origins[known]


_REMOVED = object()


class _Kept(dict[str, Any]):
    """The settings of an entry that was only named: they stay, and so do their origins."""


def _are_names(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(isinstance(name, str) for name in value)


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
