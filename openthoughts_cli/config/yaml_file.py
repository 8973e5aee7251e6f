"""A config file as values with the place of each key: YAML 1.2, or JSON.

YAML 1.2's core schema: `1e-5` is a number, `on` and `2026-01-01` are text. Duplicate keys,
foreign tags and aliases that contain themselves are refused with their place.
"""

from __future__ import annotations

import itertools
import json
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from openthoughts_cli.errors import ConfigError, NotFoundError
from openthoughts_cli.words import close_to

__all__ = ["Document", "KeyPath", "parse_document", "parse_value", "read_document"]

KeyPath: TypeAlias = tuple[str | int, ...]

_MOST_BYTES = 1 << 20
_MOST_DIGITS = 400  # Python refuses to read a number of more than 4,300
_MOST_VALUES = 100_000  # a file may repeat itself through aliases, but not without end
_MOST_DEPTH = 200
_BRACKET = re.compile(r"[\[\]{}]")
_TAG = "tag:yaml.org,2002:"
_PLACE = re.compile(r"^:[0-9]+:[0-9]+: ")
_INT = re.compile(r"[-+]?(0o[0-7]+|0x[0-9a-fA-F]+|[0-9][0-9_]*)\Z")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9_]*)?)([eE][-+]?[0-9]+)?\Z")
_INF_OR_NAN = re.compile(r"[-+]?\.(inf|Inf|INF)\Z|\.(nan|NaN|NAN)\Z")


@dataclass(slots=True)
class Document:
    """One file: its values, where each key stands (`file:line:column`), and what is wrong."""

    name: str
    values: dict[str, Any] = field(default_factory=dict[str, Any])
    places: dict[KeyPath, str] = field(default_factory=dict["KeyPath", str])
    problems: list[str] = field(default_factory=list[str])


def read_document(path: Path) -> Document:
    """Read a YAML or JSON file; `-` is stdin.

    Raises:
        NotFoundError: there is no such file; names the ones like it.
        ConfigError: it is a directory, too large, not text, or not a YAML mapping.
    """
    if str(path) == "-":
        return parse_document(sys.stdin.buffer.read(_MOST_BYTES + 1), "<stdin>")
    if path.is_dir():
        raise ConfigError(
            f"{path} is a directory, and a config is a file",
            hint=_files_hint(path, "") or "give the path of a YAML file",
        )
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        raise NotFoundError(f"there is no file {path}", hint=_missing_hint(path)) from None
    except OSError as error:
        raise ConfigError(
            f"cannot read {path}: {error.strerror}",
            hint="check the rights of the file, or give another",
        ) from error
    return parse_document(data, str(path))


def parse_document(data: bytes, name: str) -> Document:
    """Parse the bytes of a file called `name`.

    Raises:
        ConfigError: too large, not text, broken YAML or JSON, or not a mapping.
    """
    text = _decode(data, name)
    if name.endswith(".json"):
        return _parse_json(text, name)
    return _parse_yaml(text, name)


def parse_value(text: str) -> Any:
    """The value of `text` as YAML, as in `--set key=text`.

    Raises:
        ConfigError: broken YAML.
    """
    document = Document("")
    try:
        root = _compose(text, "")
        value = None if root is None else _Builder(document).build(root, (), frozenset())
    except ConfigError as error:
        raise ConfigError(_PLACE.sub("", error.message)) from None
    if document.problems:
        raise ConfigError(_PLACE.sub("", document.problems[0]))
    return value


def _decode(data: bytes, name: str) -> str:
    if len(data) > _MOST_BYTES:
        raise ConfigError(
            f"{name} is larger than {_MOST_BYTES // 1024:,} KiB, which is too large for a config",
            hint="give the config, not the data",
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{name}:{line}: this is not UTF-8 text",
            hint="save it as UTF-8; if it holds data, give the config instead",
        ) from None
    if "\0" in text:
        raise ConfigError(
            f"{name}: the file holds NUL bytes, so it is not text",
            hint="a config is YAML or JSON text; give that file",
        )
    return text


def _parse_yaml(text: str, name: str) -> Document:
    document = Document(name)
    root = _compose(text, name)
    if root is None:
        return document
    values = _Builder(document).build(root, (), frozenset())
    if values is None:  # a lone `null` or `~`: as empty as an empty file
        return document
    if not isinstance(values, dict):
        line, column = root.start_mark.line + 1, root.start_mark.column + 1
        raise ConfigError(
            f"{name}:{line}:{column}: a config is a mapping of keys to values, "
            f"and this is {'a list' if isinstance(values, list) else 'one value'}",
            hint="write `key: value` lines; `ot config init <verb>` prints a starter",
        )
    document.values = values
    return document


def _parse_json(text: str, name: str) -> Document:
    """JSON's values from the JSON parser; their places, as far as it can, from the YAML one."""
    problems: list[str] = []

    def without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        values = dict(pairs)
        if len(values) < len(pairs):
            keys = [key for key, _ in pairs]
            twice = sorted({key for key in keys if keys.count(key) > 1})
            problems.append(f"{name}: {', '.join(twice)}: the key is there twice; keep one")
        return values

    try:
        values = json.loads(text, object_pairs_hook=without_duplicates)
    except json.JSONDecodeError as error:
        raise ConfigError(
            f"{name}:{error.lineno}:{error.colno}: broken JSON: {error.msg}",
            hint="correct it there; a file whose name does not end in .json is read as YAML",
        ) from None
    except ValueError as error:  # a number of more than 4,300 digits
        raise ConfigError(f"{name}: broken JSON: {error}", hint="correct that number") from None
    except RecursionError:
        raise _too_deep(name) from None
    if not isinstance(values, dict):
        raise ConfigError(
            f"{name}: a config is a JSON object of keys and values, and this is another value",
            hint="write an object; the config.json of a run is one",
        )
    try:
        places = _parse_yaml(text, name).places
    except ConfigError:
        places = {}
    return Document(name, values, places, problems)


