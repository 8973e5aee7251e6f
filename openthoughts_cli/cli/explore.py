"""`ot explore`: the data, the subsets, the runs and every answer, in the browser."""

from __future__ import annotations

from typing import Annotated

import typer

from openthoughts_cli.cli import complete
from openthoughts_cli.cli.console import Console, open_console
from openthoughts_cli.cli.options import (
    DatasetOption,
    FullOption,
    OfflineOption,
    PlainOption,
    QuietOption,
    TokenizerOption,
    go_offline,
)

__all__ = ["app"]

app = typer.Typer(add_completion=False)


@app.command()
def explore(
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="SUBSET|RUN|SWEEP",
            help="What is opened first: a name, or a directory. Default: the data set.",
            autocompletion=complete.subsets_runs_and_sweeps,
        ),
    ] = None,
    dataset: DatasetOption = None,
    tokenizer: TokenizerOption = None,
    full: FullOption = None,
    no_open: Annotated[bool, typer.Option("--no-open", help="Do not open the browser.")] = False,
    port: Annotated[
        int | None,
        typer.Option(
            min=1, max=65535, metavar="N", help="Default: 8501, or the next one that is free."
        ),
    ] = None,
    address: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            help="Where to listen. Default: this machine alone, 127.0.0.1.",
            show_default=False,
        ),
    ] = "127.0.0.1",
    public: Annotated[
        bool,
        typer.Option("--public", help="Only the data set, read only: no paths, runs or saving."),
    ] = False,
    offline: OfflineOption = False,
    quiet: QuietOption = False,
    plain: PlainOption = False,
) -> None:
    """Look at data, subsets, runs and answers in the browser.

    Serves a page on this machine until Ctrl-C. It reads, and writes nothing but the subsets that you
    save; no usage statistics are sent.
    """
    console = open_console(quiet=quiet, plain=plain)
    if offline:
        go_offline()
    from openthoughts_cli.explorer.serve import choose_port, is_loopback, serve
    from openthoughts_cli.explorer.target import find_settings

    settings = find_settings(
        target, dataset=dataset, tokenizer=tokenizer, full=bool(full), public=public
    )
    port = choose_port(address, port)
    if not is_loopback(address) and not public:
        console.warn(
            f"listening on {address}: whoever reaches this machine sees your subsets and runs and "
            "can save subsets; --public shows the data set alone"
        )
    serve(settings, address=address, port=port, ready=lambda url: _greet(console, url, no_open))
    console.note("stopped")


def _greet(console: Console, url: str, no_open: bool) -> None:
    console.print(url)
    console.note("Ctrl-C stops it")
    if not no_open:
        import webbrowser

        if not webbrowser.open(url):
            console.note("no browser could be opened: open that address yourself")
