"""A run as one HTML file: what moved, by how much, and a few answers before and after.

The file stands alone: no script, no network. All text in it is escaped; a benchmark whose terms
forbid showing its text has its answers left out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from openthoughts_cli.config.benchmark import NLL, BenchmarkConfig
from openthoughts_cli.errors import OtError
from openthoughts_cli.evals.benchmark import benchmark, benchmark_names
from openthoughts_cli.evals.records import EvalDirectory, Sample
from openthoughts_cli.problems.problem import Problem
from openthoughts_cli.report.chart import Interval, Line, interval_chart, line_chart
from openthoughts_cli.report.render import render_page
from openthoughts_cli.runs.layout import RunDirectory
from openthoughts_cli.runs.log import eval_metrics, step_metrics
from openthoughts_cli.runs.summary import EvalSummary, RunSummary, summarise
from openthoughts_cli.store import write_whole

__all__ = ["write_run_page"]

_MOST_ANSWERS = 6


@dataclass(frozen=True, slots=True)
class _Card:
    what: str
    number: str
    note: str


@dataclass(frozen=True, slots=True)
class _Side:
    when: str
    verdict: str
    correct: bool
    text: str


@dataclass(frozen=True, slots=True)
class _Answer:
    question: str
    expected: str
    before: _Side
    after: _Side


def write_run_page(run: RunDirectory, *, place: Path | None = None) -> Path:
    """Write the page of a run, by default `report.html` in its directory; returns its path.

    Raises:
        StorageError: it cannot be written.
        DataError: the run's own files are damaged.
    """
    from markupsafe import Markup

    config = run.read_config()
    html = render_page(
        "page.html.j2",
        page=_page(run, config),
        loss_svg=Markup(_loss_chart(run)),
        score_charts=[
            {**chart, "svg": Markup(chart["svg"])} for chart in _score_charts(run, config)
        ],
    )
    place = run.path / "report.html" if place is None else place
    write_whole(place, html)
    return place


def _page(run: RunDirectory, config: dict[str, Any]) -> dict[str, Any]:
    summary = summarise(run)
    scores = eval_metrics(run)
    steps = sorted({step for by_step in scores.values() for step, _ in by_step})
    return {
        "title": f"{summary.model} fine-tuned on {summary.subset}",
        "lead": f"Run {summary.run_id}, {summary.status}, begun {summary.created}.",
        "cards": _cards(run, summary),
        "answers": _answers(run, config),
        "score_steps": steps,
        "score_rows": _score_rows(scores, steps),
        "facts": _facts(run, summary),
        "config": json.dumps(config, indent=2, ensure_ascii=False),
        "footer": "Made by ot. Intervals are 95% and say what they are intervals of; a difference "
        "inside them is no finding.",
    }


def _score_rows(
    scores: dict[str, list[tuple[int, dict[str, float]]]], steps: list[int]
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for name, by_step in scores.items():
        at = dict(by_step)
        metrics = list(dict.fromkeys(metric for _, values in by_step for metric in values))
        for metric in metrics:
            values = [at.get(step, {}).get(metric) for step in steps]
            shown = ["" if value is None else f"{value:.4g}" for value in values]
            rows.append({"benchmark": name, "metric": metric, "cells": shown})
    return rows


def _cards(run: RunDirectory, summary: RunSummary) -> list[_Card]:
    cards: list[_Card] = []
    for item in summary.evals:
        if item.benchmark == NLL:
            number = _moved(item, "mean", lambda nats: f"{nats:.3f}")
            cards.append(_Card("held-out NLL", number, "nats per loss token"))
        elif "mean@1" in item.last:
            cards.append(
                _Card(
                    f"{item.benchmark}, mean@1",
                    _moved(item, "mean@1", lambda share: f"{100 * share:.1f}%"),
                    _interval_note(run, item.benchmark, item.last_step),
                )
            )
    cards.append(
        _Card("steps", f"{summary.steps_done}", f"{summary.train_tokens:,} training tokens")
    )
    return cards


def _moved(item: EvalSummary, metric: str, shown: Callable[[float], str]) -> str:
    """`first → last`; what was measured once, or not at all, does not look as if it had moved."""
    if item.times < 2:
        steps = {item.last_step: item.last}
    else:
        steps = {item.first_step: item.first, item.last_step: item.last}
    found = [values.get(metric) for values in steps.values()]
    return " → ".join("no value" if value is None else shown(value) for value in found)


def _interval_note(run: RunDirectory, name: str, step: int) -> str:
    interval = _interval(run, name, step, "mean@1")
    if interval is None:
        return ""
    return f"after: 95% interval {100 * interval['low']:.1f} to {100 * interval['high']:.1f}%"


def _interval(run: RunDirectory, name: str, step: int, metric: str) -> dict[str, Any] | None:
    try:
        record = EvalDirectory(run.eval_dir(name, step)).scores()
    except OtError:
        return None
    found = record.get("intervals", {}).get(metric)
    return found[0] if found else None


def _loss_chart(run: RunDirectory) -> str:
    train = [(float(line["step"]), float(line["train_mean_nll"])) for line in step_metrics(run)]
    held = [
        (float(step), metrics["mean"])
        for step, metrics in eval_metrics(run).get(NLL, [])
        if "mean" in metrics
    ]
    lines = [Line("training batch", train, "a"), Line("held-out rows", held, "b", dots=True)]
    return line_chart(lines, x_label="optimiser step", y_label="nats per token")


def _score_charts(run: RunDirectory, config: dict[str, Any]) -> list[dict[str, Any]]:
    charts: list[dict[str, Any]] = []
    for name, by_step in eval_metrics(run).items():
        if name == NLL:
            continue
        (first_step, first), (last_step, last) = by_step[0], by_step[-1]
        sides = [(first_step, first, "a"), (last_step, last, "b")][-len(by_step) :]
        bars: list[Interval] = []
        for metric in _shown_metrics(last):
            for step, values, css in sides:
                interval = _interval(run, name, step, metric)
                if metric in values and interval is not None:
                    bars.append(
                        Interval(
                            f"{metric}, step {step}",
                            100 * values[metric],
                            100 * interval["low"],
                            100 * interval["high"],
                            css,
                        )
                    )
        if bars:
            high = max(bar.high for bar in bars)
            charts.append(
                {
                    "title": name,
                    "svg": interval_chart(bars, low=0.0, high=max(high, 10.0), unit="%"),
                    "caption": _settings_text(config, name),
                }
            )
    return charts


def _shown_metrics(metrics: Mapping[str, float]) -> list[str]:
    """The scores of a chart; pass@1 is the same number as mean@1 and is not shown twice."""
    named = [m for m in metrics if m == "mean@1" or m.startswith(("pass@", "maj@"))]
    return [m for m in named if m != "pass@1" or "mean@1" not in metrics]


def _settings_text(config: dict[str, Any], name: str) -> str:
    bars = "Bars: 95% intervals for problems like these."
    settings = _settings(config, name)
    if settings is None:
        return bars
    answers = "1 answer" if settings.n == 1 else f"{settings.n} answers"
    return (
        f"{answers} a problem, temperature {settings.temperature}, at most "
        f"{settings.max_tokens} tokens. {bars}"
    )


def _settings(config: dict[str, Any], name: str) -> BenchmarkConfig | None:
    """The recorded settings of a benchmark; None where the record or the benchmark is another's."""
    if name not in benchmark_names():
        return None
    evals = config.get("evals")
    try:
        return BenchmarkConfig.model_validate(
            evals.get(name, {}) if isinstance(evals, dict) else {}
        )
    except ValidationError:
        return None


