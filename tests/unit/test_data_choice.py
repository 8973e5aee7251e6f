"""The choice of rows under every filter and order: stream and table agree, and choices nest."""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openthoughts_cli.config.choice import Levels
from openthoughts_cli.data.corpus import Corpus, open_corpus
from openthoughts_cli.data.criteria import Criteria, order_key, question_order_key
from openthoughts_cli.data.overlap import Benchmarks, Question
from openthoughts_cli.data.rows import Row, content_hash, question_hash
from openthoughts_cli.data.select import Selection, select
from openthoughts_cli.data.table import Table, select_from_table
from openthoughts_cli.data.tabulate import tabulate
from openthoughts_cli.data.where import Where
from openthoughts_cli.errors import ConfigError, EmptyResultError
from tests.doubles.rows import CODE, MATH, PHYSICS, WordCounter, many, record, write
from tests.tools.tally import SOAK

DOMAIN = {MATH: "math", PHYSICS: "science", CODE: "code"}
ANSWERS = (
    "<think>so so so</think>one",
    "<think>so</think> it is \\boxed{7} and more of it",
    "<think>never closed and on and on and on",
    "two",
    "<think></think>three <|im_end|>",
    "<think>so so so so so so so so</think>four \\boxed{4}",
)
ROWS = st.lists(
    st.builds(
        lambda source, question, answer, level, loud: record(
            f"What is {question}?".upper() if loud else f"What is {question}?",
            answer,
            source=source,
            domain=DOMAIN[source],
            difficulty=level,
        ),
        st.sampled_from([MATH, PHYSICS, CODE]),
        st.integers(0, 8),
        st.sampled_from(ANSWERS) | st.integers(0, 9).map(lambda i: f"<think>a</think>it is {i}"),
        st.sampled_from([None, 6, 7, 8, 9]),
        st.booleans(),
    ),
    min_size=1,
    max_size=60,
)
CRITERIA: Any = st.fixed_dictionaries(
    {"limit": st.integers(1, 25), "seed": st.integers(0, 3)},
    optional={
        "sources": st.sampled_from([frozenset([MATH]), frozenset([MATH, CODE])]),
        "difficulty": st.sampled_from(
            [Levels(((7, 9),), False), Levels((), True), Levels(((6, 6), (8, 9)), True)]
        ),
        "closed": st.just(True),
        "boxed": st.just(True),
        "max_tokens": st.integers(5, 20),
        "min_tokens": st.integers(0, 8),
        "max_assistant_tokens": st.integers(2, 15),
        "max_thinking_tokens": st.integers(0, 6),
        "answers_per_question": st.integers(1, 3),
        "dedup": st.booleans(),
        "order": st.sampled_from(["random", "hardest", "longest", "shortest"]),
        "drop_control_tokens": st.booleans(),
        "by_question": st.booleans(),
    },
)


def _table_of(corpus: Corpus) -> Table:
    return Table.of([(i, tabulate(part, WordCounter())) for i, part in enumerate(corpus.parts)])


def _choose(corpus: Corpus, criteria: Criteria, **more: Any) -> Selection:
    """The choice by the table; where a stream can make it too, both must agree."""
    table = _table_of(corpus)
    found = select_from_table(corpus, table, criteria, **more)
    if not (criteria.by_question and criteria.order != "random"):
        more.pop("question_of", None)
        streamed = select(corpus, criteria, WordCounter(), keep_bytes=300, remember_rows=3, **more)
        assert _rows(streamed) == _rows(found)
        assert streamed.funnel.record() == found.funnel.record()
        assert streamed.overlapping == found.overlapping
    assert found.funnel.read == found.funnel.chosen + sum(n for _, n in found.funnel.steps())
    assert min(count for _, count in found.funnel.steps()) >= 0
    return found


def _rows(selection: Selection) -> list[Row]:
    return [row for row, _ in selection.rows()]


