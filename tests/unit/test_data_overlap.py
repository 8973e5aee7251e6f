"""Contamination: what counts as a benchmark's question, and what only sounds like one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openthoughts_cli.data.overlap import KNOWN, Benchmarks, Match, Question, load_benchmarks
from openthoughts_cli.data.rows import question_hash
from openthoughts_cli.errors import NetworkError, NotFoundError, SchemaError

ASKED = (
    "Find the number of ordered pairs of positive integers (m, n) such that m + n = 2024 and the "
    "product mn is divisible by 360."
)
BENCH = Benchmarks([Question("made-up", "1", ASKED), Question("made-up", "2", "What is 12 + 34?")])


def _find(text: str, benchmarks: Benchmarks = BENCH) -> Match | None:
    return benchmarks.find(question_hash(text), text)


@pytest.mark.parametrize(
    "text",
    [
        ASKED,
        ASKED.upper().replace(" ", "\n  "),
        f"Solve the following problem. Put the answer in \\boxed{{}}.\n\n{ASKED} Reason well.",
        ASKED.replace("positive integers", "natural numbers").replace("product", "value of"),
        ASKED.replace("(m, n)", "$(m,n)$").replace("m + n = 2024", "$m+n=2024$"),
        "what  is 12 + 34?",
    ],
)
def test_a_benchmarks_question_told_in_another_dress(text: str) -> None:
    match = _find(text)
    assert match is not None and match.benchmark == "made-up" and match.similarity >= 80


@pytest.mark.parametrize(
    "text",
    [
        # the same opening, as half of all such problems have it
        "Find the number of ordered pairs of positive integers (a, b) such that a divides b + 1 "
        "and b divides a squared plus one, with both at most 2024 and the sum a multiple of 360.",
        ASKED.replace("360", "540"),  # other numbers, another answer
        "Find the number of ordered pairs of positive integers (m, n) such that m + n = 2024",
        "What is 12 - 34?",
        "What is 12 + 34 + 56?",
        "",
    ],
)
def test_what_only_sounds_like_it_is_kept(text: str) -> None:
    assert _find(text) is None


def test_the_longer_run_asks_for_more() -> None:
    said = " ".join(ASKED.split()[:11]) + " m + n = 2024, where the product mn is a multiple of 360"
    assert _find(said) is not None
    assert _find(said, Benchmarks(BENCH.questions, ngram=13)) is None
    assert Benchmarks(BENCH.questions, ngram=13).digest != BENCH.digest


@given(st.text(max_size=60), st.text(max_size=60))
def test_a_question_is_always_found_again(before: str, after: str) -> None:
    match = _find(f"{before} {ASKED} {after}")
    assert match is not None and match.problem == "1"


def test_questions_come_from_names_and_files(tmp_path: Path) -> None:
    file = tmp_path / "mine.jsonl"
    rows = [{"id": 3, "problem": ASKED}, {"question": "And another one?", "answer": 1}]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = load_benchmarks(["arithmetic", str(file)]).questions
    assert len(found) == 162
    assert [(q.benchmark, q.problem) for q in found[-2:]] == [
        ("mine.jsonl", "3"),
        ("mine.jsonl", "2"),
    ]


def test_what_cannot_be_had_is_said_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="aime25, arithmetic, gpqa, livecodebench"):
        load_benchmarks(["amie25"])
    for name in set(KNOWN) - {"arithmetic"}:
        with pytest.raises(NetworkError, match="nothing was read or written") as caught:
            load_benchmarks([name])
        assert f"--decontaminate {name}.jsonl" in (caught.value.hint or "")
    file = tmp_path / "bad.jsonl"
    file.write_text('{"answer": 3}\n')
    with pytest.raises(SchemaError, match=r"bad\.jsonl:1: there is no question"):
        load_benchmarks([str(file)])
    file.write_text("")
    with pytest.raises(SchemaError, match="holds no question"):
        load_benchmarks([str(file)])
