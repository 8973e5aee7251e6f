"""`ot subset`: cut a subset of OpenThoughts rows."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Generator
from pathlib import Path
from typing import Annotated, Any

import typer

from openthoughts_cli.cli import complete
from openthoughts_cli.cli.console import Console, open_console
from openthoughts_cli.cli.options import (
    ConfigOption,
    DatasetOption,
    DomainOption,
    ForceOption,
    FullOption,
    JsonOption,
    MaxTokensOption,
    NameOption,
    OfflineOption,
    OutputDirOption,
    PlainOption,
    QuietOption,
    SeedOption,
    SetOption,
    SourceOption,
    TokenizerOption,
    given,
    go_offline,
)
from openthoughts_cli.errors import NetworkError

__all__ = ["app"]

app = typer.Typer(add_completion=False)

_FILTERS = "Filters"
_CHOICE = "Choice"
_MIXTURE = "Mixture"


@app.command()
def subset(
    config: ConfigOption = None,
    dataset: DatasetOption = None,
    source: SourceOption = None,
    domain: DomainOption = None,
    max_tokens: MaxTokensOption = None,
    min_tokens: Annotated[
        int | None,
        typer.Option(metavar="N", help="The shortest row, in tokens.", rich_help_panel=_FILTERS),
    ] = None,
    max_assistant_tokens: Annotated[
        int | None,
        typer.Option(metavar="N", help="The longest response.", rich_help_panel=_FILTERS),
    ] = None,
    max_thinking_tokens: Annotated[
        int | None,
        typer.Option(metavar="N", help="The longest thinking.", rich_help_panel=_FILTERS),
    ] = None,
    difficulty: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LEVELS",
            help="Levels such as 7..9 or 8,none; repeatable.",
            rich_help_panel=_FILTERS,
        ),
    ] = None,
    closed: Annotated[
        bool | None,
        typer.Option("--closed", help="Only rows with </think>.", rich_help_panel=_FILTERS),
    ] = None,
    boxed: Annotated[
        bool | None,
        typer.Option("--boxed", help="Only rows with \\boxed.", rich_help_panel=_FILTERS),
    ] = None,
    where: Annotated[
        str | None,
        typer.Option(
            metavar="SQL",
            help="A predicate over source, domain, difficulty, tokens, tokens_question, "
            "tokens_thinking, tokens_answer, closed, boxed.",
            rich_help_panel=_FILTERS,
        ),
    ] = None,
    decontaminate: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAMES",
            help="Leave out questions of aime25, gpqa, livecodebench, arithmetic or a .jsonl "
            "file; repeatable.",
            autocompletion=complete.benchmark_questions,
            rich_help_panel=_FILTERS,
        ),
    ] = None,
    ngram: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Words in a row that make questions worth comparing, 8 or 13. Default: 8.",
            rich_help_panel=_FILTERS,
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit",
            "-n",
            metavar="N",
            help="How many rows. Default: 100.",
            rich_help_panel=_CHOICE,
        ),
    ] = None,
    questions: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="How many questions, with all their rows.", rich_help_panel=_CHOICE
        ),
    ] = None,
    answers_per_question: Annotated[
        int | None,
        typer.Option(metavar="K", help="The most rows of a question.", rich_help_panel=_CHOICE),
    ] = None,
    dedup: Annotated[
        str | None,
        typer.Option(
            metavar="HOW",
            help="none, or exact: a question counts once. Default: none.",
            rich_help_panel=_CHOICE,
        ),
    ] = None,
    order: Annotated[
        str | None,
        typer.Option(
            metavar="ORDER",
            help="random, hardest, longest or shortest first. Default: random.",
            rich_help_panel=_CHOICE,
        ),
    ] = None,
    mix: Annotated[
        str | None,
        typer.Option(
            metavar="SHARES",
            help="Shares by source, openmath=0.5,physics=0.5; or top2 of a ranking.",
            rich_help_panel=_MIXTURE,
        ),
    ] = None,
    ranking: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Ranks sources, the best first: JSON, YAML or CSV.",
            rich_help_panel=_MIXTURE,
        ),
    ] = None,
    mix_by: Annotated[
        str | None,
        typer.Option(
            metavar="UNIT",
            help="Shares are of rows or tokens. Default: rows.",
            rich_help_panel=_MIXTURE,
        ),
    ] = None,
    allow_short: Annotated[
        bool | None,
        typer.Option(
            "--allow-short", help="Go on where a source has too few.", rich_help_panel=_MIXTURE
        ),
    ] = None,
    seed: SeedOption = None,
    tokenizer: TokenizerOption = None,
    full: FullOption = None,
    skip_bad_files: Annotated[
        bool | None,
        typer.Option("--skip-bad-files", help="Leave out files that cannot be read; record them."),
    ] = None,
    offline: OfflineOption = False,
    name: NameOption = None,
    output_dir: OutputDirOption = None,
    force: ForceOption = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show where the rows would go; write nothing.")
    ] = False,
    list_sources: Annotated[
        bool, typer.Option("--list-sources", help="Count the data set's rows by source.")
    ] = False,
    set_: SetOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
    plain: PlainOption = False,
) -> None:
    """Cut a subset of OpenThoughts rows."""
    console = open_console(as_json=json, quiet=quiet, plain=plain)
    if offline:
        go_offline()
    from openthoughts_cli.config.load import load_config
    from openthoughts_cli.config.subset import SubsetConfig

    options = given(
        dataset=dataset,
        source=source,
        domain=domain,
        max_tokens=max_tokens,
        min_tokens=min_tokens,
        max_assistant_tokens=max_assistant_tokens,
        max_thinking_tokens=max_thinking_tokens,
        difficulty=difficulty,
        closed=closed,
        boxed=boxed,
        where=where,
        decontaminate=decontaminate,
        ngram=ngram,
        limit=limit,
        questions=questions,
        answers_per_question=answers_per_question,
        dedup=dedup,
        order=order,
        mix=mix,
        ranking=ranking,
        mix_by=mix_by,
        allow_short=allow_short,
        seed=seed,
        tokenizer=tokenizer,
        full=full,
        skip_bad_files=skip_bad_files,
        name=name,
        output_dir=output_dir,
    )
    loaded = load_config(SubsetConfig, file=config, options=options, sets=set_ or [])
    with _same_command_elsewhere():
        if list_sources:
            _list_sources(console, loaded.config)
        elif dry_run:
            _preview(console, loaded.config)
        else:
            _build(console, loaded.config, force)


def _build(console: Console, config: Any, force: bool) -> None:
    from openthoughts_cli.cli.render.subset import subset_view
    from openthoughts_cli.data.subset import build_subset

    with console.listening() as listener:
        made = build_subset(config, force=force, listener=listener)
    values = {"name": made.name, "path": made.path, "reused": made.reused, "record": made.metadata}
    console.report("subset", values, lambda: subset_view(made))


def _preview(console: Console, config: Any) -> None:
    from openthoughts_cli.cli.render.subset import preview_view
    from openthoughts_cli.data.subset import default_name, preview_subset

    with console.listening() as listener:
        found = preview_subset(config, listener=listener)
    name = config.name or default_name(config, found.corpus)
    values = {
        "name": name,
        "config": config,
        "dataset": found.corpus.describe(),
        "funnel": found.funnel.record(),
    }
    console.report("subset-preview", values, lambda: preview_view(found, name))


def _list_sources(console: Console, config: Any) -> None:
    from openthoughts_cli.cli.render.subset import labels_view
    from openthoughts_cli.data.plan import count_labels

    with console.listening() as listener:
        counts = count_labels(config, listener=listener)
    rows = [
        {"source": source, "domain": domain, "rows": count}
        for (source, domain), count in sorted(counts.items())
    ]
    console.report(
        "sources", {"dataset": config.dataset, "sources": rows}, lambda: labels_view(counts)
    )


@contextlib.contextmanager
def _same_command_elsewhere() -> Generator[None]:
    """Where rows cannot be fetched, the remedy is this command with the built-in rows."""
    try:
        yield
    except NetworkError as error:
        import sys

        if "--decontaminate" in (error.hint or ""):
            raise  # other rows would not help
        words = [*sys.argv[1:]]
        if "--dataset" in words[:-1]:
            at = words.index("--dataset")
            del words[at : at + 2]
        words = [word for word in words if not word.startswith("--dataset=")]
        command = shlex.join(["ot", *words, "--dataset", "sample"])
        first = (error.hint or "").partition(";")[0]
        raise type(error)(
            error.message,
            hint=f"{first}, or use the built-in rows: {command} (or --dataset with a folder of "
            "parquet files)",
        ) from error