def _in_files(folder: Path, records: Sequence[Any], files: int) -> Corpus:
    for i in range(files):
        write(folder / f"{i}.parquet", records[i::files], row_group_size=5)
    return open_corpus(str(folder))


def _fails(row: Any, criteria: Criteria, counts: Any) -> bool:
    answer = row["conversations"][1]["value"]
    response = counts.thinking + counts.answer
    levels = criteria.difficulty
    return any(
        (
            criteria.sources and row["source"] not in criteria.sources,
            levels is not None and not levels.hold(row["difficulty"]),
            criteria.closed and "</think>" not in answer,
            criteria.boxed and "\\boxed" not in answer,
            criteria.drop_control_tokens and "<|im_end|>" in answer,
            criteria.max_tokens is not None and counts.total > criteria.max_tokens,
            counts.total < criteria.min_tokens,
            response > (criteria.max_assistant_tokens or 10**9),
            criteria.max_thinking_tokens is not None
            and counts.thinking > criteria.max_thinking_tokens,
        )
    )


def _plainly(records: Sequence[Any], criteria: Criteria) -> list[tuple[str, str]]:
    """The choice spelled out: sort everything that passes, and take from the front."""
    passing: list[tuple[Any, Any, str, str]] = []
    for row in records:
        question, answer = (turn["value"] for turn in row["conversations"])
        (counts,) = WordCounter().count([(question, answer)])
        if _fails(row, criteria, counts):
            continue
        labels = (row["source"], row["domain"], row["difficulty"])
        content = content_hash(*labels, question.encode(), answer.encode())
        lead = criteria.leading(row["difficulty"], counts.thinking + counts.answer)
        place = (lead, order_key(content, criteria.seed), content)
        passing.append((place, lead, question, answer))
    passing.sort()
    kept: list[tuple[Any, Any, str, str]] = []
    for entry in passing:
        same = [other for other in kept if question_hash(other[2]) == question_hash(entry[2])]
        if criteria.cap is not None and len(same) >= criteria.cap:
            continue
        if criteria.dedup and any(other[3] == entry[3] for other in same):
            continue
        kept.append(entry)
    if not criteria.by_question:
        return [(question, answer) for _, _, question, answer in kept[: criteria.limit]]
    names = {question_hash(entry[2]) for entry in kept}

    def unit(name: str) -> Any:
        best = min(entry[1] for entry in kept if question_hash(entry[2]) == name)
        return best, question_order_key(name, criteria.seed)

    chosen = sorted(names, key=unit)[: criteria.limit]
    return [e[2:] for name in chosen for e in kept if question_hash(e[2]) == name]  # type: ignore[misc]


@pytest.mark.slow
@settings(max_examples=60 * SOAK, deadline=None)
@given(
    records=ROWS,
    criteria=CRITERIA,
    files=st.integers(1, 4),
    chance=st.randoms(use_true_random=False),
)
def test_every_way_makes_the_same_choice(
    records: list[Any], criteria: dict[str, Any], files: int, chance: random.Random
) -> None:
    wanted = Criteria(**criteria)
    with tempfile.TemporaryDirectory() as name:
        one = _choose(_in_files(Path(name) / "one", records, 1), wanted)
        assert [(r.question, r.answer) for r in _rows(one)] == _plainly(records, wanted)
        shuffled = list(records)
        chance.shuffle(shuffled)
        cut = _choose(_in_files(Path(name) / "cut", shuffled, files), wanted)
        assert _rows(cut) == _rows(one)
        assert cut.funnel.record() == one.funnel.record()


@pytest.mark.slow
@settings(max_examples=30 * SOAK, deadline=None)
@given(records=ROWS, criteria=CRITERIA, more=st.integers(1, 20))
def test_a_larger_choice_contains_the_smaller_in_front(
    records: list[Any], criteria: dict[str, Any], more: int
) -> None:
    with tempfile.TemporaryDirectory() as name:
        corpus = _in_files(Path(name), records, 2)
        small = _rows(_choose(corpus, Criteria(**criteria)))
        criteria["limit"] += more
        assert _rows(_choose(corpus, Criteria(**criteria)))[: len(small)] == small


