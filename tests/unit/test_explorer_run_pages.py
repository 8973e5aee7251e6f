"""The pages Runs, Answers and Sweep as Streamlit runs them, with good input and with bad."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from openthoughts_cli.explorer.frame import PAGES
from openthoughts_cli.explorer.settings import Settings
from tests.doubles.answered_run import EVIL, answered_run
from tests.doubles.finished_sweep import FinishedSweep

AppTest: Any = pytest.importorskip("streamlit.testing.v1").AppTest
APP = Path(__file__).parents[2] / "openthoughts_cli" / "explorer" / "app.py"
Opens = Callable[..., Any]
pytestmark = pytest.mark.slow


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("runs", "subsets", "sweeps", "index", "cache"):
        monkeypatch.setenv(f"OT_{name.upper()}", str(tmp_path / name))
    (tmp_path / "runs").mkdir()
    return tmp_path


@pytest.fixture
def opens(root: Path, monkeypatch: pytest.MonkeyPatch) -> Opens:
    """Run a page with a URL's values: `opens("runs", run="first")`."""

    def run(page: str, settings: Settings | None = None, /, **url: Any) -> Any:
        for name, value in (settings or Settings("sample")).to_environ().items():
            monkeypatch.setenv(name, value)
        app = AppTest.from_file(str(APP), default_timeout=60)
        app.switch_page(f"views/{page}.py")
        for name, value in url.items():
            app.query_params[name] = value
        app.run()
        assert not app.exception, app.exception
        return app

    return run


def shown(app: Any) -> str:
    """All text on a page."""
    kinds = ("title", "subheader", "markdown", "caption", "text", "code", "info", "warning")
    return "\n".join(str(each.value) for kind in kinds for each in getattr(app, kind))


@pytest.mark.parametrize(
    ("page", "command"), [("runs", "ot quickstart"), ("answers", "ot eval"), ("sweep", "ot sweep")]
)
def test_an_empty_page_says_what_fills_it(opens: Opens, page: str, command: str) -> None:
    assert command in shown(opens(page))


@pytest.mark.parametrize("page", ["runs", "answers", "sweep"])
def test_a_public_app_shows_none_of_it(
    root: Path, monkeypatch: pytest.MonkeyPatch, page: str
) -> None:
    answered_run(root / "runs")
    assert not PAGES[page][2]  # no address leads there, and the page itself refuses too
    monkeypatch.setenv("OT_EXPLORE_PUBLIC", "1")
    app = AppTest.from_file(str(APP.parent / "views" / f"{page}.py"), default_timeout=60).run()
    assert not app.exception
    assert "public" in shown(app) and "answered" not in shown(app)


def test_runs_are_listed_and_their_settings_compared(opens: Opens, root: Path) -> None:
    answered_run(root / "runs", "first", usd=1.5)
    answered_run(root / "runs", "second", learning_rate=3e-4, status="interrupted")
    app = opens("runs", run=["first", "second"])
    table = app.dataframe[0].value
    assert list(table["run"]) == ["second", "first"]
    assert "arithmetic 58.3%" in table["scores"][0]
    assert app.query_params["run"] == ["first", "second"]
    differing = app.dataframe[1].value
    assert list(differing["setting"]) == ["learning_rate"]
    assert list(differing["second"]) == ["0.0003"]
    app.toggle(key="runs_all_settings").set_value(True).run()
    every = app.dataframe[1].value
    assert {"learning_rate", "model"} < set(every["setting"]) and "run_name" not in every["setting"]
    app.text_input(key="runs_find").set_value("interrupted").run()
    assert list(app.dataframe[0].value["run"]) == ["second"]


def test_the_table_is_that_of_a_run_that_goes_on(opens: Opens, root: Path) -> None:
    run = answered_run(root / "runs", "first", status="interrupted")
    answered_run(root / "runs", "second")
    with run.events_path.open("a") as file:
        file.write('{"event": "run_started", "attempt": 2}\n')
    owner = run.path / ".owner"
    owner.write_text(f"pid {os.getpid()} on {socket.gethostname()}")
    app = opens("runs", run="first")
    assert dict(zip(*(app.dataframe[0].value[c] for c in ("run", "status")), strict=True)) == {
        "first": "running",
        "second": "done",
    }
    assert "1 running, read anew every 3 s" in shown(app) and "A run goes on" in shown(app)
    owner.unlink()  # killed: nothing is written any more
    app.run()
    assert "unfinished" in list(app.dataframe[0].value["status"])
    assert "read anew" not in shown(app) and "A run goes on" not in shown(app)


