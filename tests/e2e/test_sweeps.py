"""A sweep by the command line over Tinker's wire: killed in the middle, run again, done."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from openthoughts_cli.engine.base import ModelInfo
from openthoughts_cli.runs.layout import list_runs
from openthoughts_cli.runs.log import step_metrics
from tests.doubles.chat_models import chatml_folder
from tests.doubles.memory_engine import MemoryEngine
from tests.doubles.tinker_server import KEY, TinkerServer
from tests.doubles.tiny_llama import save_tiny_llama
from tests.e2e.conftest import RunOt, own_environment
from tests.tools.warm_ot import WarmOt

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

MODEL = "Qwen/Qwen3-4B-Instruct-2507"
GRID = f"""
base:
  model: {MODEL}
  batch_size: 2
  epochs: 4
  save_every: 2
  evals: {{nll: {{every: 4}}, arithmetic: {{limit: 2, n: 2, max_tokens: 8}}}}
  wandb: {{mode: disabled}}
subset: {{dataset: sample, source: openmath, max_tokens: 2048, limit: 12, tokenizer: {MODEL}}}
held_out: {{dataset: sample, source: openmath, max_tokens: 2048, limit: 4, seed: 5, tokenizer: {MODEL}}}
axes: {{train.learning_rate: [1e-2, 1e-3, 1e-4]}}
max_usd: 5
"""


def test_a_sweep_over_the_tinker_wire_survives_a_kill(
    run_ot: RunOt, warm: WarmOt, tmp_path: Path
) -> None:
    (tmp_path / "rates.yaml").write_text(GRID)
    served = (ModelInfo(MODEL, 4096),)
    with TinkerServer(lambda: MemoryEngine(served, vocab_size=151_936, cycle_s=0.1)) as server:
        env = {"TINKER_BASE_URL": server.url, "TINKER_API_KEY": KEY}
        kill_after_some_steps(warm, tmp_path, env)
        ended = run_ot("sweep", "rates.yaml", "--json", env=env)
        assert ended.code == 0, ended.err
        record = json.loads(ended.out)
        assert record["done"] == 3
        counts = record["plan"]["counts"]
        assert counts["resumes"] + counts["done"] + counts["to_run"] == 3
        assert counts["resumes"] > 0
        runs = list_runs(tmp_path / "runs")
        assert len(runs) == 3
        for run in runs:
            steps = [record["step"] for record in step_metrics(run)]
            assert steps == list(range(1, run.read_record()["total_steps"] + 1))
        assert server.violations == []


def kill_after_some_steps(warm: WarmOt, tmp_path: Path, env: dict[str, str]) -> None:
    """Start the sweep and kill it -9 once a cell has saved a checkpoint."""
    command = ("sweep", "rates.yaml", "--quiet")
    process = warm.start(command, cwd=tmp_path, env={**own_environment(), **env})
    try:
        until_s = time.monotonic() + 120
        while not any(run.checkpoints() for run in list_runs(tmp_path / "runs")):
            assert process.poll() is None, "it ended before it could be killed"
            assert time.monotonic() < until_s
            time.sleep(0.05)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGKILL)
        process.wait()


@pytest.mark.cluster
@pytest.mark.torch
def test_a_ray_cluster_that_goes_away_is_said_and_the_sweep_goes_on_without(
    run_ot: RunOt, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    model.mkdir()
    chatml_folder(model)
    save_tiny_llama(
        model, vocab_size=600, max_position_embeddings=4096, eos_token_id=None, bos_token_id=None,
        pad_token_id=None,
    )  # fmt: skip
    subset = (
        f"{{dataset: sample, source: openmath, max_tokens: 1024, limit: 12, tokenizer: {model}}}"
    )
    (tmp_path / "small.yaml").write_text(
        f"base: {{model: {model}, engine: local, batch_size: 2, epochs: 40, save_every: 3, "
        f"lora_rank: 4, evals: {{nll: {{}}}}, wandb: {{mode: disabled}}}}\nsubset: {subset}\n"
        "axes: {train.learning_rate: [1e-3, 1e-4]}\n"
    )
    sweep = subprocess.Popen(
        [sys.executable, "-m", "openthoughts_cli", "sweep", "small.yaml", "--on", "ray"],
        cwd=tmp_path, env=own_environment(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    until_s = time.monotonic() + 200
    while not any(run.checkpoints() for run in list_runs(tmp_path / "runs")):
        assert sweep.poll() is None, "it ended before Ray could be killed"
        assert time.monotonic() < until_s
        time.sleep(0.05)
    for pid in ray_processes_of(sweep.pid):
        os.kill(pid, signal.SIGKILL)
    _, said = sweep.communicate(timeout=120)
    assert sweep.returncode == 1, said  # no cell is done
    told = " ".join(said.split())  # by the sweep, or by who outlived it: Ray decides which
    assert "cluster at this machine is gone" in told or "cluster at this machine went away" in told
    ended = run_ot("sweep", "small.yaml", "--json")
    assert ended.code == 0, ended.err
    counts = json.loads(ended.out)["plan"]["counts"]
    assert counts["resumes"] >= 1
    assert counts["failed"] == 0
    for run in list_runs(tmp_path / "runs"):
        steps = [record["step"] for record in step_metrics(run)]
        assert steps == list(range(1, run.read_record()["total_steps"] + 1))


def ray_processes_of(parent: int) -> list[int]:
    """The node and the head of the Ray that a process started."""
    found: list[int] = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            name, _, rest = (folder / "stat").read_text().partition("(")[2].rpartition(") ")
        except OSError:
            continue  # it has ended
        if name in ("raylet", "gcs_server") and int(rest.split()[1]) == parent:
            found.append(int(folder.name))
    assert len(found) == 2, found
    return found


def test_a_grid_that_is_wrong_is_one_list_of_places(run_ot: RunOt, tmp_path: Path) -> None:
    (tmp_path / "grid.yaml").write_text(
        "subset: {dataset: sample, limt: 3}\naxes: {train.learning_rat: [1]}\n"
    )
    wrong = run_ot("sweep", "grid.yaml")
    assert wrong.code == 2
    assert "grid.yaml:2:8: train.learning_rat: unknown key; did you mean train.learning_rate?" in (
        wrong.err
    )
    assert "grid.yaml:1:27: subset.limt: unknown key; did you mean limit?" in wrong.err
    missing = run_ot("sweep", "no-such.yaml")
    assert missing.code == 2
    assert "there is no file no-such.yaml" in missing.err