@pytest.mark.slow
@settings(max_examples=30 * SOAK, deadline=None)
@given(
    records=ROWS,
    criteria=CRITERIA,
    shares=st.tuples(*[st.sampled_from([0.1, 0.25, 0.5, 1.0, 3.0])] * 3),
    by_tokens=st.booleans(),
    more=st.integers(1, 20),
)
def test_mixtures_nest_and_agree_too(
    records: list[Any],
    criteria: dict[str, Any],
    shares: tuple[float, ...],
    by_tokens: bool,
    more: int,
) -> None:
    everywhere = [record(source=source, domain=DOMAIN[source]) for source in DOMAIN]
    mix = tuple(sorted(zip(DOMAIN, shares, strict=True)))
    mixed: dict[str, Any] = {
        **criteria,
        "sources": frozenset(DOMAIN),
        "mix": mix,
        "mix_by_tokens": by_tokens,
        "allow_short": True,
    }
    with tempfile.TemporaryDirectory() as name:
        corpus = _in_files(Path(name), [*everywhere, *records], 3)
        try:
            small = _rows(_choose(corpus, Criteria(**mixed)))
            mixed["limit"] += more
            large = _rows(_choose(corpus, Criteria(**mixed)))
        except EmptyResultError:
            return  # a source of which no row passes is no part of a mixture
        assert large[: len(small)] == small
        cap = Criteria(**mixed).cap
        if cap is not None:
            assert max(Counter(row.question_id for row in large).values(), default=0) <= cap


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """400 rows of each of three sources, in three files."""
    rows = [
        row
        for source, domain in DOMAIN.items()
        for row in many(400, answers=4, source=source, domain=domain)
    ]
    return _in_files(tmp_path_factory.mktemp("three"), rows, 3)


@pytest.mark.parametrize("limit", [1, 7, 100, 333])
def test_shares_of_rows_are_exact(three: Corpus, limit: int) -> None:
    mix = ((MATH, 0.5), (CODE, 0.2), (PHYSICS, 0.3))
    wanted = Criteria(sources=frozenset(DOMAIN), limit=limit, mix=mix)
    counts = Counter(row.source for row in _rows(_choose(three, wanted)))
    for source, share in mix:
        assert abs(counts[source] - share * limit) < 1
    assert sum(counts.values()) == limit


def test_shares_of_tokens_are_met_within_a_row(three: Corpus) -> None:
    mix = ((MATH, 0.75), (PHYSICS, 0.25))
    wanted = Criteria(
        sources=frozenset([MATH, PHYSICS]), limit=300, mix=mix, mix_by_tokens=True, order="random"
    )
    rows = _rows(_choose(three, wanted))
    tokens = Counter[str]()
    for row in rows:
        tokens[row.source] += row.tokens
    longest = max(row.tokens for row in rows)
    assert len(rows) == 300
    for source, share in mix:
        assert abs(tokens[source] - share * sum(tokens.values())) <= longest


def test_questions_are_shared_out_with_their_answers(three: Corpus) -> None:
    wanted = Criteria(
        sources=frozenset([MATH, PHYSICS]),
        limit=20,
        by_question=True,
        mix=((MATH, 1.0), (PHYSICS, 1.0)),
        answers_per_question=3,
    )
    rows = _rows(_choose(three, wanted))
    questions = Counter((row.source, row.question_id) for row in rows)
    assert Counter(source for source, _ in questions) == {MATH: 10, PHYSICS: 10}
    assert set(questions.values()) == {3}


