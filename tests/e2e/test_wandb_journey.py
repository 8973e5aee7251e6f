"""W&B from the command line: what was kept here is sent later, and a W&B that dies costs seconds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from openthoughts_cli.events import EvalDone, StepDone
from openthoughts_cli.runs.layout import RunDirectory
from openthoughts_cli.runs.log import RunLog
from tests.doubles.wandb_server import KEY, WandbServer
from tests.e2e.conftest import RunOt

pytestmark = [pytest.mark.slow]
REPO = Path(__file__).parents[2]


def a_run(tmp_path: Path) -> RunDirectory:
    """Four steps in two attempts, the third done twice, and two evaluations."""
    run = RunDirectory(tmp_path / "runs" / "r")
    run.write_config({"subset": "s", "lora_rank": 16}, {"identity": "abc"})
    first, second = RunLog(run, 1), RunLog(run, 2)
    for number in (1, 2, 3):
        first(StepDone(number, 4, number / 4, 1e-3, 10, 5, float(number), 0.1))
    first(EvalDone("gpqa", 2, {"mean@1": 0.25}, {"problems": [{"text": "a secret question"}]}))
    for number in (3, 4):
        second(StepDone(number, 4, number / 4, 1e-3, 10, 5, 10.0 * number, 0.1))
    second(EvalDone("gpqa", 4, {"mean@1": 0.5}))
    return run


def test_what_was_kept_here_is_sent_with_its_steps_in_order(run_ot: RunOt, tmp_path: Path) -> None:
    run = a_run(tmp_path)
    with WandbServer() as server:
        env = {"WANDB_BASE_URL": server.url, "WANDB_API_KEY": KEY, "WANDB_MODE": "online"}
        sent = run_ot("runs", "sync", "r", "--json", env=env)
        assert sent.code == 0, sent.err
        rows = [row for row in server.history if "step" in row]
        assert [row["step"] for row in rows] == [1, 2, 2, 3, 4, 4]
        assert [r["train_mean_nll"] for r in rows if "train_mean_nll" in r] == [1, 2, 30, 40]
        assert [r["eval/gpqa/mean@1"] for r in rows if "eval/gpqa/mean@1" in r] == [0.25, 0.5]
        assert {given["name"] for given in server.runs} == {json.loads(sent.out)["wandb_id"]}
        assert json.loads(server.runs[0]["config"])["lora_rank"]["value"] == 16
        (table,) = [body for name, body in server.files.items() if "table" in name]
        assert json.loads(table)["data"][-1] == ["gpqa", 4, "mean@1", 0.5]
        assert not any(b"secret question" in body for body in server.files.values())
    stored = json.loads(run.wandb_path.read_text())
    assert (stored["id"], stored["modes"]) == (json.loads(sent.out)["wandb_id"], ["online"])


def test_a_sync_that_cannot_reach_wandb_says_so(run_ot: RunOt, tmp_path: Path) -> None:
    a_run(tmp_path)
    ended = run_ot("runs", "sync", "r", env={"NETRC": str(tmp_path / "none")})
    assert ended.code == 2
    assert "no W&B key" in ended.err


DIES = """
import sys, time
from pathlib import Path
from openthoughts_cli.config.train import WandbConfig
from openthoughts_cli.events import StepDone
from openthoughts_cli.runs.layout import RunDirectory
from openthoughts_cli.runs.wandb import copied_to_wandb
run = RunDirectory(Path(sys.argv[1]))
run.path.mkdir()
said = []
with copied_to_wandb(WandbConfig(mode="online"), run, {}, said.append, finish_s=3.0) as copy:
    for number in range(1, 21):
        copy(StepDone(number, 20, number / 20, 1e-3, 10, 5, 1.0, 0.1))
        time.sleep(0.05)
    print("trained")
print(said[-1].text)
"""


def test_a_wandb_that_dies_on_the_way_costs_a_bounded_wait_and_one_warning(tmp_path: Path) -> None:
    with WandbServer(dies_once_started=True) as server:
        variables = {k: v for k, v in os.environ.items() if k != "WANDB_MODE"}
        ended = subprocess.run(
            [sys.executable, "-c", DIES, str(tmp_path / "r")], cwd=REPO, check=False, timeout=120,
            env={**variables, "WANDB_BASE_URL": server.url, "WANDB_API_KEY": KEY},
            stdin=subprocess.DEVNULL, capture_output=True, text=True,
        )  # fmt: skip
        assert server.history == []  # so training waited for none of its rows
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[-2:] == [
        "trained",
        "W&B was not finished within 3 s; ot runs sync sends the log",
    ]
    assert "Traceback" not in ended.stderr
