"""The prompts, one text file a benchmark, with `{problem}` where the question goes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from openthoughts_cli.errors import ConfigError

__all__ = ["fill_template", "read_template"]

_FIELD = re.compile(r"\{([a-z_]+)\}")


def read_template(name: str | Path) -> str:
    """A shipped template by its name, or the text of a file of the user's own.

    One newline at the file's end is not part of the template.

    Raises:
        ConfigError: there is no such file, or it has no `{problem}`.
    """
    path = name if isinstance(name, Path) else Path(__file__).with_name(f"{name}.txt")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"the prompt file {path} cannot be read: {error}",
            hint="give --prompt NAME=FILE a UTF-8 text file that holds {problem}",
        ) from error
    template = text.removesuffix("\n")
    if "{problem}" not in template:
        raise ConfigError(
            f"{path} has no {{problem}}", hint="write {problem} where the question belongs"
        )
    return template


def fill_template(template: str, fields: Mapping[str, str]) -> str:
    """Put each field in its braces, once: braces in the filled text, as LaTeX has, stay.

    Braces that name no field (`\\boxed{}`, `{x}`) stay as they are.
    """
    return _FIELD.sub(lambda match: fields.get(match[1], match[0]), template)
