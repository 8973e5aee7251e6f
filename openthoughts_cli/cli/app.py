"""The root command `ot`: a table of verbs, each loaded only when it is called.

How to write a command module
=============================

1. One file a verb, `cli/<verb>.py` (`inspect_.py` where Python has the name already), with a
   Typer app of its own called `app`::

       app = typer.Typer(add_completion=False)

       @app.command()
       def subset(
           config: ConfigOption = None,
           limit: LimitOption = None,
           set_: SetOption = None,
           json: JsonOption = False,
           quiet: QuietOption = False,
           plain: PlainOption = False,
       ) -> None:
           \"\"\"Cut a subset of OpenThoughts rows.\"\"\"      # first line = the line in the table below
           console = open_console(as_json=json, quiet=quiet, plain=plain)
           from openthoughts_cli.data.subset import build_subset   # heavy: inside the function
           loaded = load_config(SubsetConfig, file=config, options=given(limit=limit), sets=set_ or [])
           with console.listening() as listener:
               result = build_subset(loaded.config, listener=listener)
           console.report("subset", {"name": result.name}, lambda: render(result))

   A verb with commands of its own (`ot runs ls`) has an app with several `@app.command`s and
   `typer.Typer(help="...", no_args_is_help=True, add_completion=False)`.
2. Add one row to `VERBS` below: name, module, the first line of its help, panel. A test checks
   that the module exists and that the line is the same.
3. At module level import only typer, the standard library, `openthoughts_cli.cli.{options,console}`,
   `errors`, `events` and `places`. Everything else (config models and load_config too: pydantic is
   slow to import) goes inside the function. A test guards what `ot <verb> --help` imports.
4. Options come from `cli/options.py` where they exist there. A command's own options default to
   None, and `given(...)` drops those left out, so that the file's values stand. Say the default in
   the help text.
5. Parse, call one function, render. `console.report(kind, values, render)` writes the record with
   `--json` (stdout then holds nothing else) or the rendering. Notes and warnings: `console.note`,
   `console.warn`. Never `print`. Questions: `console.confirm(question, yes=yes, hint=...)`.
6. Raise OtError subclasses (one sentence, `hint=` the remedy). Never catch to print: the boundary
   in `__main__` prints `error:` and `hint:` and returns the class's exit code. A command that ends
   well but with another code raises `typer.Exit(code)`.
7. Ctrl-C and SIGTERM raise KeyboardInterrupt (exit 130). A command that ends at a safe point
   instead wraps its work in `interrupts.stop_on_request()`.
"""

from __future__ import annotations

import importlib
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup

__all__ = ["MAIN", "MORE", "VERBS", "Verb", "app", "load_verb", "root_command"]

MAIN = "Main"
MORE = "More"


class Verb(NamedTuple):
    """One row of the table: what `ot --help` shows, and where the command is."""

    name: str
    module: str
    help: str
    panel: str = MORE


VERBS: dict[str, Verb] = {
    verb.name: verb
    for verb in (
        Verb("subset", "openthoughts_cli.cli.subset", "Cut a subset of OpenThoughts rows.", MAIN),
        Verb("inspect", "openthoughts_cli.cli.inspect_", "Look into a subset.", MAIN),
        Verb("train", "openthoughts_cli.cli.train", "Fine-tune a model on a subset.", MAIN),
        Verb("eval", "openthoughts_cli.cli.eval", "Score a model or a run's weights.", MAIN),
        Verb("sweep", "openthoughts_cli.cli.sweep", "Run a grid of recipes.", MAIN),
        Verb(
            "explore",
            "openthoughts_cli.cli.explore",
            "Look at data, subsets, runs and answers in the browser.",
            MAIN,
        ),
        Verb(
            "quickstart",
            "openthoughts_cli.cli.quickstart",
            "Subset, training and scores in minutes, on this machine.",
        ),
        Verb(
            "index",
            "openthoughts_cli.cli.index",
            "Build, show and drop indexes of data sets.",
        ),
        Verb("grade", "openthoughts_cli.cli.grade", "Grade answers from a file."),
        Verb(
            "compare",
            "openthoughts_cli.cli.compare",
            "Compare two runs, checkpoints or evaluations.",
        ),
        Verb(
            "report",
            "openthoughts_cli.cli.report",
            "Write one self-contained HTML page about a run or a sweep.",
        ),
        Verb(
            "push",
            "openthoughts_cli.cli.push",
            "Upload a subset or a run's weights to the Hugging Face hub.",
        ),
        Verb("runs", "openthoughts_cli.cli.runs", "List, show and export runs."),
        Verb(
            "doctor",
            "openthoughts_cli.cli.doctor",
            "Check this machine, its packages, keys and services.",
        ),
        Verb(
            "config",
            "openthoughts_cli.cli.config",
            "Show, start, describe and compare config files.",
        ),
    )
}


def load_verb(verb: Verb) -> TyperCommand | TyperGroup:
    """Import the verb's module and make its command."""
    module = importlib.import_module(verb.module)
    command: Any = typer.main.get_command(module.app)
    command.name = verb.name
    command.rich_help_panel = verb.panel
    _tidy_help(command)
    return command


def root_command() -> TyperGroup:
    """The whole command line."""
    command: Any = typer.main.get_command(app)
    _tidy_help(command)
    return command


def _tidy_help(command: Any) -> None:
    """Join the lines of each paragraph of the help, and leave out `<bool>` beside flags."""
    if command.help:
        paragraphs = command.help.split("\n\n")
        command.help = "\n\n".join(
            text if text.startswith((" ", "-")) else " ".join(text.split()) for text in paragraphs
        )
    context = typer.Context(command, **_CONTEXT)
    for param in [*command.params, command.get_help_option(context)]:
        if getattr(param, "is_flag", False) and param.metavar is None:
            param.metavar = ""
    for inner in getattr(command, "commands", {}).values():
        _tidy_help(inner)


class LazyGroup(TyperGroup):
    """A group that knows its commands by name and help line, and imports one when it runs."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for verb in VERBS.values():
            line = TyperCommand(verb.name, help=verb.help, rich_help_panel=verb.panel)
            self.add_command(line)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command as usual, then put the real one in the place of its help line."""
        name, command, rest = super().resolve_command(ctx, args)
        if name is not None and name in VERBS:
            command = load_verb(VERBS[name])
        return name, command, rest


_CONTEXT: dict[str, Any] = {"help_option_names": ["--help", "-h"]}

app = typer.Typer(
    name="ot",
    cls=LazyGroup,
    help="Cut a subset of OpenThoughts3, fine-tune on it, and find out which recipe is better.",
    epilog="New here: ot quickstart. What works on this machine: ot doctor.",
    no_args_is_help=True,
    context_settings=_CONTEXT,
    pretty_exceptions_enable=False,
)


def _show_version(value: bool) -> None:
    if value:
        from importlib.metadata import PackageNotFoundError, version

        try:
            typer.echo(f"ot {version('openthoughts-cli')}")
        except PackageNotFoundError:
            typer.echo("ot (a source tree that is not installed)")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", "-V", callback=_show_version, is_eager=True, help="Show the version."
        ),
    ] = False,
) -> None:
    """Cut a subset of OpenThoughts3, fine-tune on it, and find out which recipe is better."""
