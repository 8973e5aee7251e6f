"""The explorer's queries give what a plain look at every row gives."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from openthoughts_cli.config.subset import SubsetConfig
from openthoughts_cli.data.browse import SORTS, Browse
from openthoughts_cli.data.browse_counts import POINTS, compose, histogram
from openthoughts_cli.data.browse_filter import (
    ALL_ROWS,
    RowFilter,
    Search,
    Span,
    parse_span,
    span_text,
    subset_command,
    subset_request,
    subset_yaml,
)
from openthoughts_cli.data.browse_rows import read_rows, siblings_of, table_lines
from openthoughts_cli.data.browse_search import Questions
from openthoughts_cli.errors import ConfigError, NotFoundError
from tests.doubles.browsed import browsed, mixed_rows
from tests.doubles.rows import CODE, MATH, PHYSICS, record


@pytest.fixture(scope="module")
def browse(tmp_path_factory: pytest.TempPathFactory) -> Browse:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OT_INDEX", str(tmp_path_factory.mktemp("index")))
        return browsed(tmp_path_factory.mktemp("data"))


def _plain(browse: Browse) -> list[dict[str, Any]]:
    """Every row by its texts, read one by one."""
    rows = read_rows(browse, range(len(browse)))
    answers = Counter(row.question for row in rows)
    return [
        {**row._asdict(), **row.kind._asdict(), "answers": answers[row.question]} for row in rows
    ]


def _passes(row: dict[str, Any], chosen: RowFilter) -> bool:
    spans = {
        "tokens": chosen.tokens,
        "tokens_thinking": chosen.thinking,
        "tokens_answer": chosen.answer,
        "answers": chosen.answers,
    }
    level = "none" if row["difficulty"] is None else str(row["difficulty"])
    words = row["question"].lower().replace(".", " ").replace(",", " ").replace("?", " ").split()
    return (
        (not chosen.sources or row["source"] in chosen.sources)
        and (not chosen.domains or row["domain"] in chosen.domains)
        and (not chosen.difficulty or level in chosen.difficulty)
        and all(
            (span.low is None or row[name] >= span.low)
            and (span.high is None or row[name] <= span.high)
            for name, span in spans.items()
        )
        and (chosen.closed is None or ("</think>" in row["thinking"]) == chosen.closed)
        and (chosen.boxed is None or ("\\boxed" in row["answer"]) == chosen.boxed)
        and (chosen.search is None or chosen.search.text.lower() in words)
    )


spans = st.builds(
    Span, st.none() | st.integers(-2, 40), st.none() | st.integers(0, 40) | st.just(1 << 40)
)
filters = st.builds(
    RowFilter,
    sources=st.sampled_from([(), (MATH,), (CODE, PHYSICS), ("none of these",)]),
    domains=st.sampled_from([(), ("math",), ("code", "science")]),
    difficulty=st.sampled_from([(), ("none",), ("7",), ("none", "8")]),
    tokens=spans,
    thinking=spans,
    answer=spans,
    answers=spans,
    closed=st.none() | st.booleans(),
    boxed=st.none() | st.booleans(),
    search=st.sampled_from([None, Search("words", "prime"), Search("words", "Question")]),
)
shared = settings(
    deadline=None,
    max_examples=30,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@shared
@given(
    chosen=filters, sort=st.sampled_from(SORTS), descending=st.booleans(), size=st.integers(1, 60)
)
def test_pages_joined_are_the_rows_that_pass_in_order(
    browse: Browse, chosen: RowFilter, sort: str, descending: bool, size: int
) -> None:
    plain = _plain_of(browse)
    wanted = [row for row in plain if _passes(row, chosen)]
    found: list[int] = []
    total = browse.page(chosen, size=size, sort=sort, descending=descending).total
    for number in range(max(math.ceil(total / size), 1)):
        page = browse.page(chosen, number=number, size=size, sort=sort, descending=descending)
        assert page.first == number * size and page.total == len(wanted)
        found += page.rows.tolist()

    def key(row: dict[str, Any]) -> float:
        value = -math.inf if row[sort] is None else row[sort]
        return -value if descending else value

    if sort:
        wanted.sort(key=key)  # stable: equals stay in the order of the files
    elif descending:
        wanted.reverse()
    assert found == [row["row"] for row in wanted]


_KNOWN: dict[int, list[dict[str, Any]]] = {}


def _plain_of(browse: Browse) -> list[dict[str, Any]]:
    return _KNOWN.setdefault(id(browse), _plain(browse))


@shared
@given(chosen=filters)
def test_counts_are_those_of_the_rows_that_pass(browse: Browse, chosen: RowFilter) -> None:
    wanted = [row for row in _plain_of(browse) if _passes(row, chosen)]
    found = compose(browse, chosen)
    assert found.rows == len(wanted)
    assert found.questions == len({row["question"] for row in wanted})
    assert found.total_tokens == sum(row["tokens"] for row in wanted)
    assert found.source == Counter(row["source"] for row in wanted)
    assert found.domain == Counter(row["domain"] for row in wanted)
    levels = ["none" if row["difficulty"] is None else str(row["difficulty"]) for row in wanted]
    assert found.difficulty == Counter(levels)
    assert list(found.source.values()) == sorted(found.source.values(), reverse=True)
    assert found.closed == sum("</think>" in row["thinking"] for row in wanted)


@shared
@given(
    chosen=filters,
    column=st.sampled_from(["tokens", "tokens_thinking", "tokens_answer", "answers"]),
    by=st.sampled_from(["", "source", "domain", "difficulty"]),
    bars=st.integers(1, 50),
)
def test_histograms_and_percentiles_are_exact(
    browse: Browse, chosen: RowFilter, column: str, by: Any, bars: int
) -> None:
    groups: dict[str, list[int]] = {}
    for row in _plain_of(browse):
        if _passes(row, chosen):
            name = "all" if not by else "none" if row[by] is None else str(row[by])
            groups.setdefault(name, []).append(row[column])
    found = histogram(browse, chosen, column=column, by=by, most_bars=bars)
    assert {group.name: group.rows for group in found.groups} == {
        name: len(values) for name, values in groups.items()
    }
    assert len(found.edges) - 1 <= max(bars, 2) + 1
    for group in found.groups:
        values = sorted(groups[group.name])
        assert group.total == sum(values)
        for point in POINTS:
            rank = max(math.ceil(point / 100 * len(values)), 1)
            assert group.percentiles[f"p{point}"] == values[rank - 1]
        assert (group.percentiles["min"], group.percentiles["max"]) == (values[0], values[-1])
        edges = [*found.edges[:-1], math.inf if found.open_end else found.edges[-1]]
        for i, rows in enumerate(group.bars):
            assert rows == sum(edges[i] <= value < edges[i + 1] for value in values)
    assert sum(record["rows"] for record in found.records()) == sum(map(len, groups.values()))


def test_very_long_rows_are_counted_without_a_cell_a_length(tmp_path: Path) -> None:
    rows = mixed_rows()
    rows.append(record("long", "word " * 3_000_000, source=CODE, domain="code", difficulty=6))
    browse = browsed(tmp_path, rows)
    found = histogram(browse, by="source")
    code = next(group for group in found.groups if group.name == CODE)
    assert code.rows == 25 and code.percentiles["max"] == 3_000_003
    assert found.open_end and sum(code.bars) == 25
    assert found.records()[-1]["range"].endswith("or more")


def test_a_page_behind_the_last_is_the_last(browse: Browse) -> None:
    page = browse.page(number=10**9, size=50)
    assert page.first == 150 and page.first + len(page.rows) == page.total == len(browse)
    assert browse.page(number=-5).first == 0
    assert browse.page(RowFilter(sources=("x",))).rows.tolist() == []


def test_malformed_rows_are_left_out_and_counted(browse: Browse) -> None:
    assert sum(browse.malformed.values()) == 1
    assert len(browse) == len(mixed_rows()) - 1


def test_a_row_is_found_again_by_its_id(browse: Browse) -> None:
    names = [browse.row_id(row) for row in range(len(browse))]
    assert len(set(names)) == len(names)
    assert [browse.find(name) for name in names] == list(range(len(browse)))
    for wrong in ("", "x", "0" * 32, names[0][:-1] + "9", "../../etc/passwd", "é" * 32):
        with pytest.raises(NotFoundError):
            browse.find(wrong)


def test_siblings_are_compared_in_length_and_final_answer(browse: Browse) -> None:
    row = int(browse.selection(RowFilter(sources=(CODE,)))[0])

    def final(text: str) -> tuple[str, str]:
        found = text.rpartition("</think>")[2]
        return found, found

    found = siblings_of(browse, row, final=final)
    assert found[0].is_this and found[0].row.row == row and found[0].same_final
    assert len(found) == 4 and sum(each.same_final for each in found) == 1
    assert [each.tokens_more for each in found[1:]] == sorted(
        each.row.tokens - found[0].row.tokens for each in found[1:]
    )
    assert all(each.row.question == found[0].row.question for each in found)
    assert len(siblings_of(browse, row, final=final, most=2)) == 2


def test_a_table_needs_no_text_but_the_questions(browse: Browse) -> None:
    lines = table_lines(browse, [0, 5])
    assert [line.row for line in lines] == [0, 5]
    assert lines[0].question == read_rows(browse, [0])[0].question
    assert lines[0].answers == int(browse.columns["answers"][0])


def _questions(*texts: str) -> Questions:
    import polars as pl

    return Questions(pl.Series(list(texts), dtype=pl.String))


def test_words_are_whole_in_any_case_and_order() -> None:
    questions = _questions("Find the PRIME factors.", "primes", "a prime, then a factor", "")
    assert questions.find(Search("words", "prime")).tolist() == [True, False, True, False]
    assert questions.find(Search("words", "factor, prime!")).tolist() == [False, False, True, False]
    assert questions.find(Search("words", "  ")).all()
    assert not questions.find(Search("words", "absent prime")).any()


def test_words_of_other_scripts_are_words() -> None:
    questions = _questions(
        "Que vaut l'\u00e9nergie?", "\u041d\u0430\u0439\u0442\u0438 x", "x_1 = 3"
    )
    assert questions.find(Search("words", "\u00c9NERGIE")).tolist() == [True, False, False]
    assert questions.find(Search("words", "\u043d\u0430\u0439\u0442\u0438")).tolist() == [
        False,
        True,
        False,
    ]
    assert questions.find(Search("words", "x_1")).tolist() == [False, False, True]


def test_a_phrase_is_found_as_it_is_written() -> None:
    questions = _questions("Let x^2 +\n 3x = (1)", "x^2 3x", "LET X^2 + 3X = (1)")
    assert questions.find(Search("phrase", "x^2 + 3x = (")).tolist() == [True, False, True]
    assert questions.find(Search("phrase", " ")).all()


def test_a_regular_expression_is_one_or_says_why_not() -> None:
    questions = _questions("case 12", "case x")
    assert questions.find(Search("regex", r"case \d+$")).tolist() == [True, False]
    for wrong in ("(", "[a", "a{2,1}", "(?=a)", "*"):
        with pytest.raises(ConfigError, match="is not a regular expression"):
            questions.find(Search("regex", wrong))
    with pytest.raises(ConfigError, match="at most"):
        questions.find(Search("regex", "a" * 2_000))


def test_a_filter_becomes_the_subset_that_has_its_rows(browse: Browse) -> None:
    chosen = RowFilter(
        sources=(CODE,),
        difficulty=("6", "7"),
        tokens=Span(5, 40),
        thinking=Span(1, 20),
        closed=True,
        boxed=True,
    )
    request = subset_request(
        chosen, dataset=browse.corpus.dataset, tokenizer="words", longest=browse.longest, limit=1000
    )
    assert request.left_out == ()
    config = SubsetConfig.model_validate(dict(request.options))
    assert config.source == (CODE,) and config.where is not None
    from openthoughts_cli.config.choice import parse_levels
    from openthoughts_cli.data.select import Criteria, select
    from openthoughts_cli.data.where import Where
    from tests.doubles.rows import WordCounter

    criteria = Criteria(
        sources=frozenset(config.source),
        difficulty=parse_levels(config.difficulty),
        min_tokens=config.min_tokens,
        max_tokens=config.max_tokens,
        closed=config.closed,
        boxed=config.boxed,
        where=Where(config.where),
        limit=1000,
    )
    cut = {row.row_id for row, _ in select(browse.corpus, criteria, WordCounter()).rows()}
    assert cut == {browse.row_id(int(row)) for row in browse.selection(chosen)}
    assert len(cut) > 3


def test_a_command_can_be_pasted_into_a_shell() -> None:
    request = subset_request(
        RowFilter(sources=(MATH,), difficulty=("none", "7"), answer=Span(None, 5), closed=False),
        dataset="a b/*.parquet",
        tokenizer="m",
        longest=99,
        name=None,
    )
    assert subset_command(request.options) == (
        "ot subset --dataset 'a b/*.parquet' --tokenizer m --source openmath --difficulty none,7 "
        "--max-tokens 99 --where 'tokens_answer <= 5 AND NOT closed'"
    )


def test_the_yaml_says_the_same_as_the_options(tmp_path: Path) -> None:
    from openthoughts_cli.config.load import load_config

    chosen = RowFilter(sources=(MATH, CODE), difficulty=("none",), boxed=False, tokens=Span(3))
    request = subset_request(chosen, dataset="sample", tokenizer="m: #x", longest=99, limit=7)
    file = tmp_path / "subset.yaml"
    file.write_text(subset_yaml(request.options), encoding="utf-8")
    assert (
        load_config(SubsetConfig, file=file).config
        == load_config(SubsetConfig, options=dict(request.options)).config
    )


def test_what_a_subset_cannot_ask_for_is_said() -> None:
    chosen = RowFilter(search=Search("words", "prime"), answers=Span(2))
    request = subset_request(chosen, dataset="d", tokenizer="m", longest=9)
    assert request.left_out == ("the search in questions", "answers per question")


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("", Span()),
        ("  ", Span()),
        ("100..8192", Span(100, 8192)),
        ("1,000 .. 2_000", Span(1000, 2000)),
        ("100-200", Span(100, 200)),
        ("7..", Span(7, None)),
        ("..7", Span(None, 7)),
        ("7", Span(7, 7)),
    ],
)
def test_a_range_is_read_and_written(text: str, span: Span) -> None:
    assert parse_span(text) == span
    assert parse_span(span_text(span)) == span


@pytest.mark.parametrize("text", ["x", "1..2..3", "9..1", "1e9", "-5..", "1 2", "9" * 30])
def test_what_is_no_range_says_how_one_is_written(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_span(text)
    assert ".." in str(caught.value.hint)


def test_an_empty_data_set_can_be_browsed(tmp_path: Path) -> None:
    browse = browsed(tmp_path, [record("broken") | {"conversations": None}], files=1)
    assert len(browse) == 0 and browse.longest == 0
    assert compose(browse).rows == 0 and histogram(browse, by="source").groups == []
    assert browse.page(ALL_ROWS, sort="tokens", descending=True).rows.tolist() == []


def test_rows_of_many_kinds_are_told_apart(tmp_path: Path) -> None:
    rows = [record(f"q {i}", f"a {i}", source=f"s{i}", difficulty=i) for i in range(300)]
    browse = browsed(tmp_path, rows, files=2)
    assert len(browse.kinds) == 300
    assert compose(browse, RowFilter(difficulty=("7",))).source == {"s7": 1}
    assert np.issubdtype(browse.kind.dtype, np.integer)
