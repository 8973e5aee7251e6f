"""`ot push`: a subset onto the Hugging Face hub."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from openthoughts_cli.cli.console import open_console
from openthoughts_cli.cli.options import (
    ForceOption,
    JsonOption,
    PlainOption,
    QuietOption,
    SubsetArgument,
)

__all__ = ["app"]

app = typer.Typer(add_completion=False)


@app.command()
def push(
    subset: SubsetArgument,
    repo: Annotated[
        str,
        typer.Argument(metavar="USER/REPO", help="A data set repository; made where it is not."),
    ],
    public: Annotated[
        bool, typer.Option("--public", help="Everyone may read it. Default: private.")
    ] = False,
    force: ForceOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
    plain: PlainOption = False,
) -> None:
    """Upload a subset to the Hugging Face hub.

    The rows become a config of the repository, by the subset's name; a repository may hold many.
    It needs a token that may write: HF_TOKEN, or `hf auth login`. What the hub then holds is
    compared with what was sent.
    """
    console = open_console(as_json=json, quiet=quiet, plain=plain)
    from openthoughts_cli.data.push import push_subset
    from openthoughts_cli.data.subset import load_subset

    with console.listening() as listener:
        pushed = push_subset(
            load_subset(subset), repo, public=public, force=force, listener=listener
        )
    values: dict[str, Any] = {
        "url": pushed.url,
        "config": pushed.config,
        "commit": pushed.commit,
        "private": pushed.private,
        "reused": pushed.reused,
        "files": dict(pushed.files),
    }

    def render() -> Any:
        from rich.console import Group
        from rich.text import Text

        from openthoughts_cli.cli.render.tables import facts

        seen = "only you and those you allow" if pushed.private else "everyone"
        done = (
            "these rows were there already; nothing was sent"
            if pushed.reused
            else f"{len(pushed.files)} files sent; the hub's digests are those of the files here"
        )
        where = [
            ("page", pushed.url),
            ("config", pushed.config),
            ("commit", pushed.commit),
            ("readable by", seen),
        ]
        load = f'load: datasets.load_dataset("{repo}", "{pushed.config}")'
        return Group(facts(where), Text(), Text(f"{done}\n{load}", style="dim"))

    console.report("push", values, render)
