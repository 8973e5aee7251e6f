"""From a file, the environment and the command line to a model, with the origin of each value.

One order, each step over the one before:

    defaults < `extends:` < the file < environment < options < `--set a.b=c`

* `extends: base.yaml` (or a list) names files to start from, relative to the file that says so.
* Environment: `OT_<VERB>__<KEY>`, with `__` between a section and its key, e.g.
  `OT_TRAIN__BATCH_SIZE=8`, `OT_TRAIN__ENGINE__DEVICE=cpu`. (Names without `__`, such as `OT_RUNS`,
  are places and not config keys.)
* Values of the environment and of `--set` are YAML 1.2: `1e-5` is a number, `[a, b]` a list,
  `null` nothing. A key that takes text keeps a number as its text.
* Mappings merge key by key, lists replace. A file that names `evals` (or `benchmarks`) replaces
  the default list of benchmarks; `--set evals.nll.every=1` changes within whatever is there,
  `--set evals.gpqa=false` leaves one out. A benchmark that is only named (`evals: [nll]`, `nll:`,
  `--set evals=[nll]`) keeps the settings it has, or those of the default list.

A saved `config.json` is a config file like any other, and reruns what it records.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from openthoughts_cli.config.base import ConfigModel
from openthoughts_cli.config.explain import explain_errors, explain_lax_values
from openthoughts_cli.config.layers import Layers, Origin, dotted, json_ready
from openthoughts_cli.config.schema import SHORT_KEYS, annotation_at, expected_of, verb_of
from openthoughts_cli.config.yaml_file import Document, KeyPath, parse_value, read_document
from openthoughts_cli.errors import ConfigError

__all__ = [
    "REQUIRED",
    "Loaded",
    "Origin",
    "flat_values",
    "load_config",
    "read_layers",
    "resolved_values",
]

M = TypeVar("M", bound=ConfigModel)

REQUIRED = "<required>"
_EXTENDS = "extends"


@dataclass(frozen=True, slots=True)
class Loaded(Generic[M]):
    """A config and where its values come from: `origins` has every dotted key, defaults too."""

    config: M
    origins: dict[str, Origin]
    files: tuple[Path, ...] = ()

    def __repr__(self) -> str:
        given = sum(origin.kind != "default" for origin in self.origins.values())
        return f"<Loaded {type(self.config).__name__}: {given} of {len(self.origins)} values given>"


@dataclass(slots=True)
class _Problems:
    lines: list[str] = field(default_factory=list[str])

    def add(self, where: str, key: str, what: str) -> None:
        named = where.startswith("--") and where[2:].replace("-", "_") == key  # --limit names limit
        self.lines.append(": ".join(part for part in (where, "" if named else key, what) if part))


def load_config(
    model: type[M],
    *,
    file: Path | None = None,
    options: Mapping[str, Any] | None = None,
    sets: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
    fill_required: bool = False,
) -> Loaded[M]:
    """Resolve a config; see the module's text for the order.

    Args:
        file: YAML or JSON; `-` reads stdin.
        options: values of command-line options by dotted key (see `cli.options.given`).
        sets: `key=value` texts of `--set`.
        environ: environment variables; default: this process's.
        fill_required: put `<required>` where a required text is missing, to show such a config.

    Raises:
        NotFoundError: the file, or one it extends, does not exist.
        ConfigError: everything that is wrong, a line each: `file:line:column: key: what`.
    """
    problems = _Problems()
    layers = Layers(model)
    files: list[Path] = []
    if file is not None:
        for document in _with_bases(file, problems, files):
            layers.merge(document.values, lambda path, d=document: _place_in(d, path))
    _set_environment(layers, os.environ if environ is None else environ, problems)
    for key, value in (options or {}).items():
        layers.set(tuple(key.split(".")), json_ready(value), Origin("option", _option_name(key)))
    for text in sets:
        _set_one(layers, text, problems)
    if fill_required:
        for name, info in model.model_fields.items():
            if info.is_required() and name not in layers.values:
                layers.set((name,), REQUIRED, Origin("default", "required, not given"))
    config = _validate(model, layers, problems, file)
    if config is None or problems.lines:
        raise _config_error(problems.lines, verb_of(model))
    return Loaded(config, _all_origins(config, layers), tuple(files))


def read_layers(model: type[ConfigModel], file: Path) -> tuple[Layers, list[str]]:
    """The values of a file and of what it extends, put over each other and not validated yet, and
    what is wrong with the files as such.

    Raises:
        NotFoundError: the file, or one it extends, does not exist.
        ConfigError: a file that is no YAML mapping.
    """
    problems = _Problems()
    layers = Layers(model)
    for document in _with_bases(file, problems, []):
        layers.merge(document.values, lambda path, d=document: _place_in(d, path))
    return layers, problems.lines


def resolved_values(config: ConfigModel) -> dict[str, Any]:
    """All values as JSON-like data. Saved as JSON it is a config file that repeats the result."""
    return config.model_dump(mode="json")


def flat_values(config: ConfigModel) -> dict[str, Any]:
    """All values by dotted key; an empty mapping is a value."""
    return {dotted(path): value for path, value in _leaves(resolved_values(config), ())}


def _option_name(key: str) -> str:
    """`engine.base_url` -> `--base-url`; a section's short key has the section's: `--engine`."""
    *around, last = key.split(".")
    name = around[-1] if around and last in SHORT_KEYS.values() else last
    return "--" + name.replace("_", "-")


def _with_bases(
    file: Path, problems: _Problems, files: list[Path], above: tuple[Path, ...] = ()
) -> list[Document]:
    """The file and what it extends, the first to apply first."""
    document = read_document(file)
    problems.lines.extend(document.problems)
    files.append(file)
    named = document.values.pop(_EXTENDS, None)
    bases = [named] if isinstance(named, str) else named or []
    where = document.places.get((_EXTENDS,), document.name)
    if not isinstance(bases, list) or not all(isinstance(base, str) for base in bases):
        problems.add(where, _EXTENDS, "expected a file name or a list of them, e.g. base.yaml")
        return [document]
    chain = (*above, file.resolve())
    documents: list[Document] = []
    for base in bases:
        path = Path(os.path.normpath(file.parent / Path(str(base)).expanduser()))
        if path.resolve() in chain:
            circle = " -> ".join(str(link.name) for link in (*chain, path))
            problems.add(where, _EXTENDS, f"the files extend each other in a circle: {circle}")
            continue
        if not path.exists():
            problems.add(where, _EXTENDS, f"there is no file {path}")
            continue
        documents.extend(_with_bases(path, problems, files, chain))
    return [*documents, document]


def _place_in(document: Document, path: KeyPath) -> Origin:
    """The place of a key, or of the nearest key around it that the file spells out."""
    for length in range(len(path), 0, -1):
        if path[:length] in document.places:
            return Origin("file", document.places[path[:length]])
    return Origin("file", document.name)


def _set_environment(layers: Layers, environ: Mapping[str, str], problems: _Problems) -> None:
    prefix = f"OT_{verb_of(layers.model).upper()}__"
    for name in sorted(environ):
        if not name.startswith(prefix):
            continue
        path = tuple(part.lower() for part in name.removeprefix(prefix).split("__"))
        if not all(path):
            problems.add(name, "", f"expected a key after {prefix}")
            continue
        value = _value_of(layers, path, environ[name], name, problems)
        if value is not _BROKEN:
            layers.set(path, value, Origin("environment", name))


def _set_one(layers: Layers, text: str, problems: _Problems) -> None:
    key, equals, raw = text.partition("=")
    path = tuple(part.strip() for part in key.split("."))
    where = f"--set {text}"
    if not equals or not all(path):
        problems.add(where, "", "expected key=value, e.g. --set engine.device=cpu")
        return
    value = _value_of(layers, path, raw, where, problems)
    if value is not _BROKEN:
        layers.set(path, value, Origin("set", where))


_BROKEN = object()


def _value_of(layers: Layers, path: KeyPath, raw: str, where: str, problems: _Problems) -> Any:
    """A value typed as text: YAML, but a key that takes text alone keeps `123` as it is."""
    info = annotation_at(layers.model, path)
    takes_text = info is not None and expected_of(info.annotation) in ("text", "a path")
    try:
        value = parse_value(raw)
    except ConfigError as error:
        if takes_text:
            return raw
        problems.add(where, "", error.message)
        return _BROKEN
    if takes_text and value is not None and not isinstance(value, str):
        return raw
    return value


def _validate(model: type[M], layers: Layers, problems: _Problems, file: Path | None) -> M | None:
    found = explain_lax_values(model, layers.values)
    config: M | None = None
    try:
        config = model.model_validate(layers.values)
    except ValidationError as error:
        found = explain_errors(model, error) | found
    placed: list[tuple[str, str, str]] = []
    for path, what in found.items():
        origin = layers.nearest_origin(_key_meant(path, what, layers))
        where = str(origin) if origin is not None else str(file or "")
        placed.append((where, dotted(path), what))
    for where, key, what in sorted(placed, key=lambda problem: _line_of(problem[0])):
        problems.add(where, key, what)
    return config


def _line_of(where: str) -> tuple[str, int, int]:
    """To sort by: places in files from the top down, and what stands in no file after them."""
    file, line, column = [*where.rsplit(":", 2), "", ""][:3]
    if line.isdecimal() and column.isdecimal():
        return file, int(line), int(column)
    return "\U0010ffff", 0, 0


def _key_meant(path: KeyPath, what: str, layers: Layers) -> KeyPath:
    """A rule over several keys names them in its sentence: the first one given has the place."""
    for word in re.findall(r"[a-z0-9_]+", what):
        deeper = (*path, word)
        if any(key[: len(deeper)] == deeper for key in layers.origins):
            path = deeper
    return path


def _config_error(lines: list[str], verb: str) -> ConfigError:
    lines = list(dict.fromkeys(lines))
    hint = f"`ot config show {verb}` prints the keys, `ot config init {verb}` a commented file"
    if len(lines) == 1:
        return ConfigError(lines[0], hint=hint)
    listed = "".join(f"\n  {line}" for line in lines)
    return ConfigError(f"{len(lines)} problems in the config:{listed}", hint=hint)


def _all_origins(config: ConfigModel, layers: Layers) -> dict[str, Origin]:
    return {
        dotted(path): layers.origins.get(path, Origin("default"))
        for path, _ in _leaves(resolved_values(config), ())
    }


def _leaves(values: Mapping[str, Any], path: KeyPath) -> Iterator[tuple[KeyPath, Any]]:
    for name, value in values.items():
        here = (*path, name)
        if isinstance(value, dict) and value:
            yield from _leaves(value, here)
        else:
            yield here, value
