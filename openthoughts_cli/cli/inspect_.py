"""`ot inspect`: look into a subset, or into rows that are no subset yet."""

from __future__ import annotations

from typing import Annotated

import typer

from openthoughts_cli.cli import complete
from openthoughts_cli.cli.console import open_console
from openthoughts_cli.cli.options import (
    JsonOption,
    ModelOption,
    OfflineOption,
    PlainOption,
    QuietOption,
    go_offline,
)

__all__ = ["app"]

app = typer.Typer(add_completion=False)


@app.command()
def inspect(
    target: Annotated[
        str,
        typer.Argument(
            metavar="SUBSET",
            help="A subset's name or directory, a parquet file or folder, or 'sample'.",
            autocompletion=complete.subsets,
        ),
    ],
    samples: Annotated[
        int,
        typer.Option(min=0, metavar="K", help="Rows to show, from the shortest to the longest."),
    ] = 3,
    row: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Show the row of this number alone.")
    ] = None,
    whole: Annotated[bool, typer.Option("--whole", help="Do not fold long texts.")] = False,
    mask: Annotated[
        bool, typer.Option("--mask", help="Show the rows as a model is trained on them.")
    ] = False,
    overlap: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAMES",
            help="Look for questions of aime25, gpqa, livecodebench, arithmetic or a .jsonl file; "
            "repeatable.",
            autocompletion=complete.benchmark_questions,
        ),
    ] = None,
    model: ModelOption = None,
    offline: OfflineOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
    plain: PlainOption = False,
) -> None:
    """Look into a subset."""
    console = open_console(as_json=json, quiet=quiet, plain=plain)
    if offline:
        go_offline()
    from openthoughts_cli.cli.render.subset import inspection_view, mask_view, row_view
    from openthoughts_cli.data.inspect import inspect_rows, mask_rows

    with console.listening() as listener:
        seen = inspect_rows(
            target,
            samples=samples,
            row=row,
            tokenizer=model,
            overlap=[name.strip() for each in overlap or () for name in each.split(",")],
            listener=listener,
        )
        masked = mask_rows(seen, model, listener=listener) if mask else []
    if json:
        record = seen.record() | {"masked": [row.record() for row in masked]}
        console.record("inspection", record)
    elif mask:
        console.page(*(mask_view(each) for each in masked))
    elif row is not None:
        console.page(*(row_view(index, found, whole=whole) for index, found in seen.shown))
    else:
        console.page(inspection_view(seen, whole=whole))
    if seen.problem is not None:
        raise typer.Exit(1)
