"""Real `ot train` processes against a server at its end: exit codes, what they say, going on."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from openthoughts_cli.runs.layout import RunDirectory
from openthoughts_cli.runs.log import eval_metrics, run_status, step_metrics
from tests.doubles.chat_models import chatml_folder
from tests.doubles.tinker_faults import Ending, FaultSchedule
from tests.doubles.tinker_server import KEY
from tests.e2e.conftest import own_environment
from tests.faults.trial import check_changes, open_server
from tests.tools.warm_ot import WarmStart

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("processes")


@pytest.fixture(scope="module")
def warm(place: Path) -> Generator[WarmStart]:
    """Starts real processes in a directory with a subset `small`, cut for the model `m`."""
    (place / "m").mkdir()
    chatml_folder(place / "m")
    env = {**own_environment(), "TINKER_API_KEY": KEY}
    modules = ("openthoughts_cli.engine.tinker.engine", "openthoughts_cli.cli.subset")
    with WarmStart(place, modules=modules, env=env, log=place / "said.txt") as started:
        started.start(
            "subset", "--dataset", "sample", "--source", "openmath", "--max-tokens", 3000,
            "--limit", 12, "--name", "small", "--set", f"tokenizer={place / 'm'}", "--quiet",
        )  # fmt: skip
        assert started.wait() == 0, started.said()
        yield started


@pytest.fixture(scope="module")
def changes(warm: WarmStart, place: Path) -> list[bytes]:
    """What an undisturbed run `whole` does to its weights."""
    model = place / "m"
    with open_server(None, str(model)) as server:
        warm.start("train", *settings(model, server.url), "--run-name", "whole")
        assert warm.wait() == 0, warm.said()
        return server.history[0].changes


def settings(model: Path, url: str) -> tuple[object, ...]:
    return (
        "--subset", "small", "--engine", "tinker", "--model", model, "--base-url", url,
        "--batch-size", 3, "--epochs", 2, "--learning-rate", "1e-2", "--yes", "--plain",
        "--set", "save_every=3", "--set", "wandb.mode=disabled",
        "--set", "engine.patience_minutes=0.1",
        "--set", "evals={nll: {every: 4}, arithmetic: {every: 4, limit: 2, n: 2, max_tokens: 6}}",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("ending", "code", "says"),
    [
        ("revoked", 1, "Tinker refused the credentials (401): this key was revoked"),
        ("never", 1, "gave no answer for 6 s"),
        ("sampler-lost", 3, "unknown sampling session"),
    ],
)
def test_a_run_that_cannot_go_on_says_so_and_goes_on_later(
    warm: WarmStart, place: Path, changes: list[bytes], ending: Ending, code: int, says: str
) -> None:
    model = place / "m"
    schedule = FaultSchedule(0, (), 0.0, ending, ending_at=9)
    with open_server(schedule, str(model)) as server:
        before = len(warm.said())
        warm.start("train", *settings(model, server.url), "--run-name", ending)
        ended = warm.wait()
        said = " ".join(warm.said()[before:].split())
        assert ended == code, said
        assert says in said
        assert "Traceback" not in said
        run = RunDirectory(place / "runs" / ending)
        assert run_status(run) == ("failed" if code == 1 else "done")
        assert run.checkpoints()[0].batch == 3
        server.mend()
        warm.start("train", "--resume", ending, "--yes", "--plain")
        assert warm.wait() == 0, warm.said()
        check_changes(server, changes)
    whole = RunDirectory(place / "runs" / "whole")
    losses = [(line["step"], line["train_mean_nll"]) for line in step_metrics(run)]
    assert losses == [(line["step"], line["train_mean_nll"]) for line in step_metrics(whole)]
    assert len(losses) == 8
    assert eval_metrics(run) == eval_metrics(whole)
