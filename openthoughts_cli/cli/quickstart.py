"""`ot quickstart`: the first two minutes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from openthoughts_cli.cli.console import Console, open_console
from openthoughts_cli.cli.options import JsonOption, PlainOption, QuietOption
from openthoughts_cli.cli.train import report_training

if TYPE_CHECKING:
    from openthoughts_cli.data.subset import Subset
    from openthoughts_cli.quickstart import QuickstartResult
    from openthoughts_cli.training.plan import Plan

__all__ = ["app"]

app = typer.Typer(add_completion=False)


@app.command()
def quickstart(
    seed: Annotated[
        int,
        typer.Option(
            min=0, metavar="N", help="Of the split, the order of the rows and the adapter."
        ),
    ] = 0,
    json: JsonOption = False,
    quiet: QuietOption = False,
    plain: PlainOption = False,
) -> None:
    """Subset, training and scores in minutes, on this machine.

    Cuts short math rows from the built-in sample, trains SmolLM2-135M on them with LoRA, measures
    it before and after, and writes one page. No account, no GPU, nothing to pay.
    """
    console = open_console(as_json=json, quiet=quiet, plain=plain)
    from openthoughts_cli.cli.interrupts import stop_on_request
    from openthoughts_cli.cli.render.train_view import open_train_view
    from openthoughts_cli.quickstart import quickstart as run

    with stop_on_request() as stop, open_train_view(console) as listener:
        made = run(
            seed=seed,
            on_subset=lambda subset: _preview(console, subset),
            confirm=lambda plan: _show_plan(console, plan),
            stop=stop,
            listener=listener,
        )
    _report(console, made)


def _preview(console: Console, subset: Subset) -> None:
    if console.quiet:
        return
    from openthoughts_cli.cli.render.subset import row_view, subset_view

    console.people.print(subset_view(subset))
    console.people.print("One of its rows:", style="bold")
    console.people.print(row_view(0, subset.rows()[0]))


def _show_plan(console: Console, plan: Plan) -> None:
    if not console.quiet:
        from openthoughts_cli.cli.render.plan import render_plan

        console.people.print(render_plan(plan))


def _report(console: Console, made: QuickstartResult) -> None:
    extra = {"subset": str(made.subset.path), "page": None if made.page is None else str(made.page)}
    try:
        report_training(console, made.result, kind="quickstart", extra=extra)
    finally:  # a failed evaluation does not hide the page that was made
        _say_next(console, made)


def _say_next(console: Console, made: QuickstartResult) -> None:
    if made.page is None or made.result.run is None:
        return
    run = made.result.run.run_id
    console.note(
        f"\nThe page: {made.page.resolve().as_uri()}\n\n"
        "Next:\n"
        f"  ot runs show {run}\n"
        f"  ot inspect {made.subset.name} --mask\n"
        "  ot subset --dataset sample --source physics --name physics   other rows\n"
        f"  ot train --subset {made.subset.name} --engine local --epochs 1 --learning-rate 3e-4\n"
        "  TINKER_API_KEY=tml-... ot train --subset ... --dry-run       a large model, on Tinker"
    )
