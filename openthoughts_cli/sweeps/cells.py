"""From recipes to cells: each a whole train config and the subset it asks for, all checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from openthoughts_cli.config.explain import explain_errors, explain_lax_values
from openthoughts_cli.config.layers import Layers, Origin, dotted
from openthoughts_cli.config.load import read_layers
from openthoughts_cli.config.sweep import SweepConfig
from openthoughts_cli.config.train import TrainConfig
from openthoughts_cli.config.yaml_file import KeyPath
from openthoughts_cli.errors import OtError, UsageError
from openthoughts_cli.sweeps.grid import expand, recipe_names
from openthoughts_cli.sweeps.keys import Key, UnknownKey, parse_key
from openthoughts_cli.sweeps.metric import parse_metric
from openthoughts_cli.sweeps.problems import Problems
from openthoughts_cli.sweeps.requests import SubsetReader, SubsetRequest
from openthoughts_cli.words import AFTER_SENTENCE, did_you_mean

__all__ = ["Cell", "Drafted", "draft_cells"]


@dataclass(frozen=True, slots=True)
class Cell:
    """One run of a sweep, as asked for: nothing is read or resolved yet."""

    name: str
    recipe: str
    axes: Mapping[str, Any]
    seed: int
    baseline: bool
    train: TrainConfig
    subset: SubsetRequest


@dataclass(frozen=True, slots=True)
class Drafted:
    """All cells of a grid, and the common evaluation set if it names one."""

    cells: tuple[Cell, ...]
    held_out: SubsetRequest | None


def draft_cells(config: SweepConfig, files: Sequence[Path] = ()) -> Drafted:
    """The cells of a grid, in its order, seeds innermost.

    Args:
        files: the grid's file and those it extends; paths in it are relative to the first.

    Raises:
        ConfigError: everything that is wrong, a line each: `file:line:column: key: what`.
    """
    draft = _Draft(config, files)
    drafted = draft.drafted()
    draft.problems.raise_if_any()
    return drafted


class _Draft:
    def __init__(self, config: SweepConfig, files: Sequence[Path]) -> None:
        self.problems = Problems(files)
        self._config = config
        named = [file for file in files if str(file) != "-"]
        self._folder = named[0].parent if named else Path()
        self._subsets = SubsetReader(self._folder, self.problems)
        self._keys: dict[str, Key] = {}
        self._of_cells: dict[str, list[str]] = {}

    def drafted(self) -> Drafted:
        config = self._config
        self._read_keys()
        recipes = expand(config, self.problems)
        base = self._base()
        held_out = self._held_out(base)
        if base is None or self.problems.lines:
            self._check_values(base)
            return Drafted((), held_out)
        names = recipe_names(recipes)
        baseline = self._baseline(recipes, names)
        seeds = self._seeds(base)
        cells: list[Cell] = []
        for recipe, name in zip(recipes, names, strict=True):
            made = self._cell(base, recipe, name)
            if made is not None:
                cells.extend(_seeded(name, recipe, seeds, name == baseline, *made))
        self._tell_of_cells()
        self._check_metric(cells)
        return Drafted(tuple(cells), held_out)

    def _check_metric(self, cells: Sequence[Cell]) -> None:
        """A ranking that cannot be made is found before the sweep is paid, where the grid names one."""
        config = self._config
        if "metric" not in config.model_fields_set or not cells:
            return
        try:
            metric = parse_metric(config.metric)
        except UsageError as error:
            self.problems.add(("metric",), f"{error.message}: {error.hint}", key="metric")
            return
        measured = [cell.train.evals for cell in cells]
        names = sorted({name for evals in measured for name in evals})
        having = [evals[metric.benchmark] for evals in measured if metric.benchmark in evals]
        if not having:
            known = f"they measure {', '.join(names)}" if names else "they measure nothing"
            text = f"no cell measures {metric.benchmark}, {known}: name one of these, or add it to `evals:`"
            self.problems.add(("metric",), text, key="metric")
        elif metric.k > (most := max(settings.n for settings in having)):
            text = f"{metric.name} needs {metric.k} answers a problem, and `n` is {most}"
            self.problems.add(("metric",), text, key="metric")

    def _check_values(self, base: Layers | None) -> None:
        """Of a grid that is wrong already: what is wrong with its values, each by itself."""
        if base is None:
            return
        tables = (*self._config.axes.items(), *self._config.zip.items())
        alone = [{key: value} for key, values in tables for value in values]
        for recipe in ({}, *alone, *self._config.include):
            if all(key in self._keys for key in recipe):
                self._cell(base, recipe, recipe_names((dict(recipe),))[0])
        self._tell_of_cells()

    def _read_keys(self) -> None:
        config = self._config
        spoken = [(("axes", key), key) for key in config.axes]
        spoken += [(("zip", key), key) for key in config.zip]
        for index, included in enumerate(config.include):
            spoken += [(("include", index, key), key) for key in included]
        for place, key in spoken:
            try:
                self._keys[key] = parse_key(key)
            except UnknownKey as error:
                self.problems.add(place, str(error), key=key)

    def _base(self) -> Layers | None:
        """The train config that all cells share, as layers."""
        given = self._config.base
        if isinstance(given, str):
            try:
                layers, lines = read_layers(TrainConfig, self._folder / Path(given).expanduser())
            except OtError as error:
                hint = f" ({error.hint})" if error.hint else ""
                self.problems.add(("base",), f"{error.message}{hint}", key="base")
                return None
            for line in lines:
                self.problems.add_line(line)
        else:
            layers = Layers(TrainConfig)
            layers.merge(
                dict(given), lambda path: Origin("file", self.problems.place(("base", *path)))
            )
        return layers

    def _held_out(self, base: Layers | None) -> SubsetRequest | None:
        given = self._config.held_out
        if given is None and base is not None and isinstance(base.values.get("held_out"), str):
            given = base.values["held_out"]
        if given is None:
            return None
        return self._subsets.read(given, ("held_out",), {}, {})

    def _seeds(self, base: Layers) -> tuple[int, ...]:
        """The grid's seeds; a base that names one keeps it where the grid names none."""
        seed = base.values.get("seed")
        named = "seeds" in self._config.model_fields_set
        return (seed,) if isinstance(seed, int) and not named else self._config.seeds

    def _cell(
        self, base: Layers, recipe: Mapping[str, Any], name: str
    ) -> tuple[TrainConfig, SubsetRequest] | None:
        layers = deepcopy(base)
        for key, value in recipe.items():
            if self._keys[key].part == "train":
                where = Origin("file", self.problems.place(self._place(recipe, key)))
                layers.set(self._keys[key].path, deepcopy(value), where)
        subset = self._subset(base, recipe)
        layers.set(("subset",), subset.name if subset else "unknown", Origin("default"))
        train = self._validated(layers, recipe, name)
        return None if train is None or subset is None else (train, subset)

    def _subset(self, base: Layers, recipe: Mapping[str, Any]) -> SubsetRequest | None:
        given: Any = self._config.subset
        place: KeyPath = ("subset",)
        over: dict[str, Any] = {}
        places: dict[str, KeyPath] = {}
        for key, value in recipe.items():
            part, path = self._keys[key]
            if part == "whole-subset":
                given, place = value, self._place(recipe, key)
            elif part == "subset":
                name = ".".join(path)
                over[name], places[name] = value, self._place(recipe, key)
        if given is None and not over:
            given = base.values.get("subset")
            if given is None:
                self.problems.add_line(
                    f"{self.problems.place(()) or 'the grid'}: subset: nothing says which rows: "
                    "write `subset:` with a name, or with keys such as `dataset: sample`"
                )
                return None
        if not isinstance(given, (str, dict)) and given is not None:
            self.problems.add(place, "expected a subset's name or a mapping of its keys")
            return None
        return self._subsets.read(given, place, over, places)

    def _place(self, recipe: Mapping[str, Any], key: str) -> KeyPath:
        """Where a recipe's value of a key stands in the grid."""
        config = self._config
        for section, table in (("axes", config.axes), ("zip", config.zip)):
            if key in table and recipe[key] in table[key]:
                return (section, key, table[key].index(recipe[key]))
        for index, included in enumerate(config.include):
            if included == recipe:
                return ("include", index, key)
        return ("axes", key)

    def _validated(
        self, layers: Layers, recipe: Mapping[str, Any], name: str
    ) -> TrainConfig | None:
        found = explain_lax_values(TrainConfig, layers.values)
        config: TrainConfig | None = None
        try:
            config = TrainConfig.model_validate(layers.values)
        except ValidationError as error:
            found = explain_errors(TrainConfig, error) | found
        for path, what in found.items():
            self._tell(layers, recipe, name, path, what)
        return None if found else config

    def _tell(
        self, layers: Layers, recipe: Mapping[str, Any], name: str, path: KeyPath, what: str
    ) -> None:
        for key in recipe:
            part, inside = self._keys[key]
            if part == "train" and path[: len(inside)] == inside and path:
                self.problems.add(self._place(recipe, key), what, key=key)
                return
        origin = layers.nearest_origin(path) if path else None
        if origin is None or not origin.where:
            text = ": ".join(part for part in (dotted(path), what) if part)
            self._of_cells.setdefault(text, []).append(name)
            return
        self.problems.add_line(f"{origin}: {dotted(path)}: {what}")

    def _tell_of_cells(self) -> None:
        """What no single key is to blame for: once, with the cells it is true of."""
        for what, names in self._of_cells.items():
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            self.problems.add_line(f"cell {names[0]}{more}: {what}")

    def _baseline(self, recipes: Sequence[Mapping[str, Any]], names: Sequence[str]) -> str:
        given = self._config.baseline
        if given is None:
            return names[0]
        if isinstance(given, str):
            if given not in names:
                guess = did_you_mean(given, names, AFTER_SENTENCE)
                self.problems.add(("baseline",), f"no recipe is called {given!r}{guess}")
            return given
        found = [
            name
            for recipe, name in zip(recipes, names, strict=True)
            if all(key in recipe and recipe[key] == value for key, value in given.items())
        ]
        if len(found) != 1:
            told = f"{len(found)} recipes have" if found else "no recipe has"
            wanted = ", ".join(f"{key}: {value}" for key, value in given.items())
            self.problems.add(("baseline",), f"{told} {wanted}; name exactly one", key="baseline")
        return found[0] if found else names[0]


def _seeded(
    name: str,
    recipe: Mapping[str, Any],
    seeds: tuple[int, ...],
    baseline: bool,
    train: TrainConfig,
    subset: SubsetRequest,
) -> list[Cell]:
    return [
        Cell(
            name=name if len(seeds) == 1 else f"{name},seed={seed}",
            recipe=name,
            axes=recipe,
            seed=seed,
            baseline=baseline,
            train=train.model_copy(update={"seed": seed}),
            subset=subset,
        )
        for seed in seeds
    ]
