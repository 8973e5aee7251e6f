"""`ot compare`: two evaluations, runs or checkpoints against each other."""

from __future__ import annotations

from typing import Annotated

import typer

from openthoughts_cli.cli import complete
from openthoughts_cli.cli.console import open_console
from openthoughts_cli.cli.options import (
    BenchmarkOption,
    JsonOption,
    PlainOption,
    QuietOption,
    SeedOption,
)

__all__ = ["app"]

app = typer.Typer(add_completion=False)


def _side(metavar: str, what: str) -> typer.models.ArgumentInfo:
    return typer.Argument(metavar=metavar, help=what, autocompletion=complete.runs)


@app.command()
def compare(
    a: Annotated[str, _side("A", "A run, RUN@CHECKPOINT, or an evaluation's directory.")],
    b: Annotated[str, _side("B", "What is compared with it; differences are B - A.")],
    benchmark: BenchmarkOption = None,
    seed: SeedOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
    plain: PlainOption = False,
) -> None:
    """Compare two runs, checkpoints or evaluations.

    Shows what differs in their configs and in training, and for each benchmark that both have the
    difference over the same problems, with its interval and a sign-flip test, and the problems that
    are newly solved and newly failed. A checkpoint is named run@name, run@steps or run@base.
    """
    console = open_console(as_json=json, quiet=quiet, plain=plain)
    from openthoughts_cli.cli.render.compare import render_versus
    from openthoughts_cli.evals.versus import compare_sides

    found = compare_sides(a, b, benchmarks=benchmark or (), seed=seed or 0)
    console.report("comparison", found.as_record(), lambda: render_versus(found))
