"""`ot eval`: score a model or a run's weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from openthoughts_cli.cli.console import Console, open_console
from openthoughts_cli.cli.options import (
    BaseUrlOption,
    BenchmarkOption,
    ConfigOption,
    EngineOption,
    JsonOption,
    MaxUsdOption,
    ModelOption,
    NameOption,
    OutputDirOption,
    PlainOption,
    QuietOption,
    RunOption,
    SeedOption,
    SetOption,
    SubsetOption,
    UnsafeOption,
    YesOption,
    given,
)
from openthoughts_cli.errors import UsageError

if TYPE_CHECKING:
    from openthoughts_cli.config.eval import EvalConfig
    from openthoughts_cli.evals.plan import EvalPlan

__all__ = ["app"]

app = typer.Typer(add_completion=False)

_SHOW = "Look, and measure nothing"


@app.command("eval")
def eval_(
    config: ConfigOption = None,
    benchmark: BenchmarkOption = None,
    model: ModelOption = None,
    run: RunOption = None,
    checkpoint: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="A checkpoint of the run, or 'all'. Default: the final. Without a run: the "
            "path of saved weights.",
        ),
    ] = None,
    subset: SubsetOption = None,
    engine: EngineOption = None,
    base_url: BaseUrlOption = None,
    n: Annotated[
        int | None, typer.Option("--n", metavar="N", help="Answers a problem. Default: 7.")
    ] = None,
    k: Annotated[
        list[int] | None,
        typer.Option("--k", metavar="K", help="Report pass@K; repeatable. Default: K = n."),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit",
            metavar="N",
            help="Problems, chosen by seed. Default: all; gpqa 50, livecodebench 30.",
        ),
    ] = None,
    max_tokens: Annotated[
        int | None,
        typer.Option("--max-tokens", metavar="N", help="Longest answer. Default: 16384."),
    ] = None,
    temperature: Annotated[
        float | None, typer.Option("--temperature", metavar="T", help="Default: 0.7.")
    ] = None,
    seed: SeedOption = None,
    data: Annotated[
        list[str] | None,
        typer.Option(
            "--data",
            metavar="NAME=FILE",
            help="Read a benchmark's problems from a file. Repeatable.",
        ),
    ] = None,
    prompt: Annotated[
        list[str] | None,
        typer.Option(
            "--prompt", metavar="NAME=FILE", help="A benchmark's prompt template. Repeatable."
        ),
    ] = None,
    unsafe_no_sandbox: UnsafeOption = False,
    name: NameOption = None,
    output_dir: OutputDirOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the plan and its cost; ask nothing.")
    ] = False,
    max_usd: MaxUsdOption = None,
    yes: YesOption = False,
    list_: Annotated[
        bool, typer.Option("--list", help="List the benchmarks.", rich_help_panel=_SHOW)
    ] = False,
    show_prompt: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Show a benchmark's prompt.", rich_help_panel=_SHOW),
    ] = None,
    index: Annotated[
        int,
        typer.Option("--index", metavar="N", help="Of which problem.", rich_help_panel=_SHOW),
    ] = 0,
    set_: SetOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
    plain: PlainOption = False,
) -> None:
    """Score a model or a run's weights.

    Names a base model (--model) or a run's checkpoint (--run), and the benchmarks (-b). Every
    answer is recorded as it comes; the same command continues what was interrupted.
    """
    console = open_console(as_json=json, quiet=quiet, plain=plain)
    if list_:
        _list(console)
        return
    names = [show_prompt] if show_prompt is not None else benchmark or []
    loaded = _load(
        config,
        given(
            model=model,
            run=run,
            checkpoint=checkpoint,
            subset=subset,
            engine__kind=engine,
            engine__base_url=base_url,
            max_usd=max_usd,
            name=name,
            output_dir=output_dir,
        ),
        set_ or [],
        names,
        given(n=n, k=k, limit=limit, max_tokens=max_tokens, temperature=temperature, seed=seed),
        {"data": _pairs(data, "--data"), "prompt": _pairs(prompt, "--prompt")},
        unsafe_no_sandbox,
    )
    if show_prompt is not None:
        _show_prompt(console, loaded, show_prompt, index)
    else:
        _measure(console, loaded, dry_run, yes)


def _list(console: Console) -> None:
    from openthoughts_cli.cli.render.tables import facts
    from openthoughts_cli.evals.benchmark import summaries

    found = summaries()
    if console.as_json:
        for name, summary in found.items():
            console.record("benchmark", {"name": name, "summary": summary})
    else:
        console.print(facts(found.items()))


def _pairs(texts: list[str] | None, option: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in texts or []:
        name, separator, path = text.partition("=")
        if not (name and separator and path):
            raise UsageError(
                f"{option} {text!r} is not NAME=FILE",
                hint=f"for example {option} aime25=aime.jsonl",
            )
        pairs[name] = path
    return pairs


def _load(
    file: Path | None,
    options: dict[str, Any],
    sets: list[str],
    names: list[str],
    settings: dict[str, Any],
    files: dict[str, dict[str, str]],
    unsafe_no_sandbox: bool,
) -> EvalConfig:
    """The file's config, with the benchmarks that `names` choose and the settings for each."""
    from openthoughts_cli.config.eval import EvalConfig
    from openthoughts_cli.config.load import load_config
    from openthoughts_cli.evals.select import Changes, select_benchmarks

    config = load_config(EvalConfig, file=file, options=options, sets=sets).config
    changes = Changes(settings, files["data"], files["prompt"], unsafe_no_sandbox)
    return select_benchmarks(config, names, changes)


def _show_prompt(console: Console, config: EvalConfig, name: str, index: int) -> None:
    from openthoughts_cli.evals.plan import show_prompt

    text = show_prompt(name, config.benchmarks[name], index)
    console.report("prompt", {"benchmark": name, "index": index, "prompt": text}, lambda: text)


def _measure(console: Console, config: EvalConfig, dry_run: bool, yes: bool) -> None:
    from openthoughts_cli.cli.render.eval import open_eval_view, render_outcome, render_plan
    from openthoughts_cli.evals.verb import run_eval

    def confirm(plan: EvalPlan) -> None:
        if plan.costs_money:
            if not console.quiet:
                console.people.print(render_plan(plan))
            console.confirm(
                "Start this evaluation?",
                yes=yes or plan.max_usd is not None,
                hint="agree with --yes, or set a limit with --max-usd",
            )

    if dry_run:
        with console.listening() as listener:
            plan = run_eval(config, dry_run=True, listener=listener).plan
        console.report("eval_plan", plan.to_json(), lambda: render_plan(plan))
        return
    with open_eval_view(console) as listener:
        outcome = run_eval(config, confirm=confirm, listener=listener)
    record = {
        "directory": str(outcome.directory),
        "spent_usd": outcome.spent_usd,
        "results": [
            {
                "weights": result.target,
                "benchmark": result.scores.benchmark,
                "step": result.scores.step,
                "metrics": result.scores.metrics,
                "intervals": result.scores.record.get("intervals", {}),
                "groups": result.scores.record.get("groups", {}),
                "counts": result.scores.record.get("counts", {}),
                "directory": str(result.directory),
            }
            for result in outcome.results
        ],
        "failures": list(outcome.failures),
    }
    console.report("eval", record, lambda: render_outcome(outcome))
    if outcome.failures:
        from openthoughts_cli.errors import PartialError

        raise PartialError(
            f"{len(outcome.failures)} evaluations failed: {'; '.join(outcome.failures)}",
            hint="the others are recorded; the same command tries these again",
        )
