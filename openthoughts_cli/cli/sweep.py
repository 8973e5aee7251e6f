"""`ot sweep`: run a grid of recipes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from openthoughts_cli.cli import complete
from openthoughts_cli.cli.console import Console, open_console
from openthoughts_cli.cli.options import (
    JsonOption,
    MaxUsdOption,
    PlainOption,
    QuietOption,
    SetOption,
    SkipUnavailableOption,
    YesOption,
    given,
)
from openthoughts_cli.errors import (
    BudgetError,
    InterruptedByUser,
    OtError,
    PartialError,
    UsageError,
)

if TYPE_CHECKING:
    from openthoughts_cli.sweeps.verb import SweepResult

__all__ = ["app", "raise_unless_done"]

app = typer.Typer(add_completion=False)


@app.command()
def sweep(
    grid: Annotated[
        Path,
        typer.Argument(
            metavar="GRID",
            help="The grid's file, or with --attach a sweep.",
            autocompletion=complete.config_files,
        ),
    ],
    on: Annotated[
        str | None, typer.Option("--on", metavar="WHERE", help="local or ray. Default: local.")
    ] = None,
    address: Annotated[
        str | None,
        typer.Option("--address", metavar="ADDRESS", help="The Ray cluster; implies --on ray."),
    ] = None,
    at_once: Annotated[
        int | None, typer.Option("--at-once", metavar="N", help="Most cells at once.")
    ] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try cells again that have failed.")
    ] = False,
    fail_fast: Annotated[
        bool, typer.Option("--fail-fast", help="The first failure stops the other cells.")
    ] = False,
    skip_unavailable: SkipUnavailableOption = False,
    attach: Annotated[
        bool,
        typer.Option("--attach", help="Watch the sweep, which another process runs."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the cells and their cost; train nothing.")
    ] = False,
    max_usd: MaxUsdOption = None,
    yes: YesOption = False,
    set_: SetOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
    plain: PlainOption = False,
) -> None:
    """Run a grid of recipes.

    Each cell is a run of its own. The same command again runs what is missing, and goes on with
    what was interrupted.
    """
    console = open_console(as_json=json, quiet=quiet, plain=plain)
    if attach:
        others = given(
            on=on, address=address, at_once=at_once, max_usd=max_usd, set=set_ or None,
            retry_failed=retry_failed or None, dry_run=dry_run or None, fail_fast=fail_fast or None,
        )  # fmt: skip
        _attach(console, grid, others)
        return
    if address is not None and on is None:
        on = "ray"
    options = given(on=on, address=address, at_once=at_once, max_usd=max_usd)
    result = _run(
        console,
        grid,
        options,
        set_ or [],
        yes=yes,
        dry_run=dry_run,
        retry_failed=retry_failed,
        fail_fast=fail_fast,
        skip_unavailable=skip_unavailable,
    )
    _report(console, result)


def _run(
    console: Console,
    grid: Path,
    options: dict[str, Any],
    sets: list[str],
    *,
    yes: bool,
    dry_run: bool,
    retry_failed: bool,
    fail_fast: bool,
    skip_unavailable: bool,
) -> SweepResult:
    from openthoughts_cli.cli.interrupts import stop_on_request
    from openthoughts_cli.cli.render.sweep import render_sweep_plan
    from openthoughts_cli.cli.render.sweep_view import Board, open_sweep_view
    from openthoughts_cli.config.load import load_config
    from openthoughts_cli.config.sweep import SweepConfig
    from openthoughts_cli.sweeps.plan import SweepPlan
    from openthoughts_cli.sweeps.verb import run_sweep

    state = Board()

    def confirm(plan: SweepPlan) -> None:
        if not console.quiet:
            console.people.print(render_sweep_plan(plan))
        if plan.costs_money and plan.to_run:
            console.confirm(
                "Start this sweep?",
                yes=yes or plan.config.max_usd is not None,
                hint="agree with --yes, or set a limit with --max-usd",
            )
        state.begin(
            (cell.name, cell.state if cell.state in ("done", "failed") else "waiting")
            for cell in plan.cells
        )

    with stop_on_request() as stop, open_sweep_view(console, state) as listener:
        loaded = load_config(SweepConfig, file=grid, options=options, sets=sets)
        return run_sweep(
            loaded.config,
            files=loaded.files,
            confirm=confirm,
            stop=stop,
            listener=listener,
            dry_run=dry_run,
            retry_failed=retry_failed,
            fail_fast=fail_fast,
            skip_unavailable=skip_unavailable,
        )


def _attach(console: Console, grid: Path, others: Mapping[str, Any]) -> None:
    from openthoughts_cli.cli.render.sweep_view import Board, open_sweep_view
    from openthoughts_cli.sweeps.layout import load_sweep
    from openthoughts_cli.sweeps.watch import watch

    if others:
        raise UsageError(
            f"--attach watches a sweep and starts none, so {', '.join(others)} cannot be given",
            hint="leave them out",
        )
    sweep = load_sweep(_name_in(grid))
    state = Board(
        (cell.name, "done" if cell.state == "done" else "waiting") for cell in sweep.cells
    )
    with open_sweep_view(console, state, foot="Ctrl-C leaves; the sweep goes on") as listener:
        status = watch(sweep.directory, listener)
    record = {"sweep": sweep.name, "directory": str(sweep.path), "status": status}
    console.report("attach", record, lambda: f"{sweep.name}: {status}")


def _name_in(grid: Path) -> str:
    """The sweep that a grid's file is of; what is no file is the sweep's own name."""
    if not grid.is_file():
        return str(grid)
    from openthoughts_cli.config.load import load_config
    from openthoughts_cli.config.sweep import SweepConfig

    return load_config(SweepConfig, file=grid).config.name or grid.stem


def _report(console: Console, result: SweepResult) -> None:
    from openthoughts_cli.cli.render.sweep import render_sweep_plan, render_sweep_result

    record = {
        "status": result.status,
        "sweep": result.plan.name,
        "directory": str(result.directory.path),
        "done": result.done,
        "outcomes": {
            name: {"status": outcome.status, "error": outcome.error, "usd": outcome.spent_usd}
            for name, outcome in result.outcomes.items()
        },
        "spent_usd": result.spent_usd,
        "plan": result.plan.to_json(),
    }
    planned = result.status == "planned"
    console.report(
        "sweep",
        record,
        lambda: render_sweep_plan(result.plan) if planned else render_sweep_result(result),
    )
    raise_unless_done(result)


def raise_unless_done(result: SweepResult) -> None:
    """The error that a sweep ends the command with, unless all its cells are done."""
    total, failed, stopped = len(result.plan.cells), len(result.failures), len(result.stopped)
    counts = [f"{failed} failed"] if failed or not stopped else []
    left = ", ".join([*counts, f"{stopped} stopped"] if stopped else counts)
    again = "the same command goes on with them"
    if result.status == "interrupted":
        raise InterruptedByUser(
            f"stopped with {result.done} of {total} cells done; what was finished is saved",
            hint="the same command goes on",
        )
    if result.status == "budget":
        raise BudgetError(
            f"the sweep's limit is reached: {result.done} of {total} cells done",
            hint="the others stopped at checkpoints; go on with a higher --max-usd",
        )
    if stopped:
        again = "fix the cause; the same command goes on with those that stopped"
    if failed:
        again = "fix the cause, and try them again with --retry-failed"
    if result.status == "partial":
        raise PartialError(f"{result.done} of {total} cells done, {left}", hint=again)
    if result.status == "failed":
        raise OtError(f"none of the {total} cells is done, {left}", hint=again)
