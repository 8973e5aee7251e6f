"""Where rows are read from, and what a file that cannot be used says."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from openthoughts_cli.data.corpus import Corpus, open_corpus
from openthoughts_cli.data.raw_rows import Malformed, RawRow
from openthoughts_cli.errors import DataError, NotFoundError, SchemaError
from tests.doubles.rows import CODE, MATH, PHYSICS, SCHEMA, many, record, write
from tests.doubles.unreachable import unreachable


def _answers(corpus: Corpus) -> list[str]:
    rows = [row for chunk in corpus.scan() for row in chunk.rows]
    return [row.answer.decode() if isinstance(row, RawRow) else row.reason for row in rows]


def test_a_file_a_folder_and_a_glob_are_read_in_order_of_name(tmp_path: Path) -> None:
    write(tmp_path / "data" / "b.parquet", [record(answer="second")])
    write(tmp_path / "data" / "a.parquet", [record(answer="first")])
    write(tmp_path / "data" / ".hidden" / "c.parquet", [record(answer="never")])
    (tmp_path / "data" / "notes.txt").write_text("no rows")
    assert _answers(open_corpus(str(tmp_path))) == ["first", "second"]
    assert _answers(open_corpus(str(tmp_path / "data" / "*.parquet"))) == ["first", "second"]
    assert _answers(open_corpus(str(tmp_path / "data" / "b.parquet"))) == ["second"]
    assert [part.name for part in open_corpus(str(tmp_path)).parts] == [
        "data/a.parquet",
        "data/b.parquet",
    ]


@pytest.mark.parametrize("dataset", ["./none", "/none/at/all", "rows.parquet", "*.parquet", "one"])
def test_a_place_that_is_not_there_is_named(
    dataset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NotFoundError) as caught:
        open_corpus(dataset)
    assert dataset in caught.value.message


def test_a_folder_without_parquet_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"holds no \.parquet file"):
        open_corpus(str(tmp_path))


def test_missing_and_wrong_columns_are_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"source": ["a"], "text": ["b"]}), path)
    with pytest.raises(SchemaError, match=r"rows.parquet has no column difficulty, domain, conv"):
        open_corpus(str(path))
    table = pa.Table.from_pylist([record()], SCHEMA)
    pq.write_table(table.set_column(3, "conversations", pa.array(["text"])), path)
    with pytest.raises(SchemaError, match="column conversations is string, not a list of"):
        open_corpus(str(path))


@pytest.mark.parametrize("keep", [0, 4, 300, -1])
def test_a_half_file_is_named(keep: int, tmp_path: Path) -> None:
    path = write(tmp_path / "half.parquet", many(50))
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError, match=r"half.parquet is not a whole parquet file"):
        open_corpus(str(path))


def test_a_file_damaged_within_is_named_when_it_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "bad.parquet", many(200), row_group_size=200)
    data = bytearray(path.read_bytes())
    data[30:-2000] = b"\xff" * (len(data) - 2030)
    path.write_bytes(bytes(data))
    corpus = open_corpus(str(path))
    with pytest.raises(DataError, match=r"bad.parquet is not a whole parquet file"):
        _answers(corpus)


def test_other_types_of_the_same_columns_are_read(tmp_path: Path) -> None:
    turn = pa.struct([("value", pa.large_string()), ("from", pa.large_string())])
    schema = pa.schema(
        [
            ("conversations", pa.large_list(turn)),
            ("extra", pa.float64()),
            ("domain", pa.dictionary(pa.int32(), pa.string())),
            ("source", pa.large_string()),
            ("difficulty", pa.int8()),
        ]
    )
    row = record(difficulty=9, role="assistant") | {"extra": 0.5}
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.Table.from_pylist([row], schema), path)
    (found,) = [row for chunk in open_corpus(str(path)).scan() for row in chunk.rows]
    assert isinstance(found, RawRow)
    assert (found.source, found.domain, found.difficulty) == (MATH, "math", 9)
    assert found.question == b"What is 1 + 1?"
    assert found.answer_role == "assistant"


def test_conversations_that_cannot_be_used_are_counted_by_reason(tmp_path: Path) -> None:
    good = record()
    bad = {
        "no conversation": None,
        "empty conversation": [],
        "fewer than two turns": good["conversations"][:1],
        "more than two turns": good["conversations"] * 2,
        "other roles than human and gpt": [{"from": "system", "value": "x"}] * 2,
        "a turn without text": [{"from": "human", "value": "x"}, {"from": "gpt", "value": " \n"}],
    }
    records = [good | {"conversations": turns} for turns in bad.values()]
    records.append(good | {"conversations": [{"from": "human", "value": None}] * 2})
    records.append(good | {"conversations": [None, None]})
    path = write(tmp_path / "rows.parquet", [good, *records, good])
    rows = [row for chunk in open_corpus(str(path)).scan() for row in chunk.rows]
    reasons = Counter(row.reason for row in rows if isinstance(row, Malformed))
    assert sum(isinstance(row, RawRow) for row in rows) == 2
    assert reasons == Counter({**dict.fromkeys(bad, 1), "other roles than human and gpt": 3})
    assert [(row.row_group, row.row) for row in rows] == [(i // 7, i % 7) for i in range(10)]


def test_bytes_that_are_no_utf8_make_one_row_malformed_not_the_file(tmp_path: Path) -> None:
    records = [record(answer=f"answer {i} QQQQ") for i in range(3)]
    path = tmp_path / "rows.parquet"
    table = pa.Table.from_pylist(records, SCHEMA)
    pq.write_table(table, path, compression="none", use_dictionary=False)
    data = path.read_bytes().replace(b"answer 1 QQQQ", b"answer 1 \xff\xfe\xfdQ", 1)
    path.write_bytes(data)
    assert _answers(open_corpus(str(path))) == ["answer 0 QQQQ", "not UTF-8", "answer 2 QQQQ"]


def test_labels_are_counted_from_footers_and_from_columns(tmp_path: Path) -> None:
    mixed = [record(source=s, domain=d) for s, d in ((MATH, "math"), (PHYSICS, "science"))]
    write(tmp_path / "a.parquet", [*many(14), *mixed])
    write(tmp_path / "b.parquet", [record(source=CODE, domain="code", difficulty=6)])
    assert open_corpus(str(tmp_path)).label_counts() == {
        (MATH, "math"): 15,
        (PHYSICS, "science"): 1,
        (CODE, "code"): 1,
    }


def test_filters_by_label_count_what_they_pass_over(tmp_path: Path) -> None:
    rows = [*many(14), *many(14, source=PHYSICS, domain="science")]
    rows += many(3, source=MATH, domain="science")
    corpus = open_corpus(str(write(tmp_path / "rows.parquet", rows)))
    source, domain, kept = 0, 0, 0
    for chunk in corpus.scan(frozenset([MATH]), frozenset(["math"])):
        source, domain = source + chunk.other_source, domain + chunk.other_domain
        kept += len(list(chunk.rows))
    assert (source, domain, kept) == (14, 3, 14)


def test_a_row_is_found_by_its_number(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", many(10))
    write(tmp_path / "b.parquet", [record(answer="the last")])
    corpus = open_corpus(str(tmp_path))
    found = corpus.row(10)
    assert isinstance(found, RawRow) and found.answer == b"the last"
    with pytest.raises(NotFoundError, match="rows 0 to 10"):
        corpus.row(11)


def test_the_identity_is_of_the_bytes_not_of_the_names(tmp_path: Path) -> None:
    one = write(tmp_path / "one.parquet", many(4))
    two = write(tmp_path / "two.parquet", many(4))
    other = write(tmp_path / "other.parquet", many(5))
    a, b, c = (open_corpus(str(path)).identity() for path in (one, two, other))
    assert a == b != c


def test_files_without_a_row_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no rows in rows\.parquet"):
        open_corpus(str(write(tmp_path / "rows.parquet", [])))


def test_a_hub_that_cannot_be_reached_says_what_to_do_instead() -> None:
    # A process of its own: the hub library keeps its session and its switches for ever.
    code = (
        "from openthoughts_cli.data.corpus import open_corpus\n"
        "from openthoughts_cli.errors import NetworkError\n"
        "try: open_corpus('open-thoughts/OpenThoughts3-1.2M')\n"
        "except NetworkError as error: print(error.message, '|', error.hint)\n"
    )
    with unreachable() as hub:
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0"},
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
    assert 1 <= hub.attempts <= 3  # the library may ask once more
    assert f"open-thoughts/OpenThoughts3-1.2M from {hub.url} failed" in done.stdout
    assert "--dataset sample" in done.stdout
