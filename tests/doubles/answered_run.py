"""A finished run with stored answers before and after: real files, made-up answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from openthoughts_cli.config.benchmark import BenchmarkConfig
from openthoughts_cli.config.train import TrainConfig
from openthoughts_cli.evals.benchmark import Grade, benchmark
from openthoughts_cli.evals.records import EvalDirectory, Sample
from openthoughts_cli.evals.scoring import score_samples
from openthoughts_cli.events import EvalDone, RunFinished, RunStarted, StepDone
from openthoughts_cli.runs.layout import RunDirectory
from openthoughts_cli.runs.log import RunLog

__all__ = ["EVIL", "answered_run"]

EVIL = '<img src="http://evil.invalid/x.png" onerror="alert(1)">'
"""What an answer must never do."""
_SECRET = "Which of these particles is Gamma-ray-rumpelstiltskin?"


def answered_run(
    root: Path,
    run_id: str = "answered",
    *,
    steps: int = 8,
    learning_rate: float = 1e-3,
    gpqa: bool = False,
    status: Literal["done", "interrupted", "failed", "budget"] = "done",
    created: str = "2026-11-20T10:00:00+00:00",
    usd: float = 0.0,
) -> RunDirectory:
    """Write a run of `steps` steps. Of six problems, two are newly solved and one newly failed.

    Args:
        gpqa: score gpqa too, on one made-up question in a file beside the run.
        usd: what the run costs in all, spread over the steps.
    """
    settings = BenchmarkConfig(limit=6, n=2, at_start=True)
    config = TrainConfig(
        subset="small",
        model="smollm2-135m",
        learning_rate=learning_rate,
        evals={"arithmetic": settings},
    )
    run = RunDirectory(root / run_id)
    run.write_config(
        config.model_dump(mode="json"),
        {
            "identity": run_id,
            "created": created,
            "total_steps": steps,
            "model": {"name": "smollm2-135m"},
            "subset": {"name": "small", "digest": "d" * 32},
        },
    )
    spent = [0.0]
    log = RunLog(run, 1, spent_usd=lambda: spent[0])
    log(RunStarted(run_id, str(run.path), steps, steps, "smollm2-135m", "local"))
    _measure(run, log, "arithmetic", settings, 0)
    for step in range(1, steps + 1):
        spent[0] = usd * step / steps
        log(StepDone(step, steps, step / steps, learning_rate, 100, 60, 2.0 - 0.1 * step, 0.5))
        if step % 4 == 0:
            log(EvalDone("nll", step, {"mean": 2.2 - 0.1 * step, "per_byte": 0.6 - 0.02 * step}))
    _measure(run, log, "arithmetic", settings, steps)
    if gpqa:
        row = {
            "Record ID": "made-up",
            "Question": _SECRET,
            "Correct Answer": "one",
            **{f"Incorrect Answer {i}": f"other {i}" for i in (1, 2, 3)},
            "Subdomain": "made up",
        }
        data = root / "made-up.jsonl"
        data.write_text(json.dumps(row) + "\n", encoding="utf-8")
        _measure(run, log, "gpqa", BenchmarkConfig(data=str(data), n=2), steps)
    log(RunFinished(run_id, status, steps, 4.0))
    return run


def _measure(
    run: RunDirectory, log: RunLog, name: str, settings: BenchmarkConfig, step: int
) -> None:
    kind = benchmark(name)
    problems = kind.load(settings)
    directory = EvalDirectory(run.eval_dir(name, step))
    identity = {"benchmark": name, "data": {"digest": problems.digest}}
    directory.begin(identity, {"grader": name, "settings": settings.model_dump(mode="json")})
    for number, problem in enumerate(problems.problems):
        for index in range(2):
            right = _right(number, index, after=step > 0)
            cut = number == 4 and index == 1
            thought = f"<think>\nI add the numbers for {EVIL}, step {index}.\n"
            said = "" if cut else f"</think>\n\nThe answer is $\\boxed{{{problem.answer}}}$. {EVIL}"
            grade = Grade(
                None if cut else str(problem.answer if right else 7),
                right,
                "correct" if right else "no answer" if cut else "wrong",
                "" if right else f"expected {problem.answer}\n{EVIL}",
            )
            sample = Sample(
                problem.id, index, thought + said, 40 + index, "length" if cut else "stop", grade
            )
            directory.append_sample(sample, seed=index)
    made = score_samples(
        name,
        step,
        problems.problems,
        directory.samples(),
        n=2,
        ks=(1, 2),
        votes=kind.votes,
        config={},
    )
    assert made is not None
    scores: Any = made[1]
    directory.write_scores(scores)
    log(EvalDone(name, step, scores["metrics"]))


def _right(number: int, index: int, *, after: bool) -> bool:
    """Problems 0 and 1 become right, 2 becomes wrong, 3 stays right, 4 wrong and cut, 5 flips."""
    if number in (0, 1):
        return after
    if number == 2:
        return not after
    if number == 5:
        return index == 0
    return number == 3