def test_an_exhausted_source_is_an_error_unless_allowed(tmp_path: Path) -> None:
    corpus = _in_files(tmp_path, [*many(40), *many(9, source=PHYSICS, domain="science")], 2)
    values: Any = {
        "sources": frozenset([MATH, PHYSICS]),
        "limit": 40,
        "mix": ((MATH, 0.5), (PHYSICS, 0.5)),
    }
    with pytest.raises(
        EmptyResultError, match="physics has 9 rows that pass, and its share of 40 is 20"
    ):
        _choose(corpus, Criteria(**values))
    short = _choose(corpus, Criteria(**values, allow_short=True))
    assert Counter(row.source for row in _rows(short)) == {MATH: 20, PHYSICS: 9}
    with pytest.raises(EmptyResultError, match="physics has 0 rows"):
        _choose(corpus, Criteria(**values, allow_short=True, domains=frozenset(["math"])))


def test_hardest_and_longest_come_first(tmp_path: Path) -> None:
    levels = [None, 6, 9, 7, 8, None, 9]
    rows = [record(f"q {i}", "so " * i, difficulty=level) for i, level in enumerate(levels, 1)]
    corpus = _in_files(tmp_path, rows, 2)
    hardest = _rows(_choose(corpus, Criteria(order="hardest")))
    assert [row.difficulty for row in hardest] == [9, 9, 8, 7, 6, None, None]
    longest = _rows(_choose(corpus, Criteria(order="longest", limit=3)))
    assert [len(row.answer.split()) for row in longest] == [7, 6, 5]
    shortest = _rows(_choose(corpus, Criteria(order="shortest", limit=2)))
    assert [len(row.answer.split()) for row in shortest] == [1, 2]


def test_where_sees_labels_and_tokens(tmp_path: Path) -> None:
    where = Where("tokens_thinking > 4 AND source LIKE '%physics' OR difficulty = 8")
    rows = [
        *many(30),
        *many(30, source=PHYSICS, domain="science"),
        record("a hard one", difficulty=8),
    ]
    found = _choose(_in_files(tmp_path, rows, 2), Criteria(where=where))
    assert {(r.source, r.difficulty) for r in _rows(found)} == {(PHYSICS, None), (MATH, 8)}
    assert all(r.tokens_thinking > 4 or r.difficulty == 8 for r in _rows(found))
    assert found.funnel.out["where"] == 61 - len(found.chosen)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tokens >", "unable to parse"),
        ("tokns > 3", 'unable to find column "tokns"'),
        ("tokens", "not true or false"),
        ("tokens > avg(tokens)", "compares rows with each other"),
        ("row_number() over (order by tokens) < 9", "compares rows with each other"),
        ("count(*) > 3", "compares rows with each other"),
        ("row_group = 0", "unable to find column"),
        ("", "--where ''"),
    ],
)
def test_a_wrong_predicate_is_refused(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Where(text)
    assert said in caught.value.message and caught.value.hint


def test_a_predicate_may_be_a_constant_or_speak_of_nulls(tmp_path: Path) -> None:
    corpus = _in_files(tmp_path, [record("a", difficulty=7), record("b")], 1)
    for text, count in (("1 = 1", 2), ("difficulty > 3", 1), ("difficulty IS NULL", 1)):
        assert len(_choose(corpus, Criteria(where=Where(text))).chosen) == count


def test_rows_of_a_benchmarks_questions_are_left_out_and_named(tmp_path: Path) -> None:
    asked = "How many sheep are on the farm when each of the 12 pens holds 7 of them"
    rows = [
        *many(20),
        record(f"Solve this. {asked.upper()}? Think well.", "84"),
        record(asked, "8"),
    ]
    corpus = _in_files(tmp_path, rows, 2)
    benchmarks = Benchmarks([Question("farm", "3", asked)])
    texts = {question_hash(r["conversations"][0]["value"]): r["conversations"][0] for r in rows}
    found = _choose(
        corpus,
        Criteria(limit=30),
        benchmarks=benchmarks,
        question_of=lambda name: texts[name]["value"],
    )
    assert found.funnel.out["contaminated"] == 2 and len(found.chosen) == 20
    lines = [each.record() for each in found.overlapping]
    assert {line["problem"] for line in lines} == {"3"}
    assert all(line["reason"] == "its question is that of farm 3" for line in lines)
    assert len({line["row_id"] for line in lines}) == 2
