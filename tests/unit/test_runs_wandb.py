"""The W&B copy: read back from its own file, in order, without texts, and never in the way."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from openthoughts_cli.config.train import WandbConfig
from openthoughts_cli.errors import ConfigError
from openthoughts_cli.events import EvalDone, Event, StepDone, fan_out
from openthoughts_cli.runs.layout import RunDirectory
from openthoughts_cli.runs.log import RunLog
from openthoughts_cli.runs.wandb import check_wandb, copied_to_wandb, resolve_mode, sync
from tests.doubles.wandb_file import history, read_records

OFFLINE = WandbConfig(mode="offline")


def step(number: int, loss: float = 1.0) -> StepDone:
    return StepDone(number, 6, number / 6, 1e-3, 10, 5, loss, 0.1)


def scores(number: int) -> EvalDone:
    record = {"problems": [{"id": "p", "text": "a secret question of GPQA"}]}
    return EvalDone("gpqa", number, {"mean@1": number / 10}, record)


def attempt(run: RunDirectory, number: int, events: list[Event]) -> None:
    log = RunLog(run, number)
    with copied_to_wandb(OFFLINE, run, {"lora_rank": 32}, finish_s=120.0) as copy:
        hear = fan_out(log, copy)
        for event in events:
            hear(event)


def files(run: RunDirectory) -> list[Path]:
    return sorted(run.path.glob("wandb/offline-run-*/*.wandb"), key=lambda p: p.stat().st_mtime_ns)


@pytest.mark.slow
def test_an_offline_run_is_read_back_in_order_under_one_id_across_attempts(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "first")
    run.path.mkdir()
    attempt(run, 1, [step(1), step(2), scores(2), step(3)])
    time.sleep(1.1)  # W&B names its directories by the second
    attempt(run, 2, [step(3, 2.0), step(4), scores(4), step(5)])
    first, second = files(run)
    ids = {r.run.run_id for f in (first, second) for r in read_records(f) if r.HasField("run")}
    assert len(ids) == 1
    rows = [row for file in (first, second) for row in history(file)]
    trained = [row["step"] for row in rows if "train_mean_nll" in row]
    assert trained == [1, 2, 3, 4, 5]
    assert [(r["step"], r["eval/gpqa/mean@1"]) for r in rows if "eval/gpqa/mean@1" in r] == [
        (2, 0.2), (4, 0.4),
    ]  # fmt: skip
    records = read_records(first)
    defined = {
        (r.metric.name or r.metric.glob_name): r.metric.step_metric
        for r in records
        if r.HasField("metric")
    }
    assert "step" in defined
    assert defined["*"] == "step"
    configs = [i.key for r in records if r.HasField("run") for i in r.run.config.update]
    assert "lora_rank" in configs
    summed = [
        i.key or i.nested_key[0] for r in records if r.HasField("summary") for i in r.summary.update
    ]
    assert "evals" in summed
    for file in (first, second):
        assert b"secret question" not in file.read_bytes()


@pytest.mark.slow
def test_sync_replays_the_newest_of_each_step_in_order(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "r")
    log = RunLog(run, 1)
    for event in (step(1), step(2), step(3), scores(2)):
        log(event)
    again = RunLog(run, 2)
    for event in (step(3, 7.0), step(4)):
        again(event)
    run_id = sync(run, OFFLINE, {})
    (file,) = files(run)
    rows = [row for row in history(file) if "step" in row]
    assert [row["step"] for row in rows] == [1, 2, 2, 3, 4]
    assert [row["train_mean_nll"] for row in rows if "train_mean_nll" in row] == [1, 1, 7, 1]
    assert any(r.run.run_id == run_id for r in read_records(file) if r.HasField("run"))


def test_auto_is_online_only_with_a_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    assert resolve_mode(WandbConfig()) == "disabled"
    monkeypatch.setenv("WANDB_API_KEY", "x" * 40)
    assert resolve_mode(WandbConfig()) == "online"
    monkeypatch.delenv("WANDB_API_KEY")
    (tmp_path / "netrc").write_text("machine api.wandb.ai login user password abc\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert resolve_mode(WandbConfig()) == "online"
    assert resolve_mode(WandbConfig(mode="disabled")) == "disabled"


def test_online_without_a_key_is_refused_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    with pytest.raises(ConfigError, match="no W&B key"):
        check_wandb(WandbConfig(mode="online"))
    check_wandb(WandbConfig(mode="offline"))


def test_disabled_starts_no_thread_and_writes_nothing(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "r")
    before = threading.active_count()
    with copied_to_wandb(WandbConfig(mode="disabled"), run, {}) as copy:
        copy(step(1))
        assert threading.active_count() == before
    assert not run.path.exists()