def _compose(text: str, name: str) -> Any:
    """The node graph of the one document in `text`; None when it is empty."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    if _depth(text) > _MOST_DEPTH:  # it takes the parser seconds to find out
        raise _too_deep(name)
    try:
        return YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark is not None else name
        began = error.context_mark
        if began is not None and mark is not None and began.line != mark.line:
            error.context = f"{error.context} that began on line {began.line + 1},"
        what = " ".join(str(part) for part in (error.context, error.problem) if part)
        raise ConfigError(
            f"{where}: broken YAML: {' '.join(what.split())}",
            hint="correct it there; a text that holds : # [ or { needs quotes",
        ) from None
    except (YAMLError, ValueError) as error:
        raise ConfigError(
            f"{name}: broken YAML: {' '.join(str(error).split())}",
            hint="correct it; a text that holds : # [ or { needs quotes",
        ) from None
    except RecursionError:
        raise _too_deep(name) from None


def _too_deep(name: str) -> ConfigError:
    return ConfigError(
        f"{name}: brackets or sections are nested too deeply",
        hint="a config has a few levels of sections; look for brackets that are not closed",
    )


def _depth(text: str) -> int:
    """How many brackets are open at once, at most."""
    changes = (1 if bracket in "[{" else -1 for bracket in _BRACKET.findall(text))
    return max(itertools.accumulate(changes), default=0)


class _Builder:
    """Turns YAML nodes into values, noting places and problems in the document."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.built = 0

    def build(self, node: Any, path: KeyPath, above: frozenset[int]) -> Any:
        self.built += 1
        if id(node) in above or self.built > _MOST_VALUES:
            raise ConfigError(
                f"{self._place(node)}: YAML aliases repeat without end",
                hint="write the values out instead of naming them by *alias",
            )
        tag = str(node.tag)
        inside = above | {id(node)}
        if tag == f"{_TAG}map":
            return self._mapping(node, path, inside)
        if tag == f"{_TAG}seq":
            items: list[Any] = []
            for index, item in enumerate(node.value):
                self.document.places[(*path, index)] = self._place(item)
                items.append(self.build(item, (*path, index), inside))
            return items
        known = {f"{_TAG}{kind}" for kind in ("null", "bool", "int", "float", "str", "timestamp")}
        if tag not in known or not isinstance(node.value, str):
            self.document.problems.append(
                f"{self._place(node)}: the tag {tag.removeprefix(_TAG)} means nothing in a config"
            )
            return None
        return _scalar(tag.removeprefix(_TAG), node.value)

    def _mapping(self, node: Any, path: KeyPath, above: frozenset[int]) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            where = self._place(key_node)
            if not isinstance(key_node.value, str):
                self.document.problems.append(f"{where}: a key must be one word")
                continue
            key = key_node.value
            if key in values:
                first = self.document.places[(*path, key)].rsplit(":", 2)[1]
                self.document.problems.append(
                    f"{where}: {key}: the key is there twice, first on line {first}; keep one"
                )
                continue
            self.document.places[(*path, key)] = where
            values[key] = self.build(value_node, (*path, key), above)
        return values

    def _place(self, node: Any) -> str:
        mark = node.start_mark
        return f"{self.document.name}:{mark.line + 1}:{mark.column + 1}"


def _scalar(kind: str, text: str) -> Any:
    """The value of a scalar that YAML resolved to `kind`; text where only YAML 1.1 saw more."""
    if kind == "null":
        return None
    if kind == "bool" and text.lower() in ("true", "false"):
        return text.lower() == "true"
    if kind == "int" and _INT.match(text) and len(text) <= _MOST_DIGITS:
        digits = text.replace("_", "")
        base = 8 if "0o" in digits else 16 if "0x" in digits else 10
        return int(digits, base)
    if kind == "float" and _FLOAT.match(text):
        return float(text.replace("_", ""))
    if kind == "float" and _INF_OR_NAN.match(text):
        return float(text.replace(".", ""))
    return text


def _missing_hint(path: Path) -> str:
    if not path.parent.is_dir():
        return f"there is no directory {path.parent} either"
    return _files_hint(path.parent, path.name)


def _files_hint(folder: Path, wanted: str) -> str:
    names = sorted(_config_names(folder))
    if close := close_to(wanted, names, most=3, cutoff=0.5):
        return "did you mean " + " or ".join(str(folder / name) for name in close) + "?"
    if names:
        return f"{folder} has " + ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
    return f"{folder} holds no config; `ot config init VERB -o FILE` writes a commented one"


def _config_names(folder: Path) -> Iterable[str]:
    try:
        entries = list(folder.iterdir())
    except OSError:
        return []
    return [entry.name for entry in entries if entry.suffix in (".yaml", ".yml", ".json")]
