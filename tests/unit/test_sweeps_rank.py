"""The ranking of a sweep from its files: what is ranked, what is not and why."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from openthoughts_cli.errors import DataError, NotFoundError, UsageError
from openthoughts_cli.evals.benchmark import Grade
from openthoughts_cli.evals.records import EvalDirectory, Sample
from openthoughts_cli.runs.layout import RunDirectory
from openthoughts_cli.runs.log import eval_metrics, step_metrics
from openthoughts_cli.store import append_line, read_lines
from openthoughts_cli.sweeps.curves import read_curves
from openthoughts_cli.sweeps.effects import Effect
from openthoughts_cli.sweeps.layout import load_sweep
from openthoughts_cli.sweeps.leaderboard import Entry, Leaderboard
from openthoughts_cli.sweeps.metric import Metric, parse_metric, problem_scores
from openthoughts_cli.sweeps.rank import rank_sweep
from openthoughts_cli.sweeps.words import axis_level_words, change_words
from tests.doubles.finished_sweep import FinishedSweep

RATES = {"train.learning_rate": [1e-5, 1e-4, 1e-3]}
SHIFT = {1e-3: 0.35}


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., FinishedSweep]:
    monkeypatch.setenv("OT_RUNS", str(tmp_path / "runs"))

    def made(axes: Any = RATES, **options: Any) -> FinishedSweep:
        merged: dict[str, Any] = {"shift": SHIFT, **options}
        return FinishedSweep(tmp_path, axes, **merged)

    return made


def board(sweep: FinishedSweep, **options: Any) -> Leaderboard:
    return rank_sweep(load_sweep(sweep.name), **options)


def edit(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))


def scores_path(sweep: FinishedSweep, index: int, benchmark: str = "arithmetic") -> Path:
    return sweep.run(sweep.entries[index]).eval_dir(benchmark, 6) / "scores.json"


def reason(entry: Entry) -> str:
    return entry.results[0].reason


def test_the_better_recipe_wins_and_equal_ones_are_ties(make: Callable[..., FinishedSweep]) -> None:
    found = board(make())
    assert [entry.rank for entry in found.entries] == [(1, 1), (2, 3), (2, 3)]
    best, *others = found.entries
    assert found.winner == best.recipe == "learning_rate=0.001"
    assert best.interval is not None
    assert best.score is not None
    assert best.interval.low < best.score < best.interval.high
    assert best.interval.estimand == "problems like these"
    assert best.versus is not None
    assert best.versus.difference > 0.2
    assert best.versus.interval is not None
    assert best.versus.interval.low > 0
    assert best.versus.p_value < 0.01
    baseline = next(entry for entry in others if entry.recipe == found.baseline)
    assert baseline.recipe == "learning_rate=1e-05"  # the sweep's first cell
    assert baseline.versus is None
    assert any("One seed" in note for note in found.notes)
    assert not found.warnings
    assert [(e.level, e.matched) for e in found.effects] == [(1e-4, 1), (1e-3, 1)]
    json.dumps(found.as_record(), allow_nan=False)


def test_equal_recipes_have_no_winner(make: Callable[..., FinishedSweep]) -> None:
    found = board(make(shift={}))
    assert found.winner is None
    assert {entry.rank for entry in found.entries} == {(1, 3)}
    assert [entry.tied for entry in found.entries] == [False, True, True]


def test_seeds_are_part_of_one_recipe(make: Callable[..., FinishedSweep]) -> None:
    found = board(make(seeds=(0, 1, 2), problems=30))
    assert [len(entry.results) for entry in found.entries] == [3, 3, 3]
    interval = found.entries[0].interval
    assert interval is not None
    assert interval.estimand == "problems and seeds like these"
    assert any("6 degrees of freedom" in note for note in found.notes)
    assert found.entries[0].train_tokens == 3 * 6 * 1000


def test_held_out_nll_ranks_on_common_ground_only(make: Callable[..., FinishedSweep]) -> None:
    sweep = make()
    found = board(sweep, metric="eval/nll/mean")
    assert found.entries[0].recipe == "learning_rate=0.001"  # lower is better
    assert found.winner == "learning_rate=0.001"
    sweep.held_out = "other rows"
    sweep.finish(sweep.entries[1])
    other = board(sweep, metric="eval/nll/mean")
    assert [entry.rank for entry in other.entries] == [None] * 3
    assert other.winner is None
    assert "2 different sets of held-out rows" in other.warnings[0]
    assert "held_out:" in other.warnings[0]
    # A benchmark still ranks them.
    assert board(sweep).entries[0].rank is not None


def test_per_token_nll_needs_the_same_tokens(make: Callable[..., FinishedSweep]) -> None:
    sweep = make()
    edit(
        scores_path(sweep, 0, "nll"),
        lambda record: record["config"]["renderer"].update(digest="another"),
    )
    found = board(sweep, metric="nll")
    assert [entry.rank for entry in found.entries] == [None] * 3
    assert "per_byte" in found.warnings[0]


def test_the_score_of_nll_is_the_pooled_mean(make: Callable[..., FinishedSweep]) -> None:
    sweep = make()
    found = board(sweep, metric="nll/mean")
    for entry in found.entries:
        run = entry.results[0].cell.run
        assert run is not None
        lines = read_lines(run.eval_dir("nll", 6) / "rows.jsonl")
        pooled = sum(line["nats"] for line in lines) / sum(line["tokens"] for line in lines)
        assert entry.score == pytest.approx(pooled)


def test_only_done_cells_are_ranked(make: Callable[..., FinishedSweep]) -> None:
    sweep = make()
    run = sweep.run(sweep.entries[0])
    append_line(run.events_path, {"event": "run_started", "attempt": 2})
    sweep.directory.log("cell_failed", identity=sweep.entries[0].identity, error="out of memory")
    scores_path(sweep, 1).unlink()
    found = board(sweep)
    assert [entry.rank for entry in found.entries] == [(1, 1), None, None]
    assert found.winner is None  # it has nobody to be better than
    reasons = {entry.recipe: reason(entry) for entry in found.entries}
    assert reasons["learning_rate=1e-05"] == "it failed: out of memory"
    assert reasons["learning_rate=0.0001"] == "evaluations are owed: arithmetic/step-6"
    assert "2 of 3 cells have no score" in found.warnings[0]
    assert any("baseline" in text for text in found.warnings)


def test_a_score_edited_by_hand_is_not_believed(make: Callable[..., FinishedSweep]) -> None:
    sweep = make()
    edit(scores_path(sweep, 0), lambda record: record["metrics"].update({"mean@1": 0.99}))
    edit(scores_path(sweep, 1, "nll"), lambda record: record["metrics"].update(mean=0.1))
    found = board(sweep)
    assert len([entry for entry in found.entries if entry.rank]) == 2
    assert "says mean@1 0.99 and its problems say" in reason(found.entries[-1])
    assert reason(found.entries[-1]).endswith(
        "`ot runs regrade` works the scores out from the answers"
    )
    found = board(sweep, metric="nll/mean")
    assert "says mean 0.1 and its rows say" in reason(found.entries[-1])
    assert "remove the folder of that evaluation" in reason(found.entries[-1])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "is damaged"),
        ("[]", "no JSON object"),
        ('{"metrics": {}}', "is damaged"),
        ('{"problems": [{"id": "p", "answers": 4, "correct": 9}]}', "is damaged"),
        ('{"problems": [{"id": "p", "answers": "4", "correct": 1}]}', "is damaged"),
        ('{"problems": []}', "no problem with a mean@1"),
    ],
)
def test_damaged_scores_leave_one_cell_out(
    make: Callable[..., FinishedSweep], content: str, words: str
) -> None:
    sweep = make(problems=12)
    scores_path(sweep, 0).write_text(content)
    found = board(sweep)
    assert words in reason(found.entries[-1])
    assert [entry.rank is not None for entry in found.entries] == [True, True, False]


def test_an_evaluation_that_lost_requests_says_what_is_owed(
    make: Callable[..., FinishedSweep],
) -> None:
    sweep = make(problems=12)
    edit(scores_path(sweep, 0), lambda record: record["metrics"].update(errors=2))
    entry = board(sweep).entries[-1]
    assert (entry.rank, reason(entry)) == (None, "evaluations are owed: arithmetic/step-6")


def test_torn_and_foreign_lines_of_a_log_spoil_nothing(make: Callable[..., FinishedSweep]) -> None:
    sweep = make()
    before = board(sweep)
    for entry, text in zip(
        sweep.entries, ('{"step": 7, "train_me', '{"step": "x"}\n5\n', "\0\0\n"), strict=True
    ):
        with sweep.run(entry).metrics_path.open("a") as file:
            file.write(text)
    assert board(sweep).as_record() == before.as_record()


def test_problems_without_an_answer_shrink_the_common_ground(
    make: Callable[..., FinishedSweep],
) -> None:
    sweep = make(problems=40)

    def lose(count: int) -> Callable[[dict[str, Any]], None]:
        def change(record: dict[str, Any]) -> None:
            record["problems"] = record["problems"][count:]
            record["metrics"].pop("mean@1", None)

        return change

    edit(scores_path(sweep, 0), lose(5))
    found = board(sweep)
    assert found.problems == 35
    assert any("compared on 35 problems" in text for text in found.warnings)
    edit(scores_path(sweep, 0), lose(20))
    found = board(sweep)
    assert found.problems == 40
    assert reason(found.entries[-1]) == "it answered 15 problems, others up to 40"


def test_different_problems_are_told_and_none_in_common_is_no_ranking(
    make: Callable[..., FinishedSweep],
) -> None:
    sweep = make(problems=10)

    def rename(record: dict[str, Any]) -> None:
        record["config"]["data"]["digest"] = "others"
        for problem in record["problems"]:
            problem["id"] = f"other {problem['id']}"

    edit(scores_path(sweep, 0), rename)
    found = board(sweep)
    assert [entry.rank for entry in found.entries] == [None] * 3
    assert any("share no problem" in text for text in found.warnings)
    assert any("asked different problems" in text for text in found.warnings)


def test_the_best_checkpoint_is_chosen_by_held_out_nll_alone(
    make: Callable[..., FinishedSweep],
) -> None:
    sweep = make(metric="eval/arithmetic/pass@2")
    run = sweep.run(sweep.entries[0])
    append_line(run.metrics_path, {"step": 3, "eval/nll/mean": 0.5})
    append_line(run.checkpoints_path, {"name": "step-3", "batch": 3})
    found = {entry.recipe: entry.results[0] for entry in board(sweep).entries}
    best = found["learning_rate=1e-05"].best
    assert best is not None
    assert (best.step, best.nll, best.name) == (3, 0.5, "step-3")
    assert found["learning_rate=1e-05"].step == 6
    at_best = {e.recipe: e.results[0] for e in board(sweep, at="best").entries}
    assert at_best["learning_rate=1e-05"].step == 3
    with pytest.raises(UsageError, match="cannot rank it"):
        board(sweep, at="best", metric="nll")
    append_line(run.metrics_path, {"step": 4, "eval/nll/mean": 0.1})
    found = {e.recipe: e for e in board(sweep, at="best").entries}
    assert "not measured at step 4" in reason(found["learning_rate=1e-05"])


def test_weights_that_are_not_the_final_ones_are_not_ranked_as_these(
    make: Callable[..., FinishedSweep],
) -> None:
    sweep = make()
    run = sweep.run(sweep.entries[0])

    def not_at_the_end(config: dict[str, Any]) -> None:
        for due in config["evals"].values():
            due["at_end"] = False

    edit(run.config_path, not_at_the_end)
    edit(run.record_path, lambda record: record.update(total_steps=8))
    found = {entry.recipe: entry for entry in board(sweep).entries}
    first = found["learning_rate=1e-05"]
    assert (first.results[0].cell.state, first.rank) == ("done", None)
    assert reason(first) == "arithmetic was measured last at step 6 of 8, not at the end"


def test_what_no_cell_has_is_an_error_that_names_what_there_is(
    make: Callable[..., FinishedSweep],
) -> None:
    sweep = make()
    with pytest.raises(NotFoundError, match="did you mean eval/arithmetic/mean@1") as caught:
        board(sweep, metric="eval/aritmetic/mean@1")
    assert "eval/nll/mean" in str(caught.value.hint)
    with pytest.raises(NotFoundError, match="did you mean learning_rate=0"):
        board(sweep, baseline="learning_rate=0.00001x")


def test_a_sweep_that_has_not_begun_has_no_ranking(make: Callable[..., FinishedSweep]) -> None:
    sweep = make()
    sweep.directory.write(
        {"metric": "eval/nll/mean"},
        [replace(entry, identity=entry.identity[::-1]) for entry in sweep.entries],
    )
    found = board(sweep)
    assert [reason(entry) for entry in found.entries] == ["it has not begun"] * 3
    assert found.problems == 0


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("eval/nll/mean", "eval/nll/mean"),
        ("nll", "eval/nll/mean"),
        ("aime25", "eval/aime25/mean@1"),
        ("aime25/pass@1", "eval/aime25/mean@1"),
        ("eval/aime25/maj@7", "eval/aime25/maj@7"),
        ("gpqa/truncated", "eval/gpqa/truncated"),
    ],
)
def test_metrics_are_read(text: str, key: str) -> None:
    assert parse_metric(text).key == key


@pytest.mark.parametrize(
    "text", ["", "eval/", "nll/pass@1", "aime25/mean", "aime25/pass@0", "aime25/pass@x", "a/mean@2"]
)
def test_what_cannot_rank_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not a metric that can rank"):
        parse_metric(text)


def test_which_end_is_better() -> None:
    assert Metric("aime25", "mean@1").higher_is_better
    assert not Metric("aime25", "truncated").higher_is_better
    assert not Metric("nll", "mean").higher_is_better


LINES = st.lists(
    st.one_of(
        st.fixed_dictionaries(
            {"step": st.one_of(st.integers(0, 9), st.sampled_from(["1", None, 2.5]))},
            optional={
                "train_mean_nll": st.one_of(
                    st.floats(-9, 9), st.integers(-9, 9), st.sampled_from(["2", None])
                ),
                "eval/nll/mean": st.floats(-9, 9),
                "num_tokens": st.integers(0, 99),
                "other": st.lists(st.integers(), max_size=2),
            },
        ).map(json.dumps),
        st.sampled_from(["", "5", "[1]", '{"step": 3, "trai', "\0", '{"step": 1, "step": 2}']),
    ),
    max_size=12,
)


@given(lines=LINES)
@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_fast_reader_agrees_with_the_careful_one(tmp_path: Path, lines: list[str]) -> None:
    run = RunDirectory(tmp_path / "run")
    run.path.mkdir(exist_ok=True)
    run.metrics_path.write_text("\n".join(lines))
    curves = read_curves(run.metrics_path, ["eval/nll/mean"])
    steps = step_metrics(run)
    assert curves.loss.points() == [(s["step"], s["train_mean_nll"]) for s in steps]
    assert curves.train_tokens == sum(s.get("num_tokens", 0) for s in steps)
    careful = [(step, m["mean"]) for step, m in eval_metrics(run).get("nll", [])]
    assert curves.metrics["eval/nll/mean"].points() == careful


def test_a_curve_keeps_its_ends_when_thinned(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(f'{{"step": {i}, "train_mean_nll": {i}.5}}\n' for i in range(1, 500)))
    points = read_curves(path, []).loss.points(40)
    assert len(points) == 40
    assert (points[0], points[-1]) == ((1.0, 1.5), (499.0, 499.5))
    assert not read_curves(tmp_path / "missing.jsonl", []).loss.points()


def test_each_metric_is_worked_out_from_the_answers(tmp_path: Path) -> None:
    files = EvalDirectory(tmp_path)
    right = {"a": [True, True, False, False], "b": [False, False, False, True]}
    problems: list[dict[str, Any]] = []
    for problem, answers in right.items():
        for index, correct in enumerate(answers):
            grade = Grade("1" if correct else f"wrong {index}", correct, "verdict")
            files.append_sample(Sample(problem, index, "text", 5, "stop", grade), seed=0)
        count = sum(answers)
        problems.append({"id": problem, "answers": 4, "correct": count, "truncated": 1})
    files.write_scores({"benchmark": "x", "step": 1, "metrics": {}, "problems": problems})

    def scores(name: str) -> dict[str, float]:
        return dict(problem_scores(tmp_path, Metric("x", name)).totals)

    assert scores("mean@1") == {"a": 0.5, "b": 0.25}
    assert scores("pass@2") == {"a": pytest.approx(5 / 6), "b": 0.5}
    assert scores("maj@4") == {"a": 1.0, "b": 0.0}  # of equally frequent answers the first
    assert scores("truncated") == {"a": 0.25, "b": 0.25}
    with pytest.raises(DataError, match="no problem with a pass@5"):
        scores("pass@5")


def test_nll_is_split_into_thinking_and_answer(tmp_path: Path) -> None:
    files = EvalDirectory(tmp_path)
    row = {"question_id": "q", "nats": 9.0, "tokens": 6, "bytes": 18}
    split = {"thinking_nats": 6.0, "thinking_tokens": 3}
    append_line(files.rows_path, {"row_id": "r", **row, **split})
    whole = {"thinking_nats": None, "thinking_tokens": 0}
    append_line(files.rows_path, {"row_id": "s", **row, **whole})
    files.write_scores({"benchmark": "nll", "step": 1, "metrics": {}})
    found = {
        name: problem_scores(tmp_path, Metric("nll", name)).score
        for name in ("mean", "per_byte", "thinking", "answer")
    }
    assert found == {"mean": 1.5, "per_byte": 0.5, "thinking": 2.0, "answer": 1.0}


def test_levels_of_joined_axes_are_their_values_in_the_order_of_the_keys() -> None:
    assert (
        axis_level_words("subset.n & train.epochs", {"subset.n": 4, "train.epochs": 2}) == "4 & 2"
    )
    assert axis_level_words("subset.mix", {"openmath": 1, "physics": 2}) == "openmath=1, physics=2"
    effect = Effect("a & b", {"a": 4, "b": [1]}, {"a": 1, "b": [2]}, 0.1, None, 1)
    assert change_words(effect) == "a & b: 1 & [2] to 4 & [1]"
