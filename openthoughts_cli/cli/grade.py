"""`ot grade`: grade stored answers, with no engine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from openthoughts_cli.cli import complete
from openthoughts_cli.cli.console import open_console
from openthoughts_cli.cli.options import JsonOption, PlainOption, QuietOption, UnsafeOption

__all__ = ["app"]

app = typer.Typer(add_completion=False)


@app.command()
def grade(
    benchmark: Annotated[
        str,
        typer.Argument(
            metavar="BENCHMARK", help="Whose grader.", autocompletion=complete.benchmarks
        ),
    ],
    answers: Annotated[
        Path,
        typer.Option(
            "--answers", "-a", metavar="FILE", help="A JSONL file of answers; '-' reads stdin."
        ),
    ],
    unsafe_no_sandbox: UnsafeOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
    plain: PlainOption = False,
) -> None:
    """Grade answers from a file.

    Each line of the file is {"problem": {a row in the benchmark's schema}, "completion": "..."}.
    With --json each gives a record with index, parsed, correct, verdict and diagnosis, and the last
    record sums up.
    """
    console = open_console(as_json=json, quiet=quiet, plain=plain)
    from openthoughts_cli.cli.render.eval import render_summary
    from openthoughts_cli.evals.benchmark import prepare_grader
    from openthoughts_cli.evals.stored import GradeSummary, grade_stored

    kind = prepare_grader(benchmark, unsafe_no_sandbox=unsafe_no_sandbox)
    summary = GradeSummary(kind.name)
    for record in grade_stored(kind, answers, summary):
        if json:
            console.record("grade", record)
        elif not quiet:
            console.print(_line(record))
    console.report(
        "grade_summary", summary.as_record(), lambda: render_summary(summary.as_record())
    )


def _line(record: dict[str, object]) -> str:
    parsed = "-" if record["parsed"] is None else (str(record["parsed"]).splitlines() or [""])[0]
    why = f"  {record['diagnosis']}" if record["diagnosis"] else ""
    return f"{record['index']}\t{record['verdict']}\t{_visible(parsed[:60])}{_visible(why)}"


def _visible(text: str) -> str:
    """Text of a model or of its program, with what would command the terminal written out."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