def _facts(run: RunDirectory, summary: RunSummary) -> list[tuple[str, str]]:
    record = run.read_record()

    def part(*keys: str) -> dict[str, Any]:
        found: Any = record
        for key in keys:
            found = found.get(key) if isinstance(found, dict) else None
        return found if isinstance(found, dict) else {}

    split, packages = part("split"), part("environment", "packages")
    return [
        ("model", f"{summary.model} on the {summary.engine} engine"),
        ("subset", f"{summary.subset}, digest {part('subset').get('digest', '')}"),
        (
            "rows",
            f"{split.get('train_rows')} trained on, {split.get('held_out_rows')} held out, "
            "split by question",
        ),
        ("renderer", f"digest {part('renderer').get('digest', '')}"),
        ("identity", str(record.get("identity", ""))),
        ("versions", ", ".join(f"{name} {version}" for name, version in packages.items())),
    ]


def _answers(run: RunDirectory, config: dict[str, Any]) -> list[_Answer]:
    """A few problems answered by the first and the last weights: first the newly solved ones."""
    found: list[_Answer] = []
    for name, by_step in eval_metrics(run).items():
        if name == NLL or len(by_step) < 2:
            continue
        settings = _settings(config, name)
        if settings is None or benchmark(name).text_is_private:
            continue
        kind = benchmark(name)
        before = EvalDirectory(run.eval_dir(name, by_step[0][0])).samples()
        after = EvalDirectory(run.eval_dir(name, by_step[-1][0])).samples()
        problems = [
            problem
            for problem in kind.load(settings).problems
            if before.get(problem.id) and after.get(problem.id)
        ]
        problems.sort(key=lambda p: _interest(before[p.id], after[p.id]))
        found += [
            _Answer(
                problem.question,
                _expected(problem),
                _side(before[problem.id], f"step {by_step[0][0]}"),
                _side(after[problem.id], f"step {by_step[-1][0]}"),
            )
            for problem in _mixed(problems, before, after)
        ]
    return found[:_MOST_ANSWERS]


def _mixed(
    problems: list[Problem],
    before: dict[str, dict[int, Sample]],
    after: dict[str, dict[int, Sample]],
) -> list[Problem]:
    """At most half newly solved, then one of each other kind: a page of wins alone would lie."""
    kinds: dict[int, list[Problem]] = {}
    for problem in problems:
        kinds.setdefault(_interest(before[problem.id], after[problem.id]), []).append(problem)
    solved = kinds.pop(0, [])[: _MOST_ANSWERS // 2]
    rest = [problem for kind in sorted(kinds) for problem in kinds[kind][:1]]
    more = [problem for kind in sorted(kinds) for problem in kinds[kind][1:]]
    return [*solved, *rest, *more][:_MOST_ANSWERS]


def _interest(before: dict[int, Sample], after: dict[int, Sample]) -> int:
    """0 newly solved, 1 newly failed, 2 wrong both times, 3 right both times."""
    was, now = _is_right(before), _is_right(after)
    return {(False, True): 0, (True, False): 1, (False, False): 2, (True, True): 3}[was, now]


def _is_right(samples: dict[int, Sample]) -> bool:
    first = samples[min(samples)]
    return first.grade is not None and first.grade.correct is True


def _side(samples: dict[int, Sample], when: str) -> _Side:
    first = samples[min(samples)]
    verdict = "not graded" if first.grade is None else first.grade.verdict
    return _Side(when, verdict, _is_right(samples), first.completion)


def _expected(problem: Problem) -> str:
    return str(problem.answer) if isinstance(problem.answer, (int, str)) else "see the benchmark"
