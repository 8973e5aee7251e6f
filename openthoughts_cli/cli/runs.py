"""`ot runs`: list, show, export, sync and regrade runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from openthoughts_cli.cli import complete
from openthoughts_cli.cli.board import (
    AtOption,
    BaselineOption,
    CsvOption,
    MdOption,
    MetricOption,
    RunOrSweepArgument,
    is_sweep,
    refuse_for_run,
    show_sweep,
)
from openthoughts_cli.cli.console import open_console
from openthoughts_cli.cli.options import (
    BenchmarkOption,
    CheckpointOption,
    ForceOption,
    JsonOption,
    MergedOption,
    PlainOption,
    QuietOption,
    RunArgument,
    UnsafeOption,
)

__all__ = ["app"]

app = typer.Typer(help="List, show and export runs.", no_args_is_help=True, add_completion=False)


@app.command("ls")
def list_all(
    json: JsonOption = False, quiet: QuietOption = False, plain: PlainOption = False
) -> None:
    """List the runs under the runs directory.

    With --json, one record a run.
    """
    console = open_console(as_json=json, quiet=quiet, plain=plain)
    import dataclasses

    from openthoughts_cli.cli.render.runs import render_runs
    from openthoughts_cli.places import runs_dir
    from openthoughts_cli.runs.layout import list_runs
    from openthoughts_cli.runs.summary import summarise

    summaries = [summarise(run) for run in list_runs()]
    if json:
        for summary in summaries:
            console.record("run", dataclasses.asdict(summary))
    elif summaries:
        console.print(render_runs(summaries))
    else:
        console.note(f"no runs under {runs_dir()} yet; ot train or ot quickstart makes one")


@app.command()
def show(
    run: RunOrSweepArgument,
    metric: MetricOption = None,
    at: AtOption = "final",
    baseline: BaselineOption = None,
    csv: CsvOption = False,
    md: MdOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
    plain: PlainOption = False,
) -> None:
    """Show one run, or the ranking of a sweep.

    A run: what it was, how it went, its scores. A sweep: its recipes by a metric, with intervals
    over problems and seeds, against the baseline on the same problems; recipes that cannot be told
    apart are ties. Cost, the best checkpoint by held-out NLL, the main effect of each axis.
    """
    console = open_console(as_json=json, quiet=quiet, plain=plain)
    if is_sweep(run):
        show_sweep(console, run, metric=metric, at=at, baseline=baseline, csv=csv, md=md)
        return
    refuse_for_run(run, metric=metric, at=at, baseline=baseline, csv=csv, md=md)
    import dataclasses

    from openthoughts_cli.runs.layout import find_run
    from openthoughts_cli.runs.summary import summarise

    summary = summarise(find_run(run))

    def render() -> Any:
        from openthoughts_cli.cli.render.runs import render_run

        return render_run(summary)

    console.report("run", dataclasses.asdict(summary), render)


@app.command()
def sync(
    run: RunArgument,
    json: JsonOption = False,
    quiet: QuietOption = False,
    plain: PlainOption = False,
) -> None:
    """Send a run's log to Weights & Biases, steps in order.

    For runs that were trained offline or with W&B disabled. The log is the truth and stays.
    """
    console = open_console(as_json=json, quiet=quiet, plain=plain)
    import dataclasses

    from openthoughts_cli.runs.layout import find_run
    from openthoughts_cli.training.sync import sync_run

    done = sync_run(find_run(run))
    console.report(
        "synced",
        dataclasses.asdict(done),
        lambda: f"{done.run}: W&B run {done.wandb_id} in {done.project}",
    )


@app.command()
def export(
    weights: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            help="A run, RUN@CHECKPOINT, or a checkpoint's path.",
            autocompletion=complete.runs,
        ),
    ],
    checkpoint: CheckpointOption = None,
    merged: MergedOption = False,
    to: Annotated[
        Path | None,
        typer.Option(
            "--to", metavar="DIR", help="The folder. Default: exports/ in the run's directory."
        ),
    ] = None,
    force: ForceOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
    plain: PlainOption = False,
) -> None:
    """Write a run's weights for others: a PEFT adapter, or with --merged a whole model.

    The folder also gets the tokenizer, its chat template, and a model card: config, subset,
    scores with intervals, cost, lineage. Asked again, the same folder is checked and kept. Weights
    on Tinker need the extra `cookbook`.
    """
    console = open_console(as_json=json, quiet=quiet, plain=plain)
    from openthoughts_cli.cli.render.push import render_exported
    from openthoughts_cli.export.export import export_weights

    with console.listening() as listener:
        done = export_weights(
            weights,
            checkpoint=checkpoint,
            merged=merged,
            to=to,
            force=force,
            listener=listener,
        )
    values = {
        "path": str(done.path),
        "holds": done.kind,
        "run": done.run,
        "checkpoint": done.checkpoint,
        "step": done.step,
        "base": done.base,
        "files": dict(done.files),
        "reused": done.reused,
        "card_renewed": done.card_renewed,
    }
    console.report("exported", values, lambda: render_exported(done))


@app.command()
def regrade(
    run: RunArgument,
    benchmark: BenchmarkOption = None,
    unsafe_no_sandbox: UnsafeOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
    plain: PlainOption = False,
) -> None:
    """Grade a run's stored answers anew; the old verdicts and scores are kept.

    For after a grader has changed. Nothing is sampled. Changed verdicts are appended to
    samples.jsonl, and the scores of before stay as scores-1.json, scores-2.json, ...
    """
    console = open_console(as_json=json, quiet=quiet, plain=plain)
    from openthoughts_cli.cli.render.eval import render_regraded
    from openthoughts_cli.evals.regrade import regrade_run
    from openthoughts_cli.runs.layout import find_run

    found = find_run(run)
    with console.listening() as listener:
        results = regrade_run(
            found,
            benchmarks=benchmark or (),
            unsafe_no_sandbox=unsafe_no_sandbox,
            listener=listener,
        )
    record = {"run": found.run_id, "results": [result.as_record() for result in results]}
    console.report("regraded", record, lambda: render_regraded(results))
