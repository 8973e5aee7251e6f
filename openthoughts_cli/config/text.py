"""Configs written out: YAML with the origin of each value, commented starters, reference pages."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from openthoughts_cli.config.base import ConfigModel
from openthoughts_cli.config.layers import Origin
from openthoughts_cli.config.schema import (
    NAME,
    VERBS,
    Field,
    as_yaml,
    default_of,
    inner_model,
    mapping_model,
    walk_fields,
)

__all__ = ["reference_page", "starter", "to_yaml"]

_WIDTH = 88


def to_yaml(values: Mapping[str, Any], origins: Mapping[str, Origin] | None = None) -> str:
    """Nested values as YAML that loads again; with `origins` each line says where it is from."""
    lines = list(_yaml_lines(values, ""))
    if origins is None:
        return "".join(f"{line}\n" for line, _ in lines)
    width = min(max((len(line) for line, _ in lines), default=0), 48)
    text = ""
    for line, key in lines:
        origin = origins.get(key)
        text += line if origin is None else f"{line:<{width}}  # {origin}"
        text += "\n"
    return text


def _yaml_lines(values: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str]]:
    indent = "  " * prefix.count(".")
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield f"{indent}{as_yaml(name)}:", ""
            yield from _yaml_lines(value, f"{prefix}{name}.")
        else:
            yield f"{indent}{as_yaml(name)}: {as_yaml(value)}", f"{prefix}{name}"


def starter(verb: str, *, schema: str | None = None) -> str:
    """A commented config of `verb`: required keys set, every other key shown with its default.

    Taking the `#` away from a key's line (and from its section's) puts the key in force.
    """
    lines = [f"# yaml-language-server: $schema={schema}"] if schema else []
    lines += [
        f"# A config of `ot {verb}`. Each key shows its default; take away the # before a key to",
        "# set it. The order: defaults < extends < this file < OT_... < options < --set.",
        "",
        "# Files to start from, relative to this one.",
        "#extends: other.yaml",
    ]
    for name, info in VERBS[verb].model_fields.items():
        lines += ["", *_comment(info.description or "", "# ")]
        nested, entries = inner_model(info.annotation), mapping_model(info.annotation)
        if info.is_required():
            lines.append(f"{name}: {as_yaml(_required_example(VERBS[verb], name))}")
        elif nested is not None:
            lines.append(f"#{name}:")
            lines += _section(nested)
        elif entries is not None:
            lines += _entries(entries, name, default_of(info))
        else:
            lines.append(f"#{name}: {as_yaml(default_of(info))}")
    return "\n".join(lines) + "\n"


def _required_example(model: type[ConfigModel], name: str) -> str:
    return next(field.example for field in walk_fields(model) if field.key == name)


def _section(model: type[ConfigModel]) -> list[str]:
    lines: list[str] = []
    for name, info in model.model_fields.items():
        lines += _comment(info.description or "", "#  # ")
        lines.append(f"#  {name}: {as_yaml(default_of(info))}")
    return lines


def _entries(model: type[ConfigModel], name: str, default: dict[str, Any]) -> list[str]:
    lines = _comment(f"Each name takes {', '.join(model.model_fields)}.", "# ")
    lines.append(f"#{name}:" + ("" if default else " {}"))
    lines += [f"#  {entry}: {as_yaml(settings)}" for entry, settings in default.items()]
    return lines


def _comment(text: str, prefix: str) -> list[str]:
    return [prefix + line for line in textwrap.wrap(" ".join(text.split()), _WIDTH)]


def reference_page() -> str:
    """docs/config.md: every key of every verb, from the models."""
    parts = [
        "<!-- Made by `python -m openthoughts_cli.cli.docs`; a test fails when it is stale. -->\n",
        "# Config reference\n",
        _ORDER,
    ]
    for verb, model in VERBS.items():
        summary = " ".join((model.__doc__ or "").split())
        parts.append(f"## `ot {verb}`\n\n{summary}\n")
        parts.append(_key_table(walk_fields(model)))
        parts.append(f"Schema: [schema/{verb}.json](schema/{verb}.json). In a file's first line:")
        parts.append(f"`# yaml-language-server: $schema=<path to>/docs/schema/{verb}.json`\n")
    return "\n".join(parts)


def _key_table(fields: Iterator[Field]) -> str:
    lines = ["| key | takes | default | meaning |", "|---|---|---|---|"]
    for item in fields:
        default = item.default if item.required else f"`{_escape(item.default)}`"
        cells = [f"`{item.key}`", _escape(item.expected), default, _escape(item.text)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _escape(text: str) -> str:
    """Text for a table's cell: no bar ends it, and outside of code no `<` opens a tag."""
    pieces = text.replace("|", "\\|").split("`")
    pieces[::2] = [piece.replace("<", "&lt;") for piece in pieces[::2]]
    return "`".join(pieces)


_ORDER = f"""\
A value comes from the last of these that gives it:

    defaults < `extends:` < the file < environment < options < `--set a.b=c`

- **File**: YAML 1.2 (`1e-5` is a number, `on` is text) or JSON; `--config -` reads stdin. A saved
  `config.json` is a config file too, and repeats what it records. An unknown or doubled key is
  refused with `file:line:column`.
- **`extends: base.yaml`** (or a list): files to start from, relative to the file that says so.
- **Environment**: `OT_<VERB>__<KEY>`, with `__` between a section and its key:
  `OT_TRAIN__BATCH_SIZE=8`, `OT_TRAIN__ENGINE__DEVICE=cpu`. (Names without
  `__`, such as `OT_RUNS`, are places and not config keys: command-line.md lists them.)
- **`--set key=value`**: any dotted key; the value is YAML. `--set evals.nll.every=1`.
- Mappings merge key by key; lists replace. A file that names `evals` (or `benchmarks`) replaces the
  default list of benchmarks; `--set evals.gpqa=false` leaves one out. A benchmark that is only
  named (`evals: [nll]`, `nll:`, `--set evals=[nll]`) keeps the settings it has, or those of the
  default list.

- Paths other than those of `extends` are relative to the directory where `ot` runs.

`ot config show <verb> --why` prints each value with its origin, `ot config init <verb>` a commented
file, `ot config schema <verb>` the JSON Schema, `ot config diff A B` what differs. `{NAME}` below
stands for a name of your choice, such as a benchmark's.
"""
