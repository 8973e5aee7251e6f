"""`ot index`: build, show and drop indexes of data sets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from openthoughts_cli.cli.console import Console, open_console
from openthoughts_cli.cli.options import (
    ConfigOption,
    DatasetOption,
    FullOption,
    JsonOption,
    OfflineOption,
    PlainOption,
    QuietOption,
    SetOption,
    SourceOption,
    TokenizerOption,
    YesOption,
    given,
    go_offline,
)

if TYPE_CHECKING:
    from openthoughts_cli.config.subset import SubsetConfig
    from openthoughts_cli.data.index_verb import IndexState

__all__ = ["app"]

app = typer.Typer(
    help="Build, show and drop indexes of data sets.\n\nAn index holds one small row for every row "
    "of a data set: its tokens, labels and question. With it `ot subset` chooses in a second and "
    "reads only the rows that it takes. It is kept below $OT_INDEX, else in the cache.",
    no_args_is_help=True,
    add_completion=False,
)


@app.command()
def build(
    config: ConfigOption = None,
    dataset: DatasetOption = None,
    source: SourceOption = None,
    full: FullOption = None,
    tokenizer: TokenizerOption = None,
    workers: Annotated[
        int | None,
        typer.Option("--workers", "-j", min=1, metavar="N", help="Processes. Default: one a core."),
    ] = None,
    offline: OfflineOption = False,
    set_: SetOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
    plain: PlainOption = False,
) -> None:
    """Build what an index lacks.

    Goes on where a build was stopped. With --source, only files that may hold such rows. With
    --config, for the data, sources and tokenizer of that subset.
    """
    console = open_console(as_json=json, quiet=quiet, plain=plain)
    if offline:
        go_offline()
    from openthoughts_cli.data.index_verb import index_dataset

    options = given(dataset=dataset, source=source, full=full, tokenizer=tokenizer)
    with console.listening() as listener:
        request = _request(config, options, set_)
        state = index_dataset(request, workers=workers, listener=listener)
    _report(console, state)


@app.command()
def status(
    config: ConfigOption = None,
    dataset: DatasetOption = None,
    source: SourceOption = None,
    full: FullOption = None,
    tokenizer: TokenizerOption = None,
    offline: OfflineOption = False,
    set_: SetOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
    plain: PlainOption = False,
) -> None:
    """Show the state of each file's part; without a data set, all that is stored."""
    console = open_console(as_json=json, quiet=quiet, plain=plain)
    if offline:
        go_offline()
    if config is None and dataset is None:
        _list(console)
        return
    from openthoughts_cli.data.index_verb import index_state

    options = given(dataset=dataset, source=source, full=full, tokenizer=tokenizer)
    with console.listening() as listener:
        state = index_state(_request(config, options, set_), listener=listener)
    _report(console, state)


@app.command()
def drop(
    dataset: DatasetOption = None,
    tokenizer: TokenizerOption = None,
    yes: YesOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
    plain: PlainOption = False,
) -> None:
    """Delete stored indexes: of a data set, of a tokenizer, or all.

    --dataset and --tokenizer take the names that `ot index status` shows.
    """
    console = open_console(as_json=json, quiet=quiet, plain=plain)
    from openthoughts_cli.data.index import drop_parts, stored_indexes
    from openthoughts_cli.errors import NotFoundError

    stored = stored_indexes()
    chosen = [
        index
        for index in stored
        if dataset in (None, index.dataset) and tokenizer in (None, index.tokenizer)
    ]
    if not chosen:
        known = ", ".join(f"{index.dataset} ({index.tokenizer})" for index in stored) or "none"
        raise NotFoundError(
            f"no such index is stored; stored: {known}", hint="`ot index status` lists them"
        )
    parts = sum(len(index.parts) for index in chosen)
    size = sum(index.num_bytes for index in chosen)
    console.confirm(
        f"Delete {parts:,} parts, {size / 1e6:,.1f} MB?", yes=yes, hint="agree with --yes"
    )
    freed = drop_parts(chosen)
    console.report(
        "index-dropped",
        {"parts": parts, "bytes": freed},
        lambda: f"dropped {parts:,} parts, {freed / 1e6:,.1f} MB",
    )


def _request(config: Path | None, options: dict[str, Any], sets: list[str] | None) -> SubsetConfig:
    from openthoughts_cli.config.load import load_config
    from openthoughts_cli.config.subset import SubsetConfig

    return load_config(SubsetConfig, file=config, options=options, sets=sets or []).config


def _report(console: Console, state: IndexState) -> None:
    values = state.as_record()

    def render() -> Any:
        from openthoughts_cli.cli.render.index import index_view

        return index_view(values)

    console.report("index", values, render)


def _list(console: Console) -> None:
    from openthoughts_cli.data.index import stored_indexes

    stored = stored_indexes()
    rows = [
        {
            "dataset": index.dataset,
            "tokenizer": index.tokenizer,
            "parts": len(index.parts),
            "rows": index.rows,
            "bytes": index.num_bytes,
            "directory": str(index.directory),
        }
        for index in stored
    ]
    if not rows and not console.as_json:
        console.note("no index is stored; ot index build makes one")
        return

    def render() -> Any:
        from openthoughts_cli.cli.render.index import stored_view

        return stored_view(rows)

    console.report("indexes", {"indexes": rows}, render)
