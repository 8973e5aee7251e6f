"""From a grid to its recipes: product, zip, include, exclude. It knows nothing of what keys mean."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from openthoughts_cli.config.schema import as_yaml
from openthoughts_cli.config.sweep import SweepConfig
from openthoughts_cli.digests import digest_value
from openthoughts_cli.sweeps.problems import Problems

__all__ = ["MOST_CELLS", "expand", "recipe_names"]

MOST_CELLS = 10_000
_LONGEST_WORD = 48  # all five sources of OpenThoughts3 fit


def expand(config: SweepConfig, problems: Problems) -> tuple[dict[str, Any], ...]:
    """The recipes of a grid, each as dotted key -> value, in the order of the file.

    The product of `axes` and the rows of `zip`, without what `exclude` matches, then `include`.
    What is wrong goes to `problems`: axes without a value, a value twice, excludes that match
    nothing, recipes that stand there twice, nothing left, more than `MOST_CELLS` cells.
    """
    axes = {**config.axes, **config.zip}
    for section in ("axes", "zip"):
        for key, values in getattr(config, section).items():
            if not values:
                problems.add((section, key), "the list is empty, so no cell is left", key=key)
            twice = _twice(values) if section == "axes" else []
            for value in twice:
                problems.add((section, key), f"{as_yaml(value)} stands there twice", key=key)
    count = _count(config)
    if count * len(config.seeds) > MOST_CELLS:
        problems.add(
            ("axes",), f"{count * len(config.seeds):,} cells; a sweep has at most {MOST_CELLS:,}"
        )
        return ()
    recipes = list(_product(config))
    for index, excluded in enumerate(config.exclude):
        _check_exclude(excluded, index, axes, recipes, problems)
    kept = [
        recipe
        for recipe in recipes
        if not any(_matches(recipe, excluded) for excluded in config.exclude)
    ]
    for index, included in enumerate(config.include):
        if included in kept:
            problems.add(("include", index), f"{_shown(included)} is a cell already")
        else:
            kept.append(dict(included))
    if not kept and not problems.lines:
        problems.add(("exclude",), "no cell is left: everything is excluded")
    return tuple(kept)


def _count(config: SweepConfig) -> int:
    count = 1
    for values in config.axes.values():
        count *= len(values)
    rows = len(next(iter(config.zip.values()))) if config.zip else 1
    return count * rows + len(config.include)


def _product(config: SweepConfig) -> Iterator[dict[str, Any]]:
    if not config.axes and not config.zip and config.include:
        return  # the cells of `include` alone
    rows: list[tuple[Any, ...]] = (
        list(zip(*config.zip.values(), strict=True)) if config.zip else [()]
    )
    for values in itertools.product(*config.axes.values(), rows):
        *single, row = values
        recipe = dict(zip(config.axes, single, strict=True))
        recipe.update(zip(config.zip, row, strict=True))
        yield recipe


def _check_exclude(
    excluded: Mapping[str, Any],
    index: int,
    axes: Mapping[str, tuple[Any, ...]],
    recipes: list[dict[str, Any]],
    problems: Problems,
) -> None:
    place = ("exclude", index)
    if not excluded:
        problems.add(place, "an empty exclude would leave nothing", key=f"exclude[{index}]")
        return
    known = True
    for key, value in excluded.items():
        if key not in axes:
            known = False
            problems.add((*place, key), "it does not vary, so no cell can be told by it", key=key)
        elif not any(_same(value, item) for item in axes[key]):
            known = False
            listed = ", ".join(as_yaml(item) for item in axes[key])
            problems.add(
                (*place, key), f"{as_yaml(value)} is none of its values ({listed})", key=key
            )
    if known and not any(_matches(r, excluded) for r in recipes):
        problems.add(place, f"no cell has {_shown(excluded)}", key=f"exclude[{index}]")


def _matches(recipe: Mapping[str, Any], pattern: Mapping[str, Any]) -> bool:
    return all(key in recipe and _same(recipe[key], value) for key, value in pattern.items())


def _same(one: Any, other: Any) -> bool:
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _twice(values: tuple[Any, ...]) -> list[Any]:
    seen: set[str] = set()
    twice: list[Any] = []
    for value in values:
        digest = digest_value(value)
        if digest in seen:
            twice.append(value)
        seen.add(digest)
    return twice


def _shown(recipe: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}: {as_yaml(value)}" for key, value in recipe.items())


def recipe_names(recipes: tuple[dict[str, Any], ...]) -> tuple[str, ...]:
    """A name for each recipe: what differs, `learning_rate=1e-05,lora_rank=16`.

    Keys lose what they can while they stay apart. A recipe of no key is `base`. Long values are
    cut; names that this makes equal get a number.
    """
    keys = list(dict.fromkeys(key for recipe in recipes for key in recipe))
    short = _short_keys(keys)
    names = [
        ",".join(f"{short[key]}={_word(value)}" for key, value in recipe.items()) or "base"
        for recipe in recipes
    ]
    total, counted = Counter(names), dict[str, int]()
    unique: list[str] = []
    for name in names:
        counted[name] = counted.get(name, 0) + 1
        unique.append(name if total[name] == 1 else f"{name}#{counted[name]}")
    return tuple(unique)


def _short_keys(keys: list[str]) -> dict[str, str]:
    short: dict[str, str] = {}
    for key in keys:
        parts = key.split(".")
        for length in range(1, len(parts) + 1):
            end = ".".join(parts[-length:])
            if sum(other == end or other.endswith(f".{end}") for other in keys) == 1:
                short[key] = end
                break
        else:
            short[key] = key
    return short


def _word(value: Any) -> str:
    """A value as one word: `openmath:2+physics:1` (equal shares: `openmath+physics`), `a+b`, `1e-05`."""
    if isinstance(value, dict):
        items = list(value.values())
        equal = all(item == items[0] and isinstance(item, (int, float)) for item in items)
        text = "+".join(key if equal else f"{key}:{_word(item)}" for key, item in value.items())
    elif isinstance(value, (list, tuple)):
        text = "+".join(_word(item) for item in value) or "none"
    else:
        text = as_yaml(value).strip('"')
    text = "".join("-" if c.isspace() or c == "," else c for c in text)
    return text if len(text) <= _LONGEST_WORD else text[: _LONGEST_WORD - 3] + "..."