def test_a_torn_log_and_a_damaged_run_stand_in_the_table(opens: Opens, root: Path) -> None:
    torn = answered_run(root / "runs", "torn")
    with torn.metrics_path.open("a") as file:
        file.write('{"step": 9, "train_mean')
    answered_run(root / "runs", "damaged").record_path.write_text("[")
    app = opens("runs", run=["torn", "damaged"])
    assert dict(zip(*(app.dataframe[0].value[c] for c in ("run", "status")), strict=True)) == {
        "torn": "done",
        "damaged": "damaged",
    }


def test_a_run_that_is_no_run_in_the_url_is_left_out(opens: Opens, root: Path) -> None:
    answered_run(root / "runs", "first")
    app = opens("runs", run=["../../etc", "first"])
    assert app.multiselect(key="runs_chosen").value == ["first"]


def test_more_runs_in_the_url_than_can_be_drawn_are_cut(opens: Opens, root: Path) -> None:
    names = [f"run-{number:02}" for number in range(14)]
    for name in names:
        answered_run(root / "runs", name, steps=1)
    app = opens("runs", run=names)
    assert app.multiselect(key="runs_chosen").value == names[:12]


def test_a_run_given_by_its_path_is_shown_and_not_its_namesake(
    opens: Opens, root: Path, tmp_path: Path
) -> None:
    answered_run(root / "runs", "first", learning_rate=1e-3)
    elsewhere = answered_run(tmp_path / "elsewhere", "first", learning_rate=7e-4)
    settings = Settings("sample", target_kind="run", target=str(elsewhere.path))
    app = opens("runs", settings)
    assert app.multiselect(key="runs_chosen").value == ["first"]
    assert list(app.dataframe[0].value["run"]) == ["first"]
    assert "0.0007" in shown(app)
    assert opens("answers", settings).selectbox(key="answers_run").options == ["first"]


@pytest.mark.parametrize("page", ["runs", "answers"])
def test_a_run_that_was_deleted_since_is_an_error_in_words(
    opens: Opens, tmp_path: Path, page: str
) -> None:
    gone = Settings("sample", target_kind="run", target=str(tmp_path / "elsewhere" / "gone"))
    assert "cannot be the name of something" in shown(opens(page, gone))


def test_an_answer_shows_question_verdict_and_difference_and_stays_text(
    opens: Opens, root: Path
) -> None:
    run = answered_run(root / "runs", "first")
    app = opens("answers", run="first", benchmark="arithmetic", step="8", kind="newly failed")
    assert app.selectbox(key="answers_step").value == "8"
    everything = shown(app)
    assert "parsed: **" in everything and "tokens, ended by stop" in everything
    assert EVIL not in "\n".join(str(each.value) for each in app.markdown)
    assert "&lt;img" in everything
    assert run.run_id == app.query_params["run"][0] or app.query_params["run"] == "first"


def test_two_checkpoints_stand_side_by_side_and_can_be_filtered(opens: Opens, root: Path) -> None:
    answered_run(root / "runs", "first")
    app = opens("answers", **{"run": "first", "with": "first", "with_step": "0"})
    table = app.dataframe[0].value
    assert list(table["right"]) == ["2 of 2", "2 of 2", "0 of 2", "2 of 2", "0 of 2", "1 of 2"]
    assert list(table["other side"])[:3] == ["0 of 2", "0 of 2", "2 of 2"]
    assert "The other side: first, after step 0" in shown(app)
    assert app.button(key="answers_previous").disabled
    app.button(key="answers_next").click().run()
    assert "Problem 2 of 6" in shown(app)


def test_a_link_that_comes_while_the_page_is_open_is_followed(opens: Opens, root: Path) -> None:
    answered_run(root / "runs", "first")
    answered_run(root / "runs", "second")
    app = opens("answers", run="first", step="8", kind="wrong")
    app.button(key="answers_next").click().run()
    problem = app.query_params["problem"]
    app.query_params.clear()  # as the browser's back button does, or a link of another page
    for name, value in (("run", "second"), ("step", "0")):
        app.query_params[name] = value
    app.run()
    assert app.selectbox(key="answers_run").value == "second"
    assert app.selectbox(key="answers_step").value == "0"
    assert "Problem 1 of 6" in shown(app) and app.query_params["problem"] != problem
    assert "kind" not in app.query_params


def test_a_choice_stands_when_the_page_runs_again(opens: Opens, root: Path) -> None:
    answered_run(root / "runs", "first")
    app = opens("answers", run="first", step="8", kind="wrong")
    app.selectbox(key="answers_step").set_value("0").run()
    app.button(key="answers_next").click().run()
    app.run()
    assert app.selectbox(key="answers_step").value == "0"
    assert "Problem 2 of" in shown(app)


