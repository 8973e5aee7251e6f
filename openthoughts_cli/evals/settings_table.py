"""The settings of several runs in one table, a line a key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from openthoughts_cli.evals.versus import LABELS

__all__ = ["SettingLine", "settings_table"]


class SettingLine(NamedTuple):
    """One dotted key, and its value in each run; None where a run has none."""

    key: str
    values: tuple[Any, ...]
    differs: bool


def settings_table(configs: Sequence[Mapping[str, Any]]) -> list[SettingLine]:
    """All keys of the configs, sorted, without the labels that tell two runs of one recipe apart.

    A section that a config lacks is one line where no other config differs within it.
    """
    return [line for line in _lines(configs, "") if line.key not in LABELS]


def _lines(sections: Sequence[Any], prefix: str) -> list[SettingLine]:
    found: list[SettingLine] = []
    for key in sorted(
        {key for section in sections if isinstance(section, dict) for key in section}
    ):
        values = [section.get(key) if isinstance(section, dict) else None for section in sections]
        present = [value for value in values if value is not None]
        if present and all(isinstance(value, dict) and value for value in present):
            found += _lines(values, f"{prefix}{key}.")
        else:
            differs = any(value != values[0] for value in values)
            found.append(SettingLine(f"{prefix}{key}", tuple(values), differs))
    return found
