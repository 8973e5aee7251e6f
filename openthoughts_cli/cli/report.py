"""`ot report`: one page about a run or a sweep."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from openthoughts_cli.cli.board import (
    AtOption,
    BaselineOption,
    MetricOption,
    RunOrSweepArgument,
    is_sweep,
    ranked,
    refuse_for_run,
)
from openthoughts_cli.cli.console import open_console
from openthoughts_cli.cli.options import JsonOption, PlainOption, QuietOption

__all__ = ["app"]

app = typer.Typer(add_completion=False)


@app.command()
def report(
    run: RunOrSweepArgument,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Default: report.html in the run's (the sweep's) directory.",
        ),
    ] = None,
    metric: MetricOption = None,
    at: AtOption = "final",
    baseline: BaselineOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
    plain: PlainOption = False,
) -> None:
    """Write one self-contained HTML page about a run or a sweep.

    A run: loss, scores with their intervals, some of the same questions answered before and after.
    A sweep: its ranking as of `ot runs show`, effects, curves, cells, configs, environment. No
    script, no network; a benchmark whose terms forbid showing its text is shown by scores alone.
    """
    console = open_console(as_json=json, quiet=quiet, plain=plain)
    if is_sweep(run):
        from openthoughts_cli.sweeps.page import write_sweep_page

        page = write_sweep_page(*ranked(run, metric=metric, at=at, baseline=baseline), place=output)
    else:
        refuse_for_run(run, metric=metric, at=at, baseline=baseline)
        from openthoughts_cli.report.page import write_run_page
        from openthoughts_cli.runs.layout import find_run

        page = write_run_page(find_run(run), place=output)
    console.report("report", {"page": str(page)}, lambda: str(page))
