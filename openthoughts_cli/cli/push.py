"""`ot push`: a subset or a run's weights onto the Hugging Face hub."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from openthoughts_cli.cli import complete
from openthoughts_cli.cli.console import open_console
from openthoughts_cli.cli.options import (
    CheckpointOption,
    ForceOption,
    JsonOption,
    MergedOption,
    PlainOption,
    QuietOption,
)

__all__ = ["app"]

app = typer.Typer(add_completion=False)


@app.command()
def push(
    what: Annotated[
        str,
        typer.Argument(
            metavar="WHAT",
            help="A subset, a run, RUN@CHECKPOINT, or an exported folder.",
            autocompletion=complete.subsets_and_runs,
        ),
    ],
    repo: Annotated[
        str,
        typer.Argument(metavar="USER/REPO", help="A repository; made where it is not."),
    ],
    public: Annotated[
        bool, typer.Option("--public", help="Everyone may read it. Default: private.")
    ] = False,
    checkpoint: CheckpointOption = None,
    merged: MergedOption = False,
    force: ForceOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
    plain: PlainOption = False,
) -> None:
    """Upload a subset or a run's weights to the Hugging Face hub.

    A subset becomes a config of a data set repository, by its name; a repository may hold many. A
    run's weights are exported (see ot runs export) and become a model repository of their own.

    It needs a token that may write: HF_TOKEN, or `hf auth login`. What the hub then holds is
    compared with what was sent.
    """
    console = open_console(as_json=json, quiet=quiet, plain=plain)
    from openthoughts_cli.cli.render.push import render_pushed_model, render_pushed_subset
    from openthoughts_cli.data.push import push_subset
    from openthoughts_cli.export.push import push_weights, subset_or_weights

    subset = subset_or_weights(what, weights=merged or checkpoint is not None)
    if subset is not None:
        with console.listening() as listener:
            rows = push_subset(subset, repo, public=public, force=force, listener=listener)
        values: dict[str, Any] = {
            "what": "subset",
            "url": rows.url,
            "config": rows.config,
            "commit": rows.commit,
            "private": rows.private,
            "reused": rows.reused,
            "files": dict(rows.files),
        }
        console.report("push", values, lambda: render_pushed_subset(rows, repo))
        return
    with console.listening() as listener:
        model = push_weights(
            what,
            repo,
            checkpoint=checkpoint,
            merged=merged,
            public=public,
            force=force,
            listener=listener,
        )
    values = {
        "what": model.kind,
        "url": model.url,
        "commit": model.commit,
        "private": model.private,
        "reused": model.reused,
        "files": dict(model.files),
    }
    console.report("push", values, lambda: render_pushed_model(model, repo))
