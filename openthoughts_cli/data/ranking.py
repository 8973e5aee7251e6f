"""Which sources are best: a file that ranks them, and the equal parts of the first N."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from openthoughts_cli.config.choice import full_source_name
from openthoughts_cli.errors import ConfigError, NotFoundError

__all__ = ["read_ranking", "top_shares"]

_FORMS = "a list of sources, the best first, or scores by source (the highest is best)"


def top_shares(mix: str, ranking: Path) -> dict[str, float]:
    """Equal shares of the first N sources: `top2` -> `{first: 0.5, second: 0.5}`.

    Raises:
        NotFoundError: there is no such file.
        ConfigError: it is no ranking, or ranks fewer than N sources.
    """
    count = int(mix.removeprefix("top"))
    sources = read_ranking(ranking)
    if len(sources) < count:
        raise ConfigError(
            f"{ranking} ranks {len(sources)} sources, and mix {mix} needs {count}",
            hint=f"write top{len(sources)}, or rank more sources",
        )
    return dict.fromkeys(sorted(sources[:count]), 1 / count)


def read_ranking(path: Path) -> list[str]:
    """Full source names, the best first, from a JSON, YAML or CSV file.

    Raises:
        NotFoundError: there is no such file.
        ConfigError: it is no ranking.
    """
    if not path.is_file():
        raise NotFoundError(f"there is no ranking {path}", hint="check the path given to --ranking")
    try:
        value = _csv(path) if path.suffix.lower() == ".csv" else _yaml(path)
        names = _names(value)
    except (ValueError, TypeError, KeyError, ArithmeticError, RecursionError) as error:
        raise ConfigError(
            f"{path} is not a ranking: {' '.join(str(error).split())[:160]}", hint=f"write {_FORMS}"
        ) from error
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"{path} ranks {', '.join(twice)} twice", hint="keep each source once")
    return names


def _yaml(path: Path) -> Any:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        # JSON is YAML, and so needs no reader of its own.
        return YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except (YAMLError, UnicodeDecodeError) as error:
        raise ValueError(str(error)) from error


def _csv(path: Path) -> Any:
    import csv

    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = [row for row in csv.reader(file) if row]
    if rows and rows[0][0].strip().lower() == "source":
        rows = rows[1:]
    scored = {row[0].strip(): row[1] for row in rows if len(row) > 1 and _is_number(row[1])}
    if len(scored) == len(rows):
        return {name: float(score) for name, score in scored.items()}
    return [row[0].strip() for row in rows]


def _names(value: Any) -> list[str]:
    if isinstance(value, Mapping) and "ranking" in value:
        value = value["ranking"]
    if isinstance(value, Mapping):
        scores = {str(name): float(score) for name, score in value.items()}
        value = sorted(scores, key=lambda name: (-scores[name], name))
    if not isinstance(value, list) or not value:
        raise ValueError(f"it holds {type(value).__name__}, not {_FORMS}")
    if all(isinstance(row, Mapping) and "source" in row for row in value):
        if all("score" in row for row in value):
            return _names({row["source"]: row["score"] for row in value})
        value = [row["source"] for row in value]
    if not all(isinstance(name, str) and name for name in value):
        raise ValueError("a source is no text")
    return [full_source_name(name) for name in value]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
