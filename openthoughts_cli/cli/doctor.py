"""`ot doctor`: what works here, and what fixes the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from openthoughts_cli.cli.console import open_console
from openthoughts_cli.cli.options import (
    BaseUrlOption,
    ConfigOption,
    EngineOption,
    JsonOption,
    ModelOption,
    OfflineOption,
    PlainOption,
    QuietOption,
    SetOption,
    given,
    go_offline,
)

if TYPE_CHECKING:
    from openthoughts_cli.doctor import Check

__all__ = ["app"]

app = typer.Typer(add_completion=False)

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "bold red"}


@app.command()
def doctor(
    config: ConfigOption = None,
    engine: EngineOption = None,
    base_url: BaseUrlOption = None,
    model: ModelOption = None,
    offline: OfflineOption = False,
    set_: SetOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
    plain: PlainOption = False,
) -> None:
    """Check this machine, its packages, keys and services.

    With --config, whether it can do what that train config asks for. Each line is ok, warn (some commands will not work) or fail, with what fixes it.
    Nothing is paid for and nothing is changed. Exit code 1 when something failed.
    """
    console = open_console(as_json=json, quiet=quiet, plain=plain)
    if offline:
        go_offline()
    from openthoughts_cli.config.load import load_config
    from openthoughts_cli.config.train import TrainConfig
    from openthoughts_cli.doctor import examine, worst

    options = given(engine__kind=engine, engine__base_url=base_url, model=model)
    meant = load_config(
        TrainConfig, file=config, options=options, sets=set_ or [], fill_required=True
    ).config
    checks = examine(meant.engine, meant.model)
    if quiet:
        checks = [check for check in checks if check.status != "ok"]
    status = worst(checks)
    values = {"status": status, "checks": [check.as_record() for check in checks]}
    console.report("doctor", values, lambda: _rendered(checks))
    if status == "fail":
        raise typer.Exit(1)


def _rendered(checks: list[Check]) -> Any:
    from rich.console import Group
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    parts: list[Any] = []
    for group in dict.fromkeys(check.group for check in checks):
        grid = Table.grid(padding=(0, 1))
        grid.add_column(width=4)
        grid.add_column(no_wrap=True, min_width=14)
        grid.add_column(overflow="fold")
        for check in checks:
            if check.group != group:
                continue
            text = Text(check.text)
            if check.fix:
                text.append(f"\nfix: {check.fix}", style="cyan")
            grid.add_row(Text(check.status, style=_COLOURS[check.status]), check.name, text)
        parts += [Text(group, style="bold"), Padding(grid, (0, 0, 1, 2))]
    counts = [(status, sum(c.status == status for c in checks)) for status in _COLOURS]
    parts.append(Text(", ".join(f"{count} {status}" for status, count in counts)))
    return Group(*parts)
