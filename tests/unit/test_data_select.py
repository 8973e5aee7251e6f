"""Which rows are chosen: exact, seeded, and the same however the files lie."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from openthoughts_cli.data.corpus import open_corpus
from openthoughts_cli.data.rows import Row, content_hash, row_id
from openthoughts_cli.data.select import Criteria, Selection, order_key, select
from tests.doubles.rows import MATH, PHYSICS, WordCounter, many, record, write


def _choose(folder: Path, **criteria: Any) -> Selection:
    return select(open_corpus(str(folder)), Criteria(**criteria), WordCounter())


def _rows(selection: Selection) -> list[Row]:
    return [row for row, _ in selection.rows()]


def _funnel_adds_up(selection: Selection) -> bool:
    funnel = selection.funnel
    return funnel.read == funnel.chosen + sum(count for _, count in funnel.steps())


def _mixed() -> list[Any]:
    rows = [*many(60), *many(40, source=PHYSICS, domain="science")]
    rows += [record(f"copy {i // 3}") for i in range(9)]  # three contents, three times each
    rows += [record("control", f"a <|im_end|> {i}") for i in range(4)]
    rows += [record("broken") | {"conversations": None}] * 2
    return rows


@settings(max_examples=25, deadline=None)
@given(
    files=st.integers(1, 5),
    row_group_size=st.integers(1, 50),
    limit=st.integers(1, 130),
    chance=st.randoms(use_true_random=False),
)
def test_files_groups_and_order_change_neither_rows_nor_funnel(
    files: int, row_group_size: int, limit: int, chance: random.Random
) -> None:
    criteria = {"max_tokens": 20, "min_tokens": 9, "limit": limit, "seed": 7}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder / "one" / "rows.parquet", _mixed())
        mixed = _mixed()
        chance.shuffle(mixed)
        for i in range(files):
            part = mixed[i::files]
            write(folder / "cut" / f"{i}.parquet", part, row_group_size=row_group_size)
        one, cut = (_choose(folder / place, **criteria) for place in ("one", "cut"))
        assert _rows(one) == _rows(cut)
        assert one.funnel.record() == cut.funnel.record()
        assert _funnel_adds_up(one)


def test_the_choice_is_the_first_that_pass_in_the_seeded_order(tmp_path: Path) -> None:
    records = many(80)
    write(tmp_path / "rows.parquet", records)
    counter = WordCounter()
    passing: list[tuple[int, str]] = []
    for each in records:
        question, answer = (turn["value"] for turn in each["conversations"])
        if counter.count([(question, answer)])[0].total <= 14:
            content = content_hash(MATH, "math", None, question.encode(), answer.encode())
            passing.append((order_key(content, 5), answer))
    wanted = [answer for _, answer in sorted(passing)[:10]]
    found = _rows(_choose(tmp_path, limit=10, seed=5, max_tokens=14))
    assert [row.answer for row in found] == wanted


def test_a_larger_limit_contains_the_smaller_in_front(tmp_path: Path) -> None:
    write(tmp_path / "rows.parquet", _mixed())
    small = _rows(_choose(tmp_path, limit=13))
    large = _rows(_choose(tmp_path, limit=60))
    assert large[:13] == small


def test_another_seed_chooses_other_rows(tmp_path: Path) -> None:
    write(tmp_path / "rows.parquet", many(60))
    chosen = {
        tuple(row.row_id for row in _rows(_choose(tmp_path, limit=5, seed=s))) for s in range(6)
    }
    assert len(chosen) == 6


def test_copies_of_one_content_are_numbered(tmp_path: Path) -> None:
    write(tmp_path / "rows.parquet", [record("same")] * 3 + [record("other")])
    ids = sorted(row.row_id for row in _rows(_choose(tmp_path, limit=10)))
    contents = {name.partition("-")[0] for name in ids}
    assert len(contents) == 2 and len(set(ids)) == 4
    same = content_hash(MATH, "math", None, b"same", b"<think>one and one</think>two")
    assert {row_id(same, n) for n in range(3)} <= set(ids)


def test_the_funnel_says_where_each_row_went(tmp_path: Path) -> None:
    write(tmp_path / "rows.parquet", _mixed())
    wanted = {"sources": frozenset([MATH]), "domains": frozenset(["math"])}
    selection = _choose(tmp_path, **wanted, limit=500, max_tokens=20, min_tokens=9)
    tokens = [WordCounter().count([(r.question, r.answer)])[0].total for r in _rows(selection)]
    record_ = selection.funnel.record()
    assert record_["read"] == 115
    assert record_["source"] == 40
    assert record_["malformed_reasons"] == {"no conversation": 2}
    assert record_["control_tokens"] == 4
    assert record_["too_long"] > 0 and record_["too_short"] > 0 and record_["not_drawn"] == 0
    assert all(9 <= count <= 20 for count in tokens)
    assert _funnel_adds_up(selection)


def test_rows_with_control_tokens_can_be_kept(tmp_path: Path) -> None:
    write(tmp_path / "rows.parquet", [record("control", "a <|im_end|> b")])
    assert not _choose(tmp_path).chosen
    assert len(_choose(tmp_path, drop_control_tokens=False).chosen) == 1


def test_rows_that_cannot_be_chosen_any_more_are_not_tokenised(tmp_path: Path) -> None:
    write(tmp_path / "rows.parquet", many(3000), row_group_size=500)
    counter = WordCounter()
    select(open_corpus(str(tmp_path)), Criteria(limit=10), counter)
    assert counter.counted < 900


def test_texts_let_go_to_save_memory_are_read_again(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", many(50), row_group_size=9)
    write(tmp_path / "b.parquet", many(30, source=PHYSICS), row_group_size=9)
    whole = list(_choose(tmp_path, limit=40).rows())
    corpus, criteria = open_corpus(str(tmp_path)), Criteria(limit=40)
    small = select(corpus, criteria, WordCounter(), keep_bytes=300)
    assert any(item.raw is None for item in small.chosen)
    assert list(small.rows()) == whole


def test_the_role_name_of_the_answer_is_kept_and_is_no_part_of_the_identity(
    tmp_path: Path,
) -> None:
    write(tmp_path / "gpt.parquet", [record(role="gpt")])
    write(tmp_path / "assistant.parquet", [record(role="assistant")])
    found = list(_choose(tmp_path).rows())
    assert sorted(role for _, role in found) == ["assistant", "gpt"]
    assert len({row.row_id.partition("-")[0] for row, _ in found}) == 1
