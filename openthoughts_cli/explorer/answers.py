"""What the page "Answers" draws: run, benchmark, step, problem, and every answer to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import streamlit as st

from openthoughts_cli.data.trace import split_trace
from openthoughts_cli.evals.answers import KINDS, Kind, ProblemAnswers, Sheet, kinds_of, read_sheet
from openthoughts_cli.evals.evaluated import EvaluatedSteps
from openthoughts_cli.evals.records import EvalDirectory, Sample
from openthoughts_cli.explorer import figures, state
from openthoughts_cli.explorer.frame import empty, errors_shown
from openthoughts_cli.explorer.settings import Settings
from openthoughts_cli.explorer.shown_text import show_text, show_trace
from openthoughts_cli.explorer.text import one_line, to_markdown
from openthoughts_cli.runs.layout import RunDirectory, list_runs
from openthoughts_cli.stamps import Stamp, file_stamp

__all__ = ["show"]

_NOBODY = "nothing"
_AGREED = "terms_agreed"
_IN_URL = ("run", "benchmark", "step", "with", "with_step", "kind", "problem")


class _Evaluated(NamedTuple):
    run: RunDirectory
    steps: dict[str, list[int]]
    """The steps with answers by benchmark."""


def show() -> None:
    """Draw the page."""
    settings = Settings.from_environ()
    if settings.public:
        st.info("This app is public: answers are not shown.", icon=":material/lock:")
        return
    with errors_shown():
        places = _evaluations(settings)
        if places:
            _page(places)
            return
        st.title("Answers", anchor=False)
        empty(
            "No evaluation with answers is stored yet. Score a model:",
            "ot eval -b arithmetic --engine local",
        )


@st.cache_resource
def _evaluated() -> EvaluatedSteps:
    return EvaluatedSteps()


def _evaluations(settings: Settings) -> dict[str, _Evaluated]:
    """Runs that have answers, the newest first, by the name that a URL gives them."""
    runs = {run.run_id: run for run in reversed(list_runs(settings.runs_root))}
    if settings.target_kind == "run":
        run = RunDirectory(settings.place_of("run", settings.target))
        runs = {run.run_id: run} | {**runs, run.run_id: run}
    found = {name: _Evaluated(run, _evaluated().of(run)) for name, run in runs.items()}
    return {name: each for name, each in found.items() if each.steps}


def _page(runs: dict[str, _Evaluated]) -> None:
    state.recall("answers")
    if state.arrived("answers"):
        for name in _IN_URL:
            st.session_state.pop(f"answers_{name}", None)
    names = list(runs)
    run, steps = runs[_choice("run", "Run", names, names[0])]
    columns = st.columns([2, 1, 2, 1])
    with columns[0]:
        benchmark = _choice("benchmark", "Benchmark", list(steps), next(iter(steps)))
    numbers = [str(step) for step in steps[benchmark]]
    with columns[1]:
        step = _choice("step", "After step", numbers, numbers[-1])
    others = [_NOBODY, *(n for n, each in runs.items() if benchmark in each.steps)]
    with columns[2]:
        other = _choice("with", "Side by side with", others, _NOBODY)
    there: Sheet | None = None
    if other != _NOBODY:
        its_steps = [str(each) for each in runs[other].steps[benchmark]]
        with columns[3]:
            its_step = _choice("with_step", "after step", its_steps, its_steps[0])
        there = _sheet(runs[other].run, benchmark, its_step)
    here = _sheet(run, benchmark, step)
    _headline(here, there)
    chosen = _list(here, there)
    state.finish(
        "answers",
        run=run.run_id,
        benchmark=benchmark,
        step=step,
        **{"with": None if other == _NOBODY else other},
        with_step=None if there is None else str(there.step),
        kind=st.session_state.get("answers_kind"),
        problem=None if chosen is None else chosen.problem,
    )
    if chosen is not None and _may_be_shown(here, there):
        _problem(here, chosen, there)


def _choice(name: str, label: str, options: list[str], default: str) -> str:
    """A select box whose value the URL may give."""
    key = f"answers_{name}"
    if st.session_state.get(key) not in options:
        st.session_state[key] = state.read(name, default, among=options)
    return st.selectbox(label, options, key=key)


def _sheet(run: RunDirectory, benchmark: str, step: str) -> Sheet:
    place = run.eval_dir(benchmark, int(step))
    files = EvalDirectory(place)
    # The scores come after the last answer: without theirs the sheet would stay one without scores.
    return _read(str(place), tuple(map(file_stamp, (files.samples_path, files.scores_path))))


@st.cache_resource(max_entries=8, show_spinner="Reading the answers …")
def _read(place: str, stamp: tuple[Stamp, ...]) -> Sheet:
    del stamp  # an evaluation that went on is read again
    return read_sheet(Path(place))


def _headline(here: Sheet, there: Sheet | None) -> None:
    answers = sum(len(each.samples) for each in here.problems)
    cut = sum(each.truncated for each in here.problems)
    shown: list[tuple[str, str, str]] = []
    for name in ("mean@1", *(m for m in here.metrics if m.startswith(("pass@", "maj@")))):
        if name in here.metrics and name != "pass@1":
            ends = here.intervals.get(name)
            more = "" if ends is None else f"95% {100 * ends[0]:.1f} to {100 * ends[1]:.1f}"
            if there is not None and name in there.metrics:
                more += f", other side {100 * there.metrics[name]:.1f}%"
            shown.append((name, f"{100 * here.metrics[name]:.1f}%", more))
    shown += [
        ("problem" if len(here.problems) == 1 else "problems", f"{len(here.problems):,}", ""),
        ("answers", f"{answers:,}", f"{cut:,} cut at the limit"),
    ]
    figures.show(*shown)
    if here.why_no_text:
        st.caption(f"The questions cannot be shown: {to_markdown(one_line(here.why_no_text, 300))}")


def _list(here: Sheet, there: Sheet | None) -> ProblemAnswers | None:
    other = {} if there is None else {each.problem: each for each in there.problems}
    kinds: list[Kind] = [
        kind for kind in KINDS if there is not None or not kind.startswith("newly")
    ]
    if st.session_state.get("answers_kind", "") not in (None, *kinds):
        st.session_state["answers_kind"] = next((k for k in kinds if k == state.read("kind")), None)
    explained = "; ".join(f"{each}: {KINDS[each]}" for each in kinds)
    picked = st.segmented_control("Only", kinds, key="answers_kind", help=explained)
    kind = next((each for each in kinds if each == picked), None)
    found = [
        each
        for each in here.problems
        if kind is None or kind in kinds_of(each, other.get(each.problem))
    ]
    if not found:
        st.info("No problem is of this kind.", icon=":material/inbox:")
        return None
    names = [each.problem for each in found]
    wanted = st.session_state.get("answers_problem", state.read("problem", names[0]))
    at = names.index(wanted) if wanted in names else 0
    table = f"answers-table-{here.path}-{kind}"
    event: Any = st.dataframe(
        [_line(each, other.get(each.problem), _may_be_listed(here)) for each in found],
        hide_index=True,
        width="stretch",
        height=min(35 * len(found) + 38, 260),
        on_select="rerun",
        selection_mode="single-row",
        key=table,
        column_config={"question": st.column_config.TextColumn(width="large")},
    )
    selected = event["selection"]["rows"]
    # A mark leads to its problem once; after that the buttons lead on while it stays.
    marked = (table, selected[0]) if selected and selected[0] < len(found) else None
    if marked is not None and marked != st.session_state.get("answers_marked"):
        at = selected[0]
    st.session_state["answers_marked"] = marked
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "Previous", icon=":material/chevron_left:", shortcut="Left", disabled=at == 0,
            on_click=_go_to, args=(names[max(at - 1, 0)],), key="answers_previous",
        )  # fmt: skip
        st.button(
            "Next", icon=":material/chevron_right:", shortcut="Right", disabled=at == len(names) - 1,
            on_click=_go_to, args=(names[min(at + 1, len(names) - 1)],), key="answers_next",
        )  # fmt: skip
        st.caption(f"Problem {at + 1:,} of {len(names):,}; the arrow keys lead to its neighbours.")
    st.session_state["answers_problem"] = names[at]
    return found[at]


def _go_to(problem: str) -> None:
    st.session_state["answers_problem"] = problem


def _line(
    each: ProblemAnswers, other: ProblemAnswers | None, with_question: bool
) -> dict[str, Any]:
    line: dict[str, Any] = {"problem": each.problem}
    if with_question and each.question is not None:
        line["question"] = one_line(each.question)
    line |= {
        "group": each.group,
        "right": f"{each.right} of {each.graded}",
        "cut": each.truncated,
    }
    if other is not None:
        line["other side"] = f"{other.right} of {other.graded}"
    kinds = kinds_of(each, other)
    line["kind"] = ", ".join(kind for kind in KINDS if kind in kinds)
    return line


def _may_be_listed(sheet: Sheet) -> bool:
    return not sheet.private or bool(st.session_state.get(_AGREED))


def _may_be_shown(here: Sheet, there: Sheet | None) -> bool:
    """GPQA's terms ask that its texts are not shown in public: whoever looks confirms them first."""
    if _may_be_listed(here) and (there is None or _may_be_listed(there)):
        return True
    st.warning(
        "The terms of this data set ask that its examples are not revealed in plain text or images "
        "online, lest models be trained on them. Questions and answers stay hidden until you agree.",
        icon=":material/visibility_off:",
    )
    st.button(
        "I keep to these terms: show the texts", on_click=_agree, icon=":material/visibility:"
    )
    return False


