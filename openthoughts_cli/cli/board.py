"""`ot runs show <sweep>`: the ranking of a sweep, in the form that was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from openthoughts_cli.cli import complete
from openthoughts_cli.cli.console import Console
from openthoughts_cli.errors import UsageError

if TYPE_CHECKING:
    from openthoughts_cli.sweeps.layout import Sweep
    from openthoughts_cli.sweeps.leaderboard import Leaderboard
    from openthoughts_cli.sweeps.results import At

__all__ = [
    "AtOption",
    "BaselineOption",
    "CsvOption",
    "MdOption",
    "MetricOption",
    "RunOrSweepArgument",
    "is_sweep",
    "ranked",
    "refuse_for_run",
    "show_sweep",
]

_RANKING = "Ranking of a sweep"

RunOrSweepArgument = Annotated[
    str,
    typer.Argument(
        metavar="RUN_OR_SWEEP",
        help="A run's or a sweep's name or directory.",
        autocompletion=complete.runs_and_sweeps,
    ),
]
MetricOption = Annotated[
    str | None,
    typer.Option(
        "--metric",
        metavar="METRIC",
        help="Rank by it, e.g. eval/aime25/pass@7. Default: the sweep's own.",
        rich_help_panel=_RANKING,
    ),
]
AtOption = Annotated[
    str,
    typer.Option(
        "--at",
        metavar="final|best",
        help="Score the final weights, or the checkpoint with the lowest held-out NLL.",
        rich_help_panel=_RANKING,
    ),
]
BaselineOption = Annotated[
    str | None,
    typer.Option(
        "--baseline",
        metavar="RECIPE",
        help="Compare with this recipe. Default: the sweep's baseline.",
        rich_help_panel=_RANKING,
    ),
]
CsvOption = Annotated[
    bool,
    typer.Option("--csv", help="The ranking as CSV, a line a recipe.", rich_help_panel="Output"),
]
MdOption = Annotated[
    bool, typer.Option("--md", help="The ranking as Markdown.", rich_help_panel="Output")
]


def is_sweep(name: str) -> bool:
    """Whether the name is of a sweep; where it is neither a run's nor a sweep's, both are named.

    A name that is both is taken for the run.

    Raises:
        NotFoundError: neither.
    """
    from openthoughts_cli.errors import NotFoundError
    from openthoughts_cli.runs.layout import find_run
    from openthoughts_cli.sweeps.layout import find_sweep

    try:
        find_run(name)
    except NotFoundError as no_run:
        try:
            find_sweep(name)
        except NotFoundError as no_sweep:
            raise NotFoundError(
                f"{no_run.message}, and {no_sweep.message}",
                hint=f"{no_run.hint}; {no_sweep.hint}",
            ) from None
        return True
    return False


def refuse_for_run(name: str, **options: object) -> None:
    """Refuse options of a ranking for what is a run.

    Raises:
        UsageError: naming the first that was given.
    """
    for option, value in options.items():
        if value and value != "final":
            raise UsageError(
                f"--{option} ranks a sweep, and {name} is a run",
                hint="leave it out, or give a sweep",
            )


def show_sweep(
    console: Console,
    name: str,
    *,
    metric: str | None,
    at: str,
    baseline: str | None,
    csv: bool,
    md: bool,
) -> None:
    """Rank the sweep and print it.

    Raises:
        UsageError: two forms at once.
    """
    if sum((console.as_json, csv, md)) > 1:
        raise UsageError("--json, --csv and --md cannot be given together", hint="give one of them")
    from openthoughts_cli.cli.render import leaderboard as render

    _, board = ranked(name, metric=metric, at=at, baseline=baseline)
    if csv or md:
        console.print(render.board_csv(board) if csv else render.board_markdown(board))
    else:
        console.report("leaderboard", board.as_record(), lambda: render.render_board(board))


def ranked(
    name: str, *, metric: str | None, at: str, baseline: str | None
) -> tuple[Sweep, Leaderboard]:
    """The sweep and its ranking.

    Raises:
        UsageError: an unknown --at, or a metric that cannot rank.
    """
    if at not in ("final", "best"):
        raise UsageError(
            f"--at {at!r} is neither final nor best", hint="give --at final or --at best"
        )
    from openthoughts_cli.sweeps.layout import load_sweep
    from openthoughts_cli.sweeps.rank import rank_sweep

    sweep = load_sweep(name)
    chosen: At = "best" if at == "best" else "final"
    return sweep, rank_sweep(sweep, metric=metric, at=chosen, baseline=baseline)
