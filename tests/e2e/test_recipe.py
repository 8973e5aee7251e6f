"""Subset, inspect, train, eval as separate commands, on the local engine and on Tinker's wire."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.doubles.tinker_server import KEY, TinkerServer
from tests.e2e.conftest import RunOt, own_environment
from tests.tools.warm_ot import WarmOt

pytestmark = [pytest.mark.slow]

SMALL_EVALS = "evals={nll: {every: 2, at_start: true}, arithmetic: {limit: 3, n: 2, max_tokens: 8}}"


def cut_subset(run_ot: RunOt, tokenizer: Path | str, *, limit: int = 24) -> None:
    ended = run_ot(
        "subset", "--dataset", "sample", "--source", "openmath", "--max-tokens", 2048,
        "--limit", limit, "--name", "small", "--set", f"tokenizer={tokenizer}",
    )  # fmt: skip
    assert ended.code == 0, ended.err


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.torch
def test_the_recipe_on_the_local_engine(run_ot: RunOt, tiny_model: Path, tmp_path: Path) -> None:
    cut_subset(run_ot, tiny_model)
    seen = run_ot("inspect", "small", "--json")
    assert seen.code == 0, seen.err
    assert json.loads(seen.out)["kind"] == "inspection"

    trained = run_ot(
        "train", "--subset", "small", "--engine", "local", "--model", tiny_model, "--epochs", 1,
        "--batch-size", 6, "--run-name", "first", "--learning-rate", "1e-2", "--json",
        "--set", SMALL_EVALS, "--set", "save_every=2",
    )  # fmt: skip
    assert trained.code == 0, trained.err
    record = json.loads(trained.out)
    assert (record["status"], record["run"]) == ("done", "first")
    run = tmp_path / "runs" / "first"
    metrics = lines(run / "metrics.jsonl")
    losses = [line["train_mean_nll"] for line in metrics if "train_mean_nll" in line]
    assert len(losses) == record["plan"]["steps"] > 2
    assert losses[-1] < losses[0]  # type: ignore[operator]
    names = [line["name"] for line in lines(run / "checkpoints.jsonl")]
    assert names[0] == "step-000002"
    assert lines(run / "checkpoints.jsonl")[-1]["final"] is True
    assert (run / "evals/nll/step-0/scores.json").is_file()
    assert (run / f"evals/arithmetic/step-{len(losses)}/samples.jsonl").is_file()

    shown = run_ot("runs", "show", "first", "--json")
    assert json.loads(shown.out)["status"] == "done"
    again = run_ot("train", "--config", run / "config.json", "--run-name", "second", "--plain")
    assert again.code == 0, again.err
    repeated = lines(tmp_path / "runs/second/metrics.jsonl")
    assert [m["train_mean_nll"] for m in repeated if "train_mean_nll" in m] == losses
    first, second = (
        json.loads((tmp_path / "runs" / name / "record.json").read_text())
        for name in ("first", "second")
    )
    assert first["identity"] == second["identity"]


@pytest.mark.torch
def test_the_saved_adapter_is_a_peft_adapter(
    run_ot: RunOt, tiny_model: Path, tmp_path: Path
) -> None:
    cut_subset(run_ot, tiny_model, limit=8)
    trained = run_ot(
        "train", "--subset", "small", "--engine", "local", "--model", tiny_model, "--epochs", 1,
        "--run-name", "r", "--set", "evals={}", "--learning-rate", "1e-2",
    )  # fmt: skip
    assert trained.code == 0, trained.err
    adapter = lines(tmp_path / "runs/r/checkpoints.jsonl")[-1]["sampler_path"]
    code = (
        "import sys, torch\n"
        "from peft import AutoPeftModelForCausalLM\n"
        "model = AutoPeftModelForCausalLM.from_pretrained(sys.argv[1])\n"
        "out = model.generate(input_ids=torch.tensor([[5, 6, 7]]), max_new_tokens=4, do_sample=False)\n"
        "assert out.shape[1] > 3\n"
        "assert any(p.abs().sum() > 0 for n, p in model.named_parameters() if 'lora_B' in n)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(adapter)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.torch
def test_ctrl_c_saves_and_resume_goes_on_to_the_undisturbed_losses(
    run_ot: RunOt, warm: WarmOt, tiny_model: Path, tmp_path: Path
) -> None:
    cut_subset(run_ot, tiny_model)
    settings = (
        "--subset", "small", "--engine", "local", "--model", tiny_model, "--batch-size", 2,
        "--learning-rate", "1e-2", "--epochs", 3, "--set", "save_every=0",
        "--set", "evals={nll: {at_end: true}}",
    )  # fmt: skip
    whole = run_ot("train", *settings, "--run-name", "whole")
    assert whole.code == 0, whole.err

    command = ("train", *map(str, settings), "--run-name", "cut")
    cut = warm.start(command, cwd=tmp_path, env=own_environment())
    metrics = tmp_path / "runs/cut/metrics.jsonl"
    deadline = time.monotonic() + 120
    while not (metrics.is_file() and len(lines(metrics)) >= 3):
        assert cut.poll() is None, cut.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    cut.send_signal(signal.SIGINT)
    _, err = cut.communicate(timeout=120)
    assert cut.returncode == 130, err
    assert "ot train --resume cut" in err

    listed = run_ot("runs", "ls", "--json")
    statuses = {r["run_id"]: r["status"] for r in map(json.loads, listed.out.splitlines())}
    assert statuses == {"whole": "done", "cut": "interrupted"}
    resumed = run_ot("train", "--resume", "cut")
    assert resumed.code == 0, resumed.err

    def newest(name: str) -> dict[int, float]:
        found = lines(tmp_path / f"runs/{name}/metrics.jsonl")
        return {m["step"]: m["train_mean_nll"] for m in found if "train_mean_nll" in m}  # type: ignore[misc]

    assert newest("cut") == newest("whole")


def test_the_recipe_through_the_real_tinker_sdk(
    run_ot: RunOt, tinker: TinkerServer, tmp_path: Path
) -> None:
    env = {"TINKER_BASE_URL": tinker.url, "TINKER_API_KEY": KEY}
    cut_subset(run_ot, "Qwen/Qwen3-4B-Instruct-2507")
    settings = (
        "--subset", "small", "--epochs", 1, "--batch-size", 6, "--learning-rate", "auto",
        "--run-name", "remote", "--set", SMALL_EVALS,
    )  # fmt: skip
    refused = run_ot("train", *settings, env=env)
    assert refused.code == 1
    assert "--yes" in refused.err
    assert not (tmp_path / "runs").exists()

    planned = run_ot("train", *settings, "--dry-run", "--json", env=env)
    plan = json.loads(planned.out)["plan"]
    assert planned.code == 0
    assert plan["costs_money"] is True
    assert plan["most_usd"] > 0

    trained = run_ot("train", *settings, "--yes", "--json", env=env)
    assert trained.code == 0, trained.err
    record = json.loads(trained.out)
    assert record["status"] == "done"
    assert 0 < record["spent_usd"] <= plan["most_usd"] * (1 + 1e-9)
    run = tmp_path / "runs/remote"
    assert {line["step"] for line in lines(run / "metrics.jsonl") if "eval/nll/mean" in line} == {
        0, 2, plan["steps"],
    }  # fmt: skip
    assert all(
        str(line["sampler_path"]).startswith("tinker://")
        for line in lines(run / "checkpoints.jsonl")
        if line["sampler_path"]
    )
    assert tinker.violations == []


def test_the_money_limit_stops_with_its_own_exit_code_and_the_run_can_go_on(
    run_ot: RunOt, tinker: TinkerServer, tmp_path: Path
) -> None:
    env = {"TINKER_BASE_URL": tinker.url, "TINKER_API_KEY": KEY}
    cut_subset(run_ot, "Qwen/Qwen3-4B-Instruct-2507")
    settings = (
        "--subset", "small", "--epochs", 2, "--batch-size", 4, "--run-name", "poor",
        "--set", "evals={}",
    )  # fmt: skip
    plan = json.loads(run_ot("train", *settings, "--dry-run", "--json", env=env).out)["plan"]
    stopped = run_ot("train", *settings, "--max-usd", plan["most_usd"] / 2, env=env)
    assert stopped.code == 4, stopped.err
    assert "checkpoint is kept" in stopped.err
    done = lines(tmp_path / "runs/poor/metrics.jsonl")
    assert 0 < len(done) < plan["steps"]
    assert lines(tmp_path / "runs/poor/checkpoints.jsonl")[-1]["batch"] == len(done)


def test_a_model_that_is_not_served_stops_before_spending_and_lists_what_is(
    run_ot: RunOt, tinker: TinkerServer
) -> None:
    env = {"TINKER_BASE_URL": tinker.url, "TINKER_API_KEY": KEY}
    cut_subset(run_ot, "Qwen/Qwen3-4B-Instruct-2507", limit=4)
    ended = run_ot("train", "--subset", "small", "--model", "Qwen/Qwen3-8B", "--yes", env=env)
    assert ended.code == 1
    assert "Qwen/Qwen3-8B is not served" in ended.err
    assert "--model Qwen/Qwen3-4B-Instruct-2507" in ended.err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("train", "--subset", "nothing"), 2, "nothing"),
        (("train",), 2, "subset"),
        (("train", "--config", "missing.yaml"), 2, "missing.yaml"),
        (("train", "--subset", "s", "--lora-rank", "12"), 2, "power of two"),
        (("train", "--subset", "s", "--set", "batch_sise=3"), 2, "did you mean batch_size"),
        (("train", "--resume", "nothing"), 2, "no run"),
        (("train", "--resume", "a", "--config", "b.yaml"), 2, "--resume"),
        (("runs", "show", "nothing"), 2, "no run"),
        (("inspect", "nothing"), 2, "nothing"),
        (("subset", "--source", "opnmath"), 2, "did you mean openmath"),
    ],
)
def test_bad_input_is_one_sentence_and_the_right_code(
    run_ot: RunOt, tmp_path: Path, arguments: tuple[str, ...], code: int, said: str
) -> None:
    ended = run_ot(*arguments)
    assert ended.code == code, ended.err
    assert said in ended.err
    assert "Traceback" not in ended.err
    assert ended.out == ""
    assert list(tmp_path.iterdir()) == []