def _agree() -> None:
    st.session_state[_AGREED] = True


def _problem(here: Sheet, chosen: ProblemAnswers, there: Sheet | None) -> None:
    other = None
    if there is not None:
        other = next((each for each in there.problems if each.problem == chosen.problem), None)
    as_it_is = st.toggle("Text as it is, not rendered", key="answers_as_it_is")
    key = f"{here.path.parent.name}-{chosen.problem}"
    if chosen.question is not None:
        with st.container(border=True):
            st.caption(f"Question {to_markdown(chosen.problem)}")
            show_text(chosen.question, key=f"question-{key}", as_it_is=as_it_is)
            if chosen.expected is not None:
                st.markdown(f"Expected: **{to_markdown(chosen.expected)}**")
    if chosen.prompt is not None:
        with st.expander("The prompt, as it is sent", icon=":material/send:"):
            st.code(chosen.prompt, language=None, wrap_lines=True)
    if other is None:
        _answers(here, chosen, as_it_is, "here")
        return
    assert there is not None
    left, right = st.columns(2)
    with left:
        st.caption(f"This side: {_named(here)}")
        _answers(here, chosen, as_it_is, "here")
    with right:
        st.caption(f"The other side: {_named(there)}")
        _answers(there, other, as_it_is, "there")


def _named(sheet: Sheet) -> str:
    """Of which run, after which step."""
    return to_markdown(f"{sheet.path.parents[2].name}, after step {sheet.step}")


