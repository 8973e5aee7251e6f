"""Runs that are killed at random moments, again and again, end as if nothing had happened."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from openthoughts_cli.runs.layout import RunDirectory
from openthoughts_cli.runs.log import eval_metrics, step_metrics
from openthoughts_cli.store import read_lines
from tests.doubles.tinker_server import KEY, TinkerServer
from tests.e2e.conftest import RunOt, own_environment
from tests.e2e.test_recipe import cut_subset
from tests.tools.tally import SOAK, tally
from tests.tools.warm_ot import WarmStart

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SETTINGS = (
    "--subset", "small", "--batch-size", 2, "--learning-rate", "1e-2", "--epochs", 2, "--yes",
    "--set", "save_every=4", "--set", "wandb.mode=disabled",
    "--set", "evals={nll: {every: 3, at_start: true}, "
    "arithmetic: {every: 5, limit: 3, n: 2, max_tokens: 8}}",
)  # fmt: skip
LOCAL_KILLS = 10 * SOAK
REMOTE_KILLS = 20 * SOAK
KILLED_WITHIN = 1.1 if SOAK > 1 else 0.8
"""Of the time that a whole run takes. What goes on is nearer to its end, so the end is met as well."""


def environment(**more: str) -> dict[str, str]:
    return {**own_environment(), "OMP_NUM_THREADS": "1", **more}


@contextlib.contextmanager
def starting(tmp_path: Path, *modules: str, **env: str) -> Generator[WarmStart]:
    log = tmp_path / "said.txt"
    with WarmStart(tmp_path, modules=modules, env=environment(**env), log=log) as warm:
        yield warm


def run_of(tmp_path: Path, name: str) -> RunDirectory:
    return RunDirectory(tmp_path / "runs" / name)


def kill_until_done(
    warm: WarmStart, tmp_path: Path, name: str, settings: tuple[object, ...], *,
    longest_s: float, chance: random.Random, most: int,
) -> int:  # fmt: skip
    """Start the run and kill it at random moments, at most so often, until it is done; counts."""
    kills = 0
    while True:
        # The same command again, or --resume: both must go on.
        again = chance.random() < 0.5 and run_of(tmp_path, name).config_path.exists()
        command = ("train", "--resume", name) if again else ("train", *settings, "--run-name", name)
        pid = warm.start(*command, *(("--yes",) if again else ()))
        if kills < most and not warm.ends_within(chance.uniform(0.05, longest_s)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        code = warm.wait()
        if code != -signal.SIGKILL:
            assert code == 0, warm.said()
            return kills
        kills += 1
        tally("kills of long ot train runs")
        check_log(run_of(tmp_path, name))


def check_log(run: RunDirectory) -> None:
    """What holds after every kill: each attempt went on where the last recorded state ended."""
    saves = [line for line in read_lines(run.checkpoints_path) if line["state_path"]]
    for event in read_lines(run.events_path):
        if event["event"] == "run_started":
            earlier = [s["batch"] for s in saves if s["attempt"] < event["attempt"]]
            assert event["first_step"] == max(earlier, default=0) + 1
    saved = max((line["batch"] for line in saves), default=0)
    steps = [record["step"] for record in step_metrics(run)]
    assert steps[:saved] == list(range(1, saved + 1))


def losses(run: RunDirectory) -> list[tuple[Any, ...]]:
    return [
        (m["step"], m["epoch"], m["learning_rate"], m["num_tokens"], m["train_mean_nll"])
        for m in step_metrics(run)
    ]


def check_equal(tmp_path: Path, name: str, *, exact_scores: bool) -> None:
    run, whole = run_of(tmp_path, name), run_of(tmp_path, "whole")
    assert losses(run) == losses(whole)
    found, wanted = eval_metrics(run), eval_metrics(whole)
    assert found.keys() == wanted.keys()
    for benchmark, scores in wanted.items():
        assert [step for step, _ in found[benchmark]] == [step for step, _ in scores]
        if benchmark == "nll":
            for (_, given), (_, expected) in zip(found[benchmark], scores, strict=True):
                assert given == pytest.approx(expected, rel=0 if exact_scores else 1e-5)
    for samples in run.path.glob("evals/arithmetic/step-*/samples.jsonl"):
        asked = [
            (line["problem"], line["sample"])
            for line in read_lines(samples)
            if "completion" in line
        ]
        assert len(asked) == len(set(asked)) == 6
    # A step was done twice only where a kill lay between it and its checkpoint.
    lines = [line for line in read_lines(run.metrics_path) if "train_mean_nll" in line]
    starts = [e["first_step"] for e in read_lines(run.events_path) if e["event"] == "run_started"]
    again = len(lines) - len(step_metrics(run))
    assert again <= 6 * len(starts)


@pytest.mark.torch
def test_killed_local_runs_have_the_losses_of_an_undisturbed_one(
    run_ot: RunOt, tiny_model: Path, tmp_path: Path
) -> None:
    cut_subset(run_ot, tiny_model, limit=14)
    settings = (*SETTINGS, "--engine", "local", "--model", tiny_model)
    chance = random.Random(4)
    kills = runs = 0
    with starting(tmp_path, "openthoughts_cli.engine.local.engine", "peft") as warm:
        began = time.monotonic()
        warm.start("train", *settings, "--run-name", "whole")
        assert warm.wait() == 0, warm.said()
        longest_s = KILLED_WITHIN * (time.monotonic() - began)
        while kills < LOCAL_KILLS:
            name = f"cut-{runs}"
            kills += kill_until_done(
                warm, tmp_path, name, settings,
                longest_s=longest_s, chance=chance, most=LOCAL_KILLS - kills,
            )  # fmt: skip
            check_equal(tmp_path, name, exact_scores=False)
            tally("killed runs compared with an undisturbed one")
            runs += 1
    print(f"{kills} kills in {runs} local runs of {len(losses(run_of(tmp_path, 'whole')))} steps")


def test_killed_runs_on_a_tinker_server_have_the_losses_of_an_undisturbed_one(
    run_ot: RunOt, tmp_path: Path
) -> None:
    from openthoughts_cli.engine.base import ModelInfo
    from tests.doubles.memory_engine import MemoryEngine

    model = "Qwen/Qwen3-4B-Instruct-2507"
    cut_subset(run_ot, model, limit=14)
    chance = random.Random(5)
    kills = runs = 0
    served = (ModelInfo(model, 4096),)
    with (
        TinkerServer(lambda: MemoryEngine(served, vocab_size=151_936, cycle_s=0.04)) as server,
        starting(
            tmp_path, "openthoughts_cli.engine.tinker.engine",
            TINKER_BASE_URL=server.url, TINKER_API_KEY=KEY,
        ) as warm,
    ):  # fmt: skip
        began = time.monotonic()
        warm.start("train", *SETTINGS, "--run-name", "whole")
        assert warm.wait() == 0, warm.said()
        longest_s = KILLED_WITHIN * (time.monotonic() - began)
        while kills < REMOTE_KILLS:
            name = f"cut-{runs}"
            kills += kill_until_done(
                warm, tmp_path, name, SETTINGS,
                longest_s=longest_s, chance=chance, most=REMOTE_KILLS - kills,
            )  # fmt: skip
            check_equal(tmp_path, name, exact_scores=True)
            tally("killed runs compared with an undisturbed one")
            runs += 1
        assert server.violations == []
    print(f"{kills} kills in {runs} runs of {len(losses(run_of(tmp_path, 'whole')))} steps")


def test_the_same_command_goes_on_or_reports_and_another_is_refused(
    run_ot: RunOt, tinker: TinkerServer, tmp_path: Path
) -> None:
    env = {"TINKER_BASE_URL": tinker.url, "TINKER_API_KEY": KEY}
    cut_subset(run_ot, "Qwen/Qwen3-4B-Instruct-2507", limit=12)
    settings = (
        "train", "--subset", "small", "--batch-size", 2, "--epochs", 1, "--run-name", "r",
        "--set", "evals={}", "--set", "wandb.mode=disabled", "--yes",
    )  # fmt: skip
    assert run_ot(*settings, env=env).code == 0
    before = (tmp_path / "runs/r/events.jsonl").read_bytes()
    receipt = tmp_path / "runs/r/receipt.json"
    usd = json.loads(receipt.read_text())["actual"]["usd"]
    receipt.unlink()  # as when a kill came before it
    again = run_ot(*settings, "--json", env=env)
    assert again.code == 0, again.err
    assert json.loads(again.out)["status"] == "done"
    assert json.loads(receipt.read_text())["actual"]["usd"] == pytest.approx(usd)
    assert "done already" in again.err
    assert (tmp_path / "runs/r/events.jsonl").read_bytes() == before
    other = run_ot(*settings, "--learning-rate", "1e-3", "--seed", 4, env=env)
    assert other.code == 1
    assert "another learning_rate, seed" in other.err
    refused = run_ot("train", "--resume", "r", "--lora-rank", 16, "--yes", env=env)
    assert refused.code == 2
    assert "lora_rank changed since it began" in refused.err
    longer = run_ot("train", "--resume", "r", "--epochs", 2, "--yes", env=env)
    assert longer.code == 2
    assert "lr_schedule linear depends on the last step" in longer.err
