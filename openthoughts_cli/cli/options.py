"""Options and arguments that several commands share, so that one name means one thing.

Each is an `Annotated` type: `def train(config: ConfigOption = None, json: JsonOption = False)`.
An option left out is None (or an empty list), and `given` drops it, so that it never hides a
value of the config file.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from openthoughts_cli.cli import complete, complete_config

__all__ = [
    "BaseUrlOption",
    "BenchmarkOption",
    "CheckpointOption",
    "ConfigOption",
    "DatasetOption",
    "DomainOption",
    "EngineOption",
    "ForceOption",
    "FullOption",
    "JsonOption",
    "LimitOption",
    "MaxTokensOption",
    "MaxUsdOption",
    "MergedOption",
    "ModelOption",
    "NameOption",
    "OfflineOption",
    "OutputDirOption",
    "PlainOption",
    "QuietOption",
    "RunArgument",
    "RunOption",
    "SeedOption",
    "SetOption",
    "SkipUnavailableOption",
    "SourceOption",
    "SubsetArgument",
    "SubsetOption",
    "TokenizerOption",
    "UnsafeOption",
    "YesOption",
    "given",
    "go_offline",
]

_OUTPUT = "Output"

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        help="A YAML or JSON config; '-' reads it from stdin.",
        autocompletion=complete.config_files,
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        "-s",
        metavar="KEY=VALUE",
        help="Set any config key, e.g. --set engine.device=cpu. Repeatable.",
        autocompletion=complete_config.config_keys,
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Write records to stdout.", rich_help_panel=_OUTPUT)
]
QuietOption = Annotated[
    bool, typer.Option("--quiet", "-q", help="No progress, no notes.", rich_help_panel=_OUTPUT)
]
PlainOption = Annotated[
    bool,
    typer.Option(
        "--plain", help="No colour, no moving bars, no questions.", rich_help_panel=_OUTPUT
    ),
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Agree to the plan beforehand.")]
FullOption = Annotated[
    bool | None, typer.Option("--full", help="Read all files of a large hub data set.")
]
TokenizerOption = Annotated[
    str | None,
    typer.Option(
        "--tokenizer", metavar="MODEL", help="Whose tokens are counted: a model id or folder."
    ),
]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace what is there.")]

EngineOption = Annotated[
    str | None,
    typer.Option(
        "--engine",
        metavar="ENGINE",
        help="tinker or local. Default: tinker if configured, else local.",
        autocompletion=complete.engines,
    ),
]
BaseUrlOption = Annotated[
    str | None,
    typer.Option("--base-url", metavar="URL", help="A server that speaks Tinker's API."),
]
ModelOption = Annotated[
    str | None, typer.Option("--model", "-m", metavar="MODEL", help="A model id or folder.")
]
MaxUsdOption = Annotated[
    float | None,
    typer.Option("--max-usd", metavar="USD", help="Spend no more; also agrees to spend it."),
]
SeedOption = Annotated[int | None, typer.Option("--seed", metavar="N", help="The random seed.")]
LimitOption = Annotated[int | None, typer.Option("--limit", "-n", metavar="N", help="How many.")]
MaxTokensOption = Annotated[
    int | None, typer.Option("--max-tokens", metavar="N", help="The longest row, in tokens.")
]
NameOption = Annotated[
    str | None, typer.Option("--name", metavar="NAME", help="The result's name.")
]
OutputDirOption = Annotated[
    Path | None,
    typer.Option("--output-dir", "-o", metavar="DIR", help="The directory for the result."),
]

DatasetOption = Annotated[
    str | None,
    typer.Option(
        "--dataset",
        metavar="DATASET",
        help="A hub id, a folder or glob of parquet files, or 'sample'.",
        autocompletion=complete.datasets,
    ),
]
SourceOption = Annotated[
    list[str] | None,
    typer.Option(
        "--source",
        metavar="SOURCE",
        help="Rows of this source; repeatable: openmath, opencode, codegolf, chemistry, "
        "physics, all.",
        autocompletion=complete.sources,
    ),
]
DomainOption = Annotated[
    list[str] | None,
    typer.Option(
        "--domain",
        metavar="DOMAIN",
        help="Rows of this domain; repeatable: code, math, science, all.",
        autocompletion=complete.domains,
    ),
]

OfflineOption = Annotated[
    bool,
    typer.Option(
        "--offline", help="Use what is on this machine; ask no hub and no package registry."
    ),
]

SubsetArgument = Annotated[
    str,
    typer.Argument(
        metavar="SUBSET", help="A subset's name or directory.", autocompletion=complete.subsets
    ),
]
SubsetOption = Annotated[
    str | None,
    typer.Option(
        "--subset",
        metavar="SUBSET",
        help="A subset's name or directory.",
        autocompletion=complete.subsets,
    ),
]
RunArgument = Annotated[
    str,
    typer.Argument(metavar="RUN", help="A run's id or directory.", autocompletion=complete.runs),
]
RunOption = Annotated[
    str | None,
    typer.Option(
        "--run", metavar="RUN", help="A run's id or directory.", autocompletion=complete.runs
    ),
]
CheckpointOption = Annotated[
    str | None,
    typer.Option(
        "--checkpoint",
        metavar="NAME",
        help="A checkpoint of the run. Default: the final one, else the newest.",
    ),
]
MergedOption = Annotated[
    bool, typer.Option("--merged", help="The whole model, the adapter merged into it.")
]
BenchmarkOption = Annotated[
    list[str] | None,
    typer.Option(
        "--benchmark",
        "-b",
        metavar="NAME",
        help="A benchmark to run. Repeatable.",
        autocompletion=complete.benchmarks,
    ),
]
SkipUnavailableOption = Annotated[
    bool, typer.Option("--skip-unavailable", help="Leave out benchmarks that cannot run here.")
]
UnsafeOption = Annotated[
    bool,
    typer.Option("--unsafe-no-sandbox", help="Run code answers on this machine unprotected."),
]


def go_offline() -> None:
    """`--offline`: forbid requests in this process, before any library asks whether it may."""
    from openthoughts_cli.hub.session import OFFLINE_VARIABLES

    os.environ.update(dict.fromkeys(OFFLINE_VARIABLES, "1"))


def given(**options: Any) -> dict[str, Any]:
    """The options that were given: those that are neither None nor an empty list.

    A double underscore descends: `given(engine__base_url=url)` is the key `engine.base_url`.
    """
    return {
        name.replace("__", "."): value
        for name, value in options.items()
        if value is not None and value != []
    }
