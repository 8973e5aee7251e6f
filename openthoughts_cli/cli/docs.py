"""Make the generated pages: docs/cli.md, docs/config.md, docs/errors.md and docs/schema/*.json.

    python -m openthoughts_cli.cli.docs [FOLDER]        # FOLDER: docs

A test compares what this makes with what is committed.
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from openthoughts_cli.cli.app import VERBS, load_verb
from openthoughts_cli.cli.docs_recipes import recipes_page
from openthoughts_cli.cli.error_page import error_page
from openthoughts_cli.config import schema, text
from openthoughts_cli.config.json_schema import json_schema
from openthoughts_cli.store import write_whole

__all__ = ["cli_page", "main", "pages"]

_INTRO = """\
<!-- Made by `python -m openthoughts_cli.cli.docs`; a test fails when it is stale. -->

# Command reference

`ot --help` lists the commands, `ot <command> --help` explains one.

Stdout holds the report, or with `--json` one record of JSON (`kind`, `format`, then the values) and
nothing else; progress, notes, warnings, errors and questions go to stderr. `--quiet` leaves out
progress and notes. `--plain` (or `NO_COLOR`, or a stderr that is no terminal) leaves out what moves
and shines; without a terminal nothing is asked.

| exit code | meaning |
|---|---|
| 0 | done (also when the reader of stdout left early) |
| 1 | failed |
| 2 | a wrong option, config or value, or a name that does not exist |
| 3 | partly done; what succeeded is kept |
| 4 | stopped by the money limit; a checkpoint is kept |
| 130 | interrupted by Ctrl-C or SIGTERM |

Completion for bash, zsh and fish: `ot --install-completion`.
"""


def pages() -> dict[str, str]:
    """All generated files by their path below docs/."""
    made = {
        "cli.md": cli_page(),
        "config.md": text.reference_page(),
        "errors.md": error_page(),
    }
    for verb in schema.VERBS:
        made[f"schema/{verb}.json"] = (
            json.dumps(json_schema(verb), indent=2, ensure_ascii=False) + "\n"
        )
    if (recipes := recipes_page()) is not None:
        made["recipes.md"] = recipes
    return made


def cli_page() -> str:
    """docs/cli.md: each command with its arguments and options, from the Typer app."""
    parts = [_INTRO]
    for verb in VERBS.values():
        parts.extend(_command_parts(load_verb(verb), f"ot {verb.name}"))
    return "\n".join(parts)


def _command_parts(command: Any, path: str) -> Iterator[str]:
    context = typer.Context(command, info_name=path)
    yield f"## `{path}`\n\n{inspect.cleandoc(command.help or '')}\n"
    inner = getattr(command, "commands", None)
    if inner:
        for name, sub in inner.items():
            yield from _command_parts(sub, f"{path} {name}")
        return
    usage = " ".join(command.collect_usage_pieces(context))
    yield f"```text\n{path} {usage}\n```\n"
    rows = [_row(param, context) for param in command.params if not param.hidden]
    if rows:
        yield "| argument or option | meaning |\n|---|---|\n" + "\n".join(rows) + "\n"


def _row(param: Any, context: Any) -> str:
    if param.param_type_name == "argument":
        names = " ".join(f"`{piece}`" for piece in param.get_usage_pieces(context))
    else:
        taken = "" if param.is_flag or param.count else f" {param.metavar or _type_name(param)}"
        opts = [*param.opts, *param.secondary_opts]
        names = ", ".join(f"`{opt}{taken}`" for opt in opts)
    help_text = " ".join((param.help or "").split()).replace("|", "\\|")
    return f"| {names.replace('|', chr(92) + '|')} | {help_text} |"


def _type_name(param: Any) -> str:
    annotation = param.type_descriptor.annotation
    return str(getattr(annotation, "__name__", annotation)).upper()


def main(arguments: list[str]) -> int:
    """Write the pages below the folder given, or below docs/."""
    folder = Path(arguments[0]) if arguments else Path("docs")
    for name, content in pages().items():
        write_whole(folder / name, content, shared=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
