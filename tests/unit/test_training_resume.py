"""What may change between the attempts at a run, and what a receipt says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from openthoughts_cli.config.train import TrainConfig
from openthoughts_cli.events import RunStarted, StepDone
from openthoughts_cli.runs.layout import RunDirectory
from openthoughts_cli.runs.log import RunLog, spent_usd
from openthoughts_cli.store import append_line, write_whole
from openthoughts_cli.training.plan import Plan
from openthoughts_cli.training.receipt import past_of, write_receipt
from openthoughts_cli.training.resume import changed_keys


def config_with(**settings: object) -> TrainConfig:
    return TrainConfig.model_validate({"subset": "s", **settings})


@pytest.mark.parametrize(
    "harmless",
    [
        {"wandb": {"mode": "offline"}},
        {"run_name": "other"},
        {"max_usd": 3.0},
        {"save_every": 1},
        {"save_every_minutes": 2.0},
        {"keep_last": 2},
        {"checkpoint_ttl_hours": None},
        {"pipeline_depth": 5},
    ],
)
def test_what_changes_nothing_that_is_computed_is_not_part_of_the_identity(
    harmless: dict[str, object],
) -> None:
    assert changed_keys(config_with().identity(), config_with(**harmless).identity()) == []


def test_what_changes_the_result_is_named() -> None:
    new = config_with(
        seed=3,
        learning_rate="auto",
        accumulate=2,
        engine={"kind": "local"},
        evals={"nll": {"every": 7}},
    )
    changed = changed_keys(config_with().identity(), new.identity())
    assert {"seed", "learning_rate", "accumulate", "engine.kind", "evals.nll.every"} <= set(changed)


def test_the_money_of_all_attempts_counts(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "r")
    for attempt, amount in ((1, 0.5), (2, 0.75)):
        log = RunLog(run, attempt, spent_usd=lambda amount=amount: amount)
        log(RunStarted("r", "d", 3, 3, "m", "tinker"))
    assert spent_usd(run) == 0.75
    assert spent_usd(RunDirectory(tmp_path / "other")) == 0.0


def a_plan() -> Plan:
    return Plan(
        model="m", engine="local", subset="s", train_rows=4, held_out_rows=1, dropped={},
        steps=2, epochs=1, batch_size=2, train_tokens=20, loss_tokens=10, evals=(), checkpoints=1,
        costs_money=False, max_usd=None, train_usd=None, most_eval_usd=None, prices_as_of=None,
        advice=(), expected_s=5.0,
    )  # fmt: skip


def test_a_receipt_counts_all_attempts_and_teaches_later_plans(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OT_RUNS", str(tmp_path))
    run = RunDirectory(tmp_path / "r")
    for attempt, steps in ((1, (1, 2)), (2, (2,))):
        log = RunLog(run, attempt)
        for step in steps:
            log(StepDone(step, 2, step / 2, 1e-3, 10, 5, 1.0, 0.5))
    for tokens in (4, 8):
        append_line(run.path / "evals/arithmetic/step-2/samples.jsonl", {"tokens": tokens})
    write_whole(run.config_path, "{}")
    receipt = write_receipt(run, a_plan(), status="done", usd=0.0)
    assert receipt is not None
    assert receipt.attempts == 2
    assert receipt.actual["steps"] == 3
    assert receipt.actual["train_tokens"] == 30
    assert receipt.actual["sampled_tokens"] == 12
    assert receipt.estimate["train_tokens"] == 20
    assert json.loads(run.receipt_path.read_text())["status"] == "done"
    past = past_of("m", "local")
    assert past.train_tokens_per_s == pytest.approx(20)
    assert past.tokens_per_answer == {"arithmetic": 6.0}
    assert past_of("other", "local").train_tokens_per_s is None


def test_a_receipt_that_was_edited_spoils_no_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OT_RUNS", str(tmp_path))
    run = RunDirectory(tmp_path / "r")
    write_whole(run.config_path, "{}")
    append_line(run.metrics_path, {"train_mean_nll": 1, "num_tokens": "x", "time/step": []})
    for time in ("2026-11-24T10:00:00", "2026-11-24T10:00:05+00:00"):
        append_line(run.events_path, {"attempt": 1, "time": time})
    receipt = write_receipt(run, a_plan(), status="done", usd=0.0)
    assert receipt is not None
    assert receipt.train_tokens_per_s is None
    edited = {**receipt.to_json(), "tokens_per_answer": {"a": "x", "b": 3}}
    write_whole(run.receipt_path, json.dumps({**edited, "train_tokens_per_s": "fast"}))
    past = past_of("m", "local")
    assert past.train_tokens_per_s is None
    assert past.tokens_per_answer == {"b": 3.0}