def _answers(sheet: Sheet, problem: ProblemAnswers, as_it_is: bool, side: str) -> None:
    labels = [_mark(sample) for sample in problem.samples]
    number = 0
    if len(labels) > 1:
        chosen = st.segmented_control(
            "Answer",
            range(len(labels)),
            default=0,
            format_func=labels.__getitem__,
            key=f"answer-{side}-{sheet.path}-{problem.problem}",
        )
        number = chosen or 0
    _answer(problem.samples[number], as_it_is, f"{side}-{sheet.step}-{problem.problem}-{number}")


def _mark(sample: Sample) -> str:
    verdict = sample.grade
    sign = "?" if verdict is None or verdict.correct is None else "✓" if verdict.correct else "✗"
    return f"{sample.index + 1} {sign}"


def _answer(sample: Sample, as_it_is: bool, key: str) -> None:
    grade = sample.grade
    verdict = "not graded" if grade is None else str(grade.verdict)
    right = grade is not None and grade.correct is True
    colour = "green" if right else "gray" if grade is None or grade.correct is None else "red"
    parsed = "none" if grade is None or grade.parsed is None else one_line(str(grade.parsed), 120)
    st.markdown(
        f":{colour}-badge[{to_markdown(verdict)}] parsed: **{to_markdown(parsed)}**, "
        f"{sample.tokens:,} tokens, ended by {to_markdown(sample.finish_reason)}"
    )
    if grade is not None and grade.diagnosis:
        st.code(grade.diagnosis, language=None, wrap_lines=True)
    trace = split_trace(sample.completion)
    show_trace(trace.thinking, trace.answer, closed=trace.closed, key=key, as_it_is=as_it_is)
