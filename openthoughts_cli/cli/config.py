"""`ot config`: show, start, describe and compare config files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from openthoughts_cli.cli import complete
from openthoughts_cli.cli.console import Console, open_console
from openthoughts_cli.cli.options import (
    ConfigOption,
    ForceOption,
    JsonOption,
    PlainOption,
    QuietOption,
    SetOption,
)
from openthoughts_cli.errors import ConfigError, ConflictError, NotFoundError, OtError
from openthoughts_cli.places import runs_dir

if TYPE_CHECKING:
    from openthoughts_cli.config.base import ConfigModel
    from openthoughts_cli.config.load import Loaded

__all__ = ["app"]

app = typer.Typer(
    help="Show, start, describe and compare config files.",
    no_args_is_help=True,
    add_completion=False,
)


def _side(metavar: str, what: str) -> Any:
    return typer.Argument(metavar=metavar, help=what, autocompletion=complete.configs_and_runs)


VerbArgument = Annotated[
    str,
    typer.Argument(
        metavar="VERB",
        help="subset, train, eval or sweep.",
        autocompletion=complete.verbs_with_config,
    ),
]


@app.command()
def show(
    verb: VerbArgument,
    config: ConfigOption = None,
    set_: SetOption = None,
    why: Annotated[bool, typer.Option("--why", help="Add where each value comes from.")] = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
    plain: PlainOption = False,
) -> None:
    """Print the resolved config of a verb as YAML that loads again.

    The order: defaults, extends, the file, OT_... variables, options, --set.
    """
    console = open_console(as_json=json, quiet=quiet, plain=plain)
    from openthoughts_cli.config.load import load_config, resolved_values
    from openthoughts_cli.config.text import to_yaml

    loaded = load_config(_model(verb), file=config, sets=set_ or [], fill_required=True)
    values = resolved_values(loaded.config)
    origins = {key: {"kind": o.kind, "where": o.where} for key, o in loaded.origins.items()}
    console.report(
        "config",
        {"verb": verb, "config": values, "origins": origins},
        lambda: to_yaml(values, loaded.origins if why else None).rstrip("\n"),
    )


@app.command()
def init(
    verb: VerbArgument,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write here. Default: stdout."),
    ] = None,
    force: ForceOption = False,
    quiet: QuietOption = False,
    plain: PlainOption = False,
) -> None:
    """Print a commented starter file with every key of a verb."""
    console = open_console(quiet=quiet, plain=plain)
    from openthoughts_cli.config.text import starter
    from openthoughts_cli.store import write_whole

    _model(verb)
    text = starter(verb, schema=_schema_beside(verb, output))
    if output is None:
        console.print(text.rstrip("\n"))
        return
    if output.exists() and not force:
        raise ConflictError(f"{output} exists", hint="choose another name, or --force")
    write_whole(output, text, shared=True)
    console.note(f"wrote {output}")


@app.command()
def schema(verb: VerbArgument) -> None:
    """Print the JSON Schema of a verb's config, for editors."""
    console = open_console()
    import json

    from openthoughts_cli.config.json_schema import json_schema

    _model(verb)
    console.print(json.dumps(json_schema(verb), indent=2, ensure_ascii=False))


@app.command()
def diff(
    a: Annotated[str, _side("A", "A config file, or a run.")],
    b: Annotated[str, _side("B", "The other one.")],
    verb: Annotated[
        str | None,
        typer.Option("--verb", metavar="VERB", help="Whose configs. Default: by their keys."),
    ] = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
    plain: PlainOption = False,
) -> None:
    """List the values in which two resolved configs differ.

    OT_... variables play no part.
    """
    console = open_console(as_json=json, quiet=quiet, plain=plain)
    first, second = _config_of(a), _config_of(b)
    chosen = verb or _verb_of_files(first, second)
    left, right = _flat(_load(chosen, first)), _flat(_load(chosen, second))
    changes = {
        key: {side: values[key] for side, values in (("a", left), ("b", right)) if key in values}
        for key in {**left, **right}
        if (key in left, left.get(key)) != (key in right, right.get(key))
    }
    console.report(
        "config-diff",
        {"verb": chosen, "a": str(first), "b": str(second), "changes": changes},
        lambda: _change_table(console, changes, a, b),
    )


def _model(verb: str) -> type[ConfigModel]:
    from openthoughts_cli.config.schema import VERBS
    from openthoughts_cli.words import BEFORE_HINT, did_you_mean

    if verb in VERBS:
        return VERBS[verb]
    guess = did_you_mean(verb, VERBS, BEFORE_HINT)
    raise NotFoundError(
        f"no verb {verb!r} reads a config", hint=f"{guess}choose from {', '.join(VERBS)}"
    )


def _schema_beside(verb: str, output: Path | None) -> str | None:
    """The schema's path as seen from the file, when this is a source tree that has it."""
    import os

    place = Path("docs/schema") / f"{verb}.json"
    if not place.is_file():
        return None
    return os.path.relpath(place, output.parent if output is not None else Path())


def _config_of(name: str) -> Path:
    """A config file, or the saved config of a run given by directory or id."""
    for place in (Path(name), runs_dir() / name):
        if (place / "config.json").is_file():
            return place / "config.json"
    if Path(name).exists() or Path(name).suffix in (".yaml", ".yml", ".json"):
        return Path(name)
    raise NotFoundError(
        f"{name} is neither a config file nor a run in {runs_dir()}",
        hint="give the path of a YAML or JSON file, or the id of a run (`ot runs ls`)",
    )


def _verb_of_files(*files: Path) -> str:
    """The one verb whose model knows all keys of the files."""
    from openthoughts_cli.config.schema import VERBS

    fitting = [verb for verb in VERBS if all(_fits(verb, file) for file in files)]
    if len(fitting) == 1:
        return fitting[0]
    some = f"{' and '.join(fitting)} fit" if fitting else "no verb fits"
    names = " and ".join(str(file) for file in files)
    raise ConfigError(
        f"cannot tell whose configs {names} are: {some}", hint="say it with --verb train"
    )


def _fits(verb: str, file: Path) -> bool:
    try:
        _load(verb, file)
    except NotFoundError:
        raise
    except OtError:
        return False
    return True


def _load(verb: str, file: Path) -> Loaded[Any]:
    from openthoughts_cli.config.load import load_config

    return load_config(_model(verb), file=file, environ={}, fill_required=True)


def _flat(loaded: Loaded[Any]) -> dict[str, Any]:
    from openthoughts_cli.config.load import flat_values

    return flat_values(loaded.config)


def _change_table(console: Console, changes: dict[str, dict[str, Any]], a: str, b: str) -> Any:
    from openthoughts_cli.cli.render.tables import table
    from openthoughts_cli.config.schema import as_yaml

    if not changes:
        console.note("the resolved configs are equal")
        return ""
    rows = [
        (key, *(as_yaml(sides[side]) if side in sides else "(absent)" for side in "ab"))
        for key, sides in changes.items()
    ]
    return table(["key", a, b], rows)
