"""What the two sides of a comparison name: an evaluation's directory, a run, or a run's checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from openthoughts_cli.errors import DataError, NotFoundError
from openthoughts_cli.evals.records import EvalDirectory
from openthoughts_cli.runs.layout import RunDirectory, find_run

__all__ = ["BASE", "Side", "read_side", "stored_steps"]

BASE = "base"
_FORMS = (
    "give a run, RUN@CHECKPOINT (a checkpoint's name, a number of steps, or base), or the directory "
    "of an evaluation"
)


@dataclass(frozen=True, slots=True)
class Side:
    """One side: its name as given, its run where there is one, and an evaluation for each benchmark.

    `step` is the number of steps in the weights where the name says which; a run alone stands for
    the newest evaluation of each benchmark.
    """

    name: str
    run: RunDirectory | None
    step: int | None
    evals: Mapping[str, Path]


def read_side(name: str) -> Side:
    """What `name` means.

    Raises:
        NotFoundError: there is no such run, checkpoint or evaluation.
    """
    directory = Path(name).expanduser()
    if (directory / "scores.json").is_file():
        return _of_directory(name, directory)
    run_name, at, checkpoint = name.rpartition("@")
    if not at or (directory / "config.json").is_file():
        run = find_run(name)
        return Side(name, run, None, _newest(run))
    run = find_run(run_name)
    step = _step_of(run, checkpoint)
    evals = {
        benchmark: run.eval_dir(benchmark, step)
        for benchmark, steps in stored_steps(run).items()
        if step in steps
    }
    return Side(name, run, step, evals)


def stored_steps(run: RunDirectory) -> dict[str, list[int]]:
    """The steps of finished evaluations, ascending, by the name of their directory."""
    found: dict[str, list[int]] = {}
    for scores in run.path.glob("evals/*/step-*/scores.json"):
        number = scores.parent.name.removeprefix("step-")
        if number.isdecimal():
            found.setdefault(scores.parent.parent.name, []).append(int(number))
    return {benchmark: sorted(found[benchmark]) for benchmark in sorted(found)}


def _newest(run: RunDirectory) -> dict[str, Path]:
    return {name: run.eval_dir(name, steps[-1]) for name, steps in stored_steps(run).items()}


def _of_directory(name: str, directory: Path) -> Side:
    scores = EvalDirectory(directory).scores()
    benchmark, step = scores.get("benchmark"), scores.get("step")
    if not isinstance(benchmark, str) or not isinstance(step, int):
        raise DataError(
            f"{directory / 'scores.json'} is damaged: it names no benchmark or step",
            hint="run the evaluation again; recorded answers are not asked anew",
        )
    return Side(name, None, step, {benchmark: directory})


def _step_of(run: RunDirectory, name: str) -> int:
    """The steps in a checkpoint's weights; `name` may also be "base" or the number itself."""
    if name == BASE:
        return 0
    checkpoints = {entry.name: entry.batch for entry in run.checkpoints()}
    if name in checkpoints:
        return checkpoints[name]
    steps = sorted({step for found in stored_steps(run).values() for step in found})
    if name.isdecimal() and int(name) in steps:
        return int(name)
    there = ", ".join([BASE, *checkpoints, *map(str, steps)])
    raise NotFoundError(
        f"{run.run_id} has no checkpoint or evaluated step {name!r}",
        hint=f"there are: {there}. {_FORMS[0].upper()}{_FORMS[1:]}",
    )