def test_scores_that_come_after_the_last_answer_are_shown(opens: Opens, root: Path) -> None:
    run = answered_run(root / "runs", "first")
    scores = run.eval_dir("arithmetic", 8) / "scores.json"
    later = scores.rename(scores.with_name("later"))
    app = opens("answers", run="first", benchmark="arithmetic", step="8")
    assert "58.3%" not in shown(app)
    later.rename(scores)
    assert "58.3%" in shown(app.run())


def test_gpqas_text_is_hidden_until_its_terms_are_confirmed(opens: Opens, root: Path) -> None:
    answered_run(root / "runs", "first", gpqa=True)
    app = opens("answers", run="first", benchmark="gpqa")
    assert "rumpelstiltskin" not in shown(app)
    assert "question" not in app.dataframe[0].value
    agree = next(button for button in app.button if "keep to these terms" in button.label)
    agree.click().run()
    assert "rumpelstiltskin" in shown(app)


def test_a_sweep_is_ranked_with_ties_effects_pairs_and_cells(opens: Opens, root: Path) -> None:
    axes = {"train.learning_rate": [1e-4, 1e-3], "train.lora_rank": [8, 32]}
    FinishedSweep(root, axes, name="rates", seeds=(0, 1), shift={1e-3: 0.5})
    app = opens("sweep", name="rates")
    assert "of 4 recipes" in shown(app) or "best of 4" in shown(app)
    ranking = app.dataframe[0].value
    assert len(ranking) == 4 and "learning_rate=0.001" in ranking["recipe"][0]
    assert "4 to" not in ranking["95%"][3] and "%" in ranking["95%"][0]
    for view, said in (("Effects", "mean change"), ("Pairs", "row's score"), ("Cells", "The grid")):
        opened = opens("sweep", name="rates", view=view)
        assert said in shown(opened) or any(said in each.label for each in opened.expander)


def test_what_a_sweep_is_ranked_by_stands_in_the_url(opens: Opens, root: Path) -> None:
    FinishedSweep(root, {"train.lora_rank": [8, 32]}, name="ranked")
    app = opens("sweep", name="ranked")
    metrics = app.selectbox(key="sweep_metric").options
    other = next(name for name in metrics if not name.startswith("eval/nll/"))
    app = opens("sweep", name="ranked", metric=other, of="best")
    assert app.selectbox(key="sweep_metric").value == other
    assert app.selectbox(key="sweep_at").value == "best"
    app.run()
    assert app.query_params["of"] in ("best", ["best"])
    app.selectbox(key="sweep_at").set_value("final").run()
    assert "of" not in app.query_params
    assert opens("sweep", name="ranked", metric="no/metric").selectbox(key="sweep_metric").value


def test_a_regrade_ranks_anew(opens: Opens, root: Path) -> None:
    sweep = FinishedSweep(root, {"train.lora_rank": [8, 32]}, name="regraded")
    app = opens("sweep", name="regraded", metric="eval/arithmetic/mean@1")
    before = list(app.dataframe[0].value["recipe"])
    worse = next(entry for entry in sweep.entries if entry.recipe == before[1])
    scores = sweep.run(worse).eval_dir("arithmetic", 6) / "scores.json"
    record = json.loads(scores.read_text())
    for problem in record["problems"]:
        problem["correct"] = problem["answers"]
    record["metrics"]["mean@1"] = 1.0
    scores.write_text(json.dumps(record))  # no line of metrics.jsonl tells of it
    assert list(app.run().dataframe[0].value["recipe"]) == before[::-1]


def test_the_page_of_a_sweep_follows_cells_that_run(opens: Opens, root: Path) -> None:
    sweep = FinishedSweep(root, {"train.lora_rank": [8, 32]}, name="running")
    run = sweep.run(sweep.entries[0])
    with run.events_path.open("a") as file:
        file.write('{"event": "run_started", "attempt": 2}\n')
    (run.path / ".owner").write_text(f"pid {os.getpid()} on {socket.gethostname()}")
    app = opens("sweep", name="running", view="Cells")
    assert "follows them by itself" in shown(app)
    assert list(app.dataframe[0].value["state"]) == ["running", "done"]
    assert app.dataframe[0].value["run"][0] == f"runs?run={run.run_id}"


def test_a_damaged_sweep_is_an_error_in_words(opens: Opens, root: Path) -> None:
    sweep = FinishedSweep(root, {"train.lora_rank": [8, 32]}, name="ranks")
    sweep.directory.sweep_path.write_text("{")
    assert "is damaged" in shown(opens("sweep", name="ranks"))
