"""From the table of runs to a curve, to an answer, to a sweep's ranking, in a real browser."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable

import pytest

from openthoughts_cli.events import RunFinished, RunStarted, StepDone
from openthoughts_cli.runs.log import RunLog
from tests.browser.conftest import EVERY_LOOK, App, Look, StartApp
from tests.browser.places import make_places
from tests.doubles.answered_run import answered_run
from tests.doubles.finished_sweep import FinishedSweep

Opens = Callable[..., Look]


@pytest.fixture(scope="module")
def runs_app(start_app: StartApp, tmp_path_factory: pytest.TempPathFactory) -> App:
    places = make_places(tmp_path_factory.mktemp("runs-places"), questions=8)
    with places.in_force():
        answered_run(places.root / "runs", "first", usd=1.5, gpqa=True)
        answered_run(places.root / "runs", "second", learning_rate=3e-4, steps=12)
        axes = {"train.learning_rate": [1e-4, 1e-3], "train.lora_rank": [8, 32]}
        FinishedSweep(places.root, axes, name="rates", seeds=(0, 1), shift={1e-3: 0.4})
    return start_app("--dataset", "sample", "--tokenizer", str(places.model), places=places)


def test_from_a_run_to_the_answer_behind_its_score(runs_app: App, look: Opens) -> None:
    seen = look()
    page = seen.page
    seen.open(f"{runs_app.url}/runs?run=first&run=second")
    page.wait_for_selector("text=those that differ marked")
    seen.shot("curves")
    page.get_by_role("link", name="Its answers").first.click()
    page.wait_for_url("**/answers?**run=first**")
    seen.settle()
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("text=Problem 2 of 6")
    seen.shot("answer")
    seen.open(f"{runs_app.url}/answers?run=first&benchmark=arithmetic&with=first&with_step=0")
    page.wait_for_selector("text=The other side: first, after step 0")
    seen.shot("side-by-side")
    assert seen.dialogs == [] and seen.foreign_requests == [] and seen.console_errors == []


def test_gpqa_stays_hidden_until_agreed(runs_app: App, look: Opens) -> None:
    seen = look()
    seen.open(f"{runs_app.url}/answers?run=first&benchmark=gpqa")
    assert "rumpelstiltskin" not in seen.page.content()
    seen.shot("hidden")
    seen.page.get_by_role("button", name="I keep to these terms").click()
    seen.page.get_by_text("rumpelstiltskin").last.wait_for()


def test_the_page_follows_a_run_by_itself(runs_app: App, look: Opens) -> None:
    with runs_app.places.in_force():
        run = answered_run(runs_app.places.root / "runs", "live", steps=4, status="interrupted")
        log = RunLog(run, 2)
        log(RunStarted("live", str(run.path), 8, 8, "smollm2-135m", "local"))
        owner = run.path / ".owner"
        owner.write_text(f"pid {os.getpid()} on {socket.gethostname()}")
    seen = look()
    seen.open(f"{runs_app.url}/runs?run=live")
    seen.page.wait_for_selector("text=1 running, read anew")
    seen.shot("running")
    log(StepDone(5, 8, 0.6, 1e-3, 100, 60, 0.25, 0.5))
    log(RunFinished("live", "done", 8, 4.0))
    owner.unlink()
    seen.page.wait_for_selector("text=1 running, read anew", state="detached")  # nobody touched it
    seen.settle()
    assert "done" in seen.text and seen.console_errors == []
    shutil.rmtree(run.path)


@pytest.mark.parametrize(("theme", "size"), EVERY_LOOK)
def test_runs_answers_and_sweeps_look_well(
    runs_app: App, look: Opens, theme: str, size: dict[str, int]
) -> None:
    seen = look(theme=theme, size=size)
    seen.open(f"{runs_app.url}/runs?run=first&run=second")
    seen.shot("runs")
    seen.open(f"{runs_app.url}/answers?run=first&benchmark=arithmetic&step=8")
    seen.shot("answers")
    for view in ("Ranking", "Effects", "Pairs", "Cells"):
        seen.open(f"{runs_app.url}/sweep?name=rates&view={view}")
        seen.shot(f"sweep-{view.lower()}")
    assert seen.console_errors == [] and seen.foreign_requests == []
