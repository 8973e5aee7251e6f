"""`ot report`: one page about a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from openthoughts_cli.cli.console import open_console
from openthoughts_cli.cli.options import JsonOption, PlainOption, QuietOption, RunArgument

__all__ = ["app"]

app = typer.Typer(add_completion=False)


@app.command()
def report(
    run: RunArgument,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Default: report.html in the run's directory."
        ),
    ] = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
    plain: PlainOption = False,
) -> None:
    """Write one self-contained HTML page about a run.

    Loss, scores with their intervals, some of the same questions answered before and after. No
    script, no network; a benchmark whose terms forbid showing its text is shown by scores alone.
    """
    console = open_console(as_json=json, quiet=quiet, plain=plain)
    from openthoughts_cli.report.page import write_run_page
    from openthoughts_cli.runs.layout import find_run

    page = write_run_page(find_run(run), place=output)
    console.report("report", {"page": str(page)}, lambda: str(page))
