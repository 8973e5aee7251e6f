"""`ot train`: fine-tune a model on a subset."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from openthoughts_cli.cli import complete
from openthoughts_cli.cli.console import Console, open_console
from openthoughts_cli.cli.options import (
    BaseUrlOption,
    ConfigOption,
    EngineOption,
    JsonOption,
    MaxUsdOption,
    ModelOption,
    PlainOption,
    QuietOption,
    SeedOption,
    SetOption,
    SkipUnavailableOption,
    SubsetOption,
    YesOption,
    given,
)
from openthoughts_cli.errors import PartialError

if TYPE_CHECKING:
    from openthoughts_cli.training.verb import TrainResult

__all__ = ["app", "report_training"]

app = typer.Typer(add_completion=False)


@app.command()
def train(
    config: ConfigOption = None,
    subset: SubsetOption = None,
    model: ModelOption = None,
    engine: EngineOption = None,
    base_url: BaseUrlOption = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the rows. Default: 5.")] = None,
    learning_rate: Annotated[
        str | None,
        typer.Option(metavar="RATE", help="Peak rate of Adam, or 'auto'. Default: 1e-5."),
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Rows in a step. Default: 32.")] = None,
    lora_rank: Annotated[int | None, typer.Option(help="Adapter rank. Default: 32.")] = None,
    max_steps: Annotated[int | None, typer.Option(help="Stop after so many steps.")] = None,
    seed: SeedOption = None,
    run_name: Annotated[
        str | None, typer.Option(metavar="NAME", help="The run's id and directory.")
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option(
            metavar="RUN",
            help="Go on with this run from its last checkpoint.",
            autocompletion=complete.runs,
        ),
    ] = None,
    attach: Annotated[
        str | None,
        typer.Option(
            metavar="RUN",
            help="Watch this run, which another process trains; Ctrl-C leaves.",
            autocompletion=complete.runs,
        ),
    ] = None,
    skip_unavailable: SkipUnavailableOption = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the plan and its cost; start nothing.")
    ] = False,
    max_usd: MaxUsdOption = None,
    yes: YesOption = False,
    set_: SetOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
    plain: PlainOption = False,
) -> None:
    """Fine-tune a model on a subset.

    LoRA on the Tinker service or on this machine, with evaluations alongside. The plan is shown
    first; nothing that costs money starts before you agreed to it.
    """
    console = open_console(as_json=json, quiet=quiet, plain=plain)
    options = given(
        subset=subset,
        model=model,
        engine__kind=engine,
        engine__base_url=base_url,
        epochs=epochs,
        learning_rate=_number(learning_rate),
        batch_size=batch_size,
        lora_rank=lora_rank,
        max_steps=max_steps,
        seed=seed,
        run_name=run_name,
        max_usd=max_usd,
    )
    if attach is not None:
        _attach(console, attach, {**given(config=config, resume=resume), **options})
        return
    if resume is not None and config is not None:
        _refuse_config_with_resume()
    result = _run(console, config, options, set_ or [], resume, skip_unavailable, dry_run, yes)
    report_training(console, result)


def _number(text: str | None) -> Any:
    try:
        return None if text is None else float(text)
    except ValueError:
        return text


def _attach(console: Console, name: str, others: Mapping[str, Any]) -> None:
    from openthoughts_cli.cli.render.train_view import open_train_view
    from openthoughts_cli.errors import UsageError
    from openthoughts_cli.runs.follow import follow, running_s
    from openthoughts_cli.runs.layout import find_run
    from openthoughts_cli.runs.log import how_it_ended

    if others:
        raise UsageError(
            f"--attach watches a run and starts none, so {', '.join(others)} cannot be given",
            hint="leave them out",
        )
    run = find_run(name)
    foot = "Ctrl-C leaves; the run goes on"
    with open_train_view(console, foot=foot, running_s=running_s(run)) as listener:
        status = follow(run, listener)
    reason = how_it_ended(run)[1] if status == "failed" else ""
    record = {"run": run.run_id, "directory": str(run.path), "status": status, "reason": reason}
    console.report(
        "attach", record, lambda: f"{run.run_id}: {status}" + (f": {reason}" if reason else "")
    )


def _refuse_config_with_resume() -> None:
    from openthoughts_cli.errors import UsageError

    raise UsageError(
        "--resume goes on with the run's own config, so --config cannot be given with it",
        hint="leave it out; what may change between attempts can be given by options and --set",
    )


def _run(
    console: Console,
    config: Any,
    options: dict[str, Any],
    sets: list[str],
    resume: str | None,
    skip_unavailable: bool,
    dry_run: bool,
    yes: bool,
) -> TrainResult:
    from openthoughts_cli.cli.interrupts import stop_on_request
    from openthoughts_cli.cli.render.plan import render_plan
    from openthoughts_cli.cli.render.train_view import open_train_view
    from openthoughts_cli.config.load import load_config
    from openthoughts_cli.config.train import TrainConfig
    from openthoughts_cli.engine.tinker.addresses import refuse_foreign
    from openthoughts_cli.runs.layout import find_run
    from openthoughts_cli.training import verb
    from openthoughts_cli.training.plan import Plan

    def confirm(plan: Plan) -> None:
        if not console.quiet:
            console.people.print(render_plan(plan))
        if plan.costs_money:
            console.confirm(
                "Start this run?",
                yes=yes or plan.max_usd is not None,
                hint="agree with --yes, or set a limit with --max-usd",
            )

    with stop_on_request() as stop, open_train_view(console) as listener:
        if resume is not None:
            config = find_run(resume).config_path
        loaded = load_config(TrainConfig, file=config, options=options, sets=sets)
        how: dict[str, Any] = {
            "confirm": confirm,
            "dry_run": dry_run,
            "skip_unavailable": skip_unavailable,
            "stop": stop,
            "listener": listener,
        }
        if resume is not None:
            if loaded.origins["engine.base_url"].kind in ("file", "default"):
                refuse_foreign(loaded.config.engine, find_run(resume).run_id)
            return verb.resume_training(resume, config=loaded.config, **how)
        return verb.train(loaded.config, measure=True, **how)


def report_training(
    console: Console,
    result: TrainResult,
    *,
    kind: str = "train",
    extra: Mapping[str, Any] | None = None,
) -> None:
    """Report a run that ended; then raise what its exit code stands for."""
    from openthoughts_cli.cli.render.plan import render_plan, render_result

    record = {
        "status": result.status,
        "run": None if result.run is None else result.run.run_id,
        "directory": None if result.run is None else str(result.run.path),
        "plan": result.plan.to_json(),
        "failures": list(result.failures),
        "spent_usd": result.spent_usd,
        "receipt": None if result.receipt is None else result.receipt.to_json(),
        **(extra or {}),
    }
    planned = result.status == "planned"
    console.report(
        kind, record, lambda: render_plan(result.plan) if planned else render_result(result)
    )
    _raise_unless_done(result)


def _raise_unless_done(result: TrainResult) -> None:
    from openthoughts_cli.cli.render.plan import dollars
    from openthoughts_cli.errors import BudgetError, InterruptedByUser

    run = "" if result.run is None else result.run.run_id
    if result.status == "interrupted":
        raise InterruptedByUser(
            "stopped; what was finished is saved",
            hint=f"go on with: ot train --resume {run}",
        )
    if result.status == "budget":
        kept = result.run is not None and bool(result.run.checkpoints())
        raise BudgetError(
            f"stopped before the limit of {dollars(result.plan.max_usd or 0.0)}: "
            f"{dollars(result.spent_usd)} spent",
            hint=("a checkpoint is kept" if kept else "nothing was trained yet")
            + f"; go on with a higher limit: ot train --resume {run} --max-usd ...",
        )
    if result.failures:
        raise PartialError(
            f"the run is done, but {len(result.failures)} evaluations failed: "
            + "; ".join(result.failures),
            hint=f"their samplers are kept; try them again with ot eval --run {run}",
        )
