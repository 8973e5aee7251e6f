"""A run on disk: written by the log, read by everyone."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Awaitable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from openthoughts_cli.engine.meter import Meter
from openthoughts_cli.errors import ConflictError, DataError, NotFoundError
from openthoughts_cli.events import (
    CheckpointSaved,
    EvalDone,
    EvalProgress,
    Notice,
    RunFinished,
    RunStarted,
    StageProgress,
    StepDone,
)
from openthoughts_cli.runs.environment import describe_environment
from openthoughts_cli.runs.layout import RunDirectory, find_run, list_runs, new_run_id
from openthoughts_cli.runs.lock import locked
from openthoughts_cli.runs.log import (
    RunLog,
    eval_metrics,
    how_it_ended,
    next_attempt,
    run_status,
    spent_usd,
    step_metrics,
)
from openthoughts_cli.runs.summary import summarise
from openthoughts_cli.store import append_line, read_lines


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    directory = RunDirectory(tmp_path / "runs" / "first")
    directory.write_config({"subset": "s"}, {"identity": "abc"})
    return directory


def step(number: int, loss: float) -> StepDone:
    return StepDone(
        step=number,
        total_steps=4,
        epoch=number / 2,
        learning_rate=1e-3,
        num_tokens=100,
        num_loss_tokens=60,
        train_mean_nll=loss,
        seconds=0.5,
        extra={"optim/grad_norm": 1.5},
    )


def started() -> RunStarted:
    return RunStarted("first", "runs/first", 4, 2, "m", "local")


def test_a_step_is_one_metrics_line_with_the_documented_keys(run: RunDirectory) -> None:
    RunLog(run, attempt=1)(step(1, 2.0))
    assert read_lines(run.metrics_path) == [
        {
            "step": 1,
            "epoch": 0.5,
            "progress": 0.25,
            "learning_rate": 1e-3,
            "num_tokens": 100,
            "num_loss_tokens": 60,
            "train_mean_nll": 2.0,
            "time/step": 0.5,
            "optim/grad_norm": 1.5,
            "attempt": 1,
        }
    ]


def test_the_newest_attempt_of_a_step_counts(run: RunDirectory) -> None:
    first, second = RunLog(run, 1), RunLog(run, 2)
    for event in (step(1, 2.0), step(2, 1.9), step(3, 1.8)):
        first(event)
    second(step(3, 1.7))
    second(EvalDone("nll", 2, {"mean": 1.0}))
    first_then_second = EvalDone("nll", 4, {"mean": 0.5, "per_byte": 0.2})
    second(first_then_second)
    assert [(m["step"], m["train_mean_nll"]) for m in step_metrics(run)] == [
        (1, 2.0),
        (2, 1.9),
        (3, 1.7),
    ]
    assert eval_metrics(run) == {"nll": [(2, {"mean": 1.0}), (4, {"mean": 0.5, "per_byte": 0.2})]}


def test_everything_is_logged_and_progress_every_five_seconds(run: RunDirectory) -> None:
    now_s = 0.0
    log = RunLog(run, 1, now_s=lambda: now_s)
    log(Notice("hello"))
    for now_s in (0.0, 1.0, 4.9, 5.0, 6.0, 10.1):
        log(EvalProgress("nll", 1, int(now_s), 20))
        log(EvalProgress("arithmetic", 1, int(now_s), 30))
    log(StageProgress("reading", 3))
    log(CheckpointSaved("step-000001", 2, 0.5, "/s", None))
    lines = read_lines(run.events_path)
    assert [line["event"] for line in lines] == ["notice", *["eval_progress"] * 6, "checkpoint"]
    shown = [line["done"] for line in lines if line.get("benchmark") == "nll"]
    assert shown == [0, 5, 10]


def test_money_is_on_record_before_its_request_is_sent(run: RunDirectory) -> None:
    meter = Meter(None)
    log = RunLog(run, 1, spent_usd=lambda: meter.spent_usd + meter.reserved_usd)
    meter.before_sending = log.tell_money
    log(started())
    seen: list[float] = []

    async def answer() -> float:
        return 0.25

    def send() -> Awaitable[float]:
        seen.append(spent_usd(run))
        return answer()

    async def ask() -> None:
        await asyncio.gather(*(meter.pay(2.0, send, lambda usd: usd) for _ in range(2)))
        await meter.pay(0.004, send, lambda usd: usd)

    asyncio.run(ask())
    assert seen == [2.0, 4.0, 4.0]  # the third is covered by what was told
    assert spent_usd(run) == 4.0  # nothing was written since
    log(Notice("all is back"))
    assert spent_usd(run) == meter.spent_usd == 0.75


def test_status_and_attempts_follow_the_log(run: RunDirectory) -> None:
    assert (run_status(run), next_attempt(run)) == ("unfinished", 1)
    log = RunLog(run, 1)
    log(started())
    assert (run_status(run), next_attempt(run)) == ("unfinished", 2)
    log(RunFinished("first", "interrupted", 4, 1.0))
    assert run_status(run) == "interrupted"
    RunLog(run, 2)(started())
    assert run_status(run) == "unfinished"
    RunLog(run, 2)(RunFinished("first", "failed", 4, 1.0, "the loss of step 2 is nan"))
    assert how_it_ended(run) == ("failed", "the loss of step 2 is nan")
    assert summarise(run).reason == "the loss of step 2 is nan"


def test_torn_lines_are_owed_work(run: RunDirectory) -> None:
    RunLog(run, 1)(step(1, 2.0))
    with run.metrics_path.open("ab") as file:
        file.write(b'{"step": 2, "train_me')
    assert [m["step"] for m in step_metrics(run)] == [1]
    RunLog(run, 2)(step(2, 1.0))
    assert [m["step"] for m in step_metrics(run)] == [1, 2]


def test_checkpoints_keep_the_newest_of_a_name(run: RunDirectory) -> None:
    for path in ("/old", "/new"):
        append_line(run.checkpoints_path, {"name": "a", "batch": 3, "state_path": path})
    append_line(run.checkpoints_path, {"name": "b", "batch": 4, "sampler_path": "/x"})
    append_line(run.checkpoints_path, {"foreign": True})
    assert [(c.name, c.batch, c.state_path) for c in run.checkpoints()] == [
        ("a", 3, "/new"),
        ("b", 4, None),
    ]


def test_runs_are_found_by_id_or_path_and_the_error_names_those_that_exist(
    run: RunDirectory,
) -> None:
    root = run.path.parent
    assert find_run("first", root=root) == run
    assert find_run(str(run.path), root=root / "elsewhere") == run
    assert [r.run_id for r in list_runs(root)] == ["first"]
    with pytest.raises(NotFoundError, match="did you mean first") as caught:
        find_run("frist", root=root)
    assert "first" in str(caught.value.hint)
    with pytest.raises(NotFoundError) as empty:
        find_run("x", root=root / "none")
    assert "none under" in str(empty.value.hint)


def test_damaged_files_are_named(run: RunDirectory) -> None:
    run.config_path.write_text("{")
    with pytest.raises(DataError, match="damaged"):
        run.read_config()
    run.record_path.unlink()
    with pytest.raises(DataError, match="missing"):
        run.read_record()


def test_a_run_id_is_a_plain_name() -> None:
    now = datetime(2026, 11, 24, 15, 30, 1, tzinfo=UTC)
    assert new_run_id("a b/c", "3f9a1c77", now=now) == "2026-11-24-153001-a-b-c-3f9a1c"


def test_a_second_process_is_told_who_holds_the_run(run: RunDirectory) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from openthoughts_cli.runs.layout import RunDirectory\n"
        "from openthoughts_cli.runs.lock import locked\n"
        "with locked(RunDirectory(Path(sys.argv[1]))):\n"
        "    print('held', flush=True); sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(run.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(ConflictError, match=f"pid {holder.pid} on "), locked(run):
            pass
        holder.kill()
    with locked(run):  # a killed holder holds nothing
        pass


def test_the_environment_names_variables_and_never_their_values(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret_value")
    described = describe_environment()
    assert "HF_TOKEN" in described["variables"]
    assert "hf_secret_value" not in str(described)
    assert described["packages"]["numpy"]


def test_what_was_edited_by_hand_spoils_no_table(run: RunDirectory) -> None:
    RunLog(run, 1)(step(1, 2.0))
    for line in (
        {"step": 7, "train_mean_nll": "abc"},
        {"step": "8", "train_mean_nll": 1.0},
        {"step": 2, "eval/nll/mean": "low"},
    ):
        append_line(run.metrics_path, line)
    run.write_config({"subset": "s"}, {"total_steps": "many", "model": 3})
    summary = summarise(run)
    assert (summary.steps_done, summary.total_steps, summary.last_loss) == (1, 0, 2.0)
    assert summary.evals == ()
