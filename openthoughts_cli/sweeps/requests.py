"""What the cells of a grid ask for as rows: a subset that is there, or one to be cut."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from openthoughts_cli.config.explain import explain_errors, explain_lax_values
from openthoughts_cli.config.layers import Layers, Origin, dotted
from openthoughts_cli.config.load import read_layers
from openthoughts_cli.config.subset import SubsetConfig
from openthoughts_cli.config.yaml_file import KeyPath
from openthoughts_cli.digests import digest_value
from openthoughts_cli.errors import OtError
from openthoughts_cli.sweeps.problems import Problems

__all__ = ["SubsetReader", "SubsetRequest"]

_FILES = (".yaml", ".yml", ".json")
_LONGEST_NAME = 100


@dataclass(frozen=True, slots=True)
class SubsetRequest:
    """A subset by name. `config` is how it is cut; None: it must be there."""

    name: str
    config: SubsetConfig | None = None


class SubsetReader:
    """Reads subset requests of a grid; equal ones become one, whatever they are written like.

    Args:
        folder: what paths in the grid are relative to.
        problems: takes what is wrong.
    """

    def __init__(self, folder: Path, problems: Problems) -> None:
        self._folder = folder
        self._problems = problems
        self._known: dict[str, SubsetRequest | None] = {}

    def read(
        self,
        given: str | Mapping[str, Any] | None,
        place: KeyPath,
        over: Mapping[str, Any],
        places: Mapping[str, KeyPath],
    ) -> SubsetRequest | None:
        """The request, or None where it cannot be read.

        Args:
            given: a name, a path, the path of a subset config, its keys, or nothing.
            place: where `given` stands in the grid.
            over: dotted keys of the subset config that this cell puts over it.
            places: where each of these stands in the grid.
        """
        key = digest_value([given, dict(over)])
        if key not in self._known:
            self._known[key] = self._read(given, place, over, places)
        return self._known[key]

    def _read(
        self,
        given: str | Mapping[str, Any] | None,
        place: KeyPath,
        over: Mapping[str, Any],
        places: Mapping[str, KeyPath],
    ) -> SubsetRequest | None:
        if isinstance(given, str) and not given.endswith(_FILES):
            for name in over:
                self._problems.add(
                    places[name][:2],
                    f"the subset is {given!r}, which is there already: give its keys as a mapping "
                    "under `subset:` to vary them",
                    key=f"subset.{name}",
                )
            return None if over else SubsetRequest(given)
        layers = self._layers(given, place)
        if layers is None:
            return None
        for name, value in over.items():
            where = Origin("file", self._problems.place(places[name]))
            layers.set(tuple(name.split(".")), value, where)
        config = self._validated(layers, place)
        return None if config is None else _named(config)

    def _layers(self, given: str | Mapping[str, Any] | None, place: KeyPath) -> Layers | None:
        if isinstance(given, str):
            try:
                layers, lines = read_layers(SubsetConfig, self._folder / Path(given).expanduser())
            except OtError as error:
                self._problems.add(place, error.message)
                return None
            for line in lines:
                self._problems.add_line(line)
            return layers
        layers = Layers(SubsetConfig)
        layers.merge(
            dict(given or {}),
            lambda path: Origin("file", self._problems.place((*place, *path))),
        )
        return layers

    def _validated(self, layers: Layers, place: KeyPath) -> SubsetConfig | None:
        found = explain_lax_values(SubsetConfig, layers.values)
        try:
            config = SubsetConfig.model_validate(layers.values)
        except ValidationError as error:
            found, config = explain_errors(SubsetConfig, error) | found, None
        for path, what in found.items():
            origin = layers.nearest_origin(path)
            where = str(origin) if origin is not None and origin.where else ""
            where = where or self._problems.place(place)
            key = dotted(("subset", *path))
            self._problems.add_line(": ".join(part for part in (where, key, what) if part))
        return None if found else config


def _named(config: SubsetConfig) -> SubsetRequest:
    """The request under a name of its own: what it is by the usual rule, and a short digest."""
    digest = digest_value(config.identity())
    label = (config.name or config.default_name())[:_LONGEST_NAME].rstrip("-_.")
    name = f"{label}-{digest[:8]}"
    return SubsetRequest(name, config.model_copy(update={"name": name, "output_dir": None}))
