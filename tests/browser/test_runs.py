"""From the table of runs to a curve, to an answer, to a sweep's ranking, in a real browser."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.browser.conftest import LAPTOP, PHONE, App, Look, StartApp
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
    page.wait_for_selector("text=Settings that differ")
    seen.shot("curves")
    page.get_by_role("link", name="Its answers").first.click()
    page.wait_for_url("**/answers?**run=first**")
    seen.settle()
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("text=Problem 2 of 6")
    seen.shot("answer")
    seen.open(f"{runs_app.url}/answers?run=first&benchmark=arithmetic&with=first&with_step=0")
    page.wait_for_selector("text=The other side, after step 0")
    seen.shot("side-by-side")
    assert seen.dialogs == [] and seen.foreign_requests == [] and seen.console_errors == []


def test_gpqa_stays_hidden_until_agreed(runs_app: App, look: Opens) -> None:
    seen = look()
    seen.open(f"{runs_app.url}/answers?run=first&benchmark=gpqa")
    assert "rumpelstiltskin" not in seen.page.content()
    seen.shot("hidden")
    seen.page.get_by_role("button", name="I keep to these terms").click()
    seen.page.get_by_text("rumpelstiltskin").last.wait_for()


@pytest.mark.parametrize(
    ("theme", "size"),
    [
        pytest.param("light", LAPTOP, id="light-laptop"),
        pytest.param("dark", LAPTOP, id="dark-laptop"),
        pytest.param("dark", PHONE, id="dark-phone"),
    ],
)
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
