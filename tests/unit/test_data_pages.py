"""A few texts out of their pages: those of pyarrow, or nothing."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from openthoughts_cli.data import parquet
from openthoughts_cli.data.corpus import open_corpus
from openthoughts_cli.data.parquet import read_few, read_some
from openthoughts_cli.data.raw_rows import RawRow
from openthoughts_cli.errors import DataError
from tests.doubles.rows import SCHEMA, record

FORMS: dict[str, dict[str, Any]] = {
    "as datasets writes": {"compression": "snappy"},
    "one page": {"compression": "none", "use_dictionary": False},
    "small pages": {"compression": "snappy", "data_page_size": 300, "write_batch_size": 8},
    "dictionary, then none": {
        "compression": "zstd",
        "dictionary_pagesize_limit": 500,
        "write_batch_size": 8,
        "data_page_size": 200,
    },
    "version 2": {"compression": "gzip", "data_page_version": "2.0", "data_page_size": 300},
    "version 2, unpacked": {"compression": "none", "data_page_version": "2.0"},
    "brotli": {"compression": "brotli", "write_page_index": True},
}


def _records(count: int) -> list[Any]:
    return [
        record(f"Question {i // 3}? \u00e9", f"<think>{'so ' * (i % 40)}</think>it is {i}")
        for i in range(count)
    ]


def _write(path: Path, records: list[Any], **form: Any) -> pq.ParquetFile:
    pq.write_table(pa.Table.from_pylist(records, SCHEMA), path, row_group_size=120, **form)
    return parquet.open_parquet(path, path.name)


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_any_rows_in_any_form(tmp_path: Path, form: dict[str, Any]) -> None:
    path = tmp_path / "rows.parquet"
    file = _write(path, _records(240), **form)
    for seed in range(20):
        rows = sorted(random.Random(seed).sample(range(120), 1 + seed))
        for group in (0, 1):
            found = read_few(file, path, group, rows)
            assert found == list(read_some(file, group, path.name, rows))


@pytest.mark.parametrize("compression", ["lz4", "snappy"])
def test_a_form_that_is_not_known_is_left_to_pyarrow(tmp_path: Path, compression: str) -> None:
    path = tmp_path / "rows.parquet"
    encoding = {"conversations.list.element.value": "DELTA_BYTE_ARRAY"}
    form = {"compression": compression, "use_dictionary": False}
    file = _write(path, _records(120), **form, column_encoding=encoding)
    assert read_few(file, path, 0, [3]) is None


def test_rows_of_other_numbers_of_turns_are_left_to_pyarrow(tmp_path: Path) -> None:
    records = _records(120)
    records[5]["conversations"] = records[5]["conversations"][:1]
    path = tmp_path / "rows.parquet"
    assert read_few(_write(path, records), path, 0, [3]) is None


def test_a_shift_that_the_footer_hides_is_caught_by_the_content(tmp_path: Path) -> None:
    records = _records(120)
    one, more = records[5]["conversations"], records[90]["conversations"]
    records[5]["conversations"], records[90]["conversations"] = one[:1], [*more, more[0]]
    path = tmp_path / "rows.parquet"
    file = _write(path, records)
    right = list(read_some(file, 0, path.name, [50]))
    assert read_few(file, path, 0, [50]) != right
    corpus = open_corpus(str(path))
    assert isinstance(right[0], RawRow)
    place = (0, 0, 50)
    assert list(corpus.fetch([place], {place: right[0].content})) == [(place, right[0])]


def test_damaged_pages_are_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    _write(path, _records(120)).close()
    whole = path.read_bytes()
    rows = [7, 80]
    right = list(read_some(parquet.open_parquet(path, "x"), 0, "x", rows))
    for seed in range(150):
        dice = random.Random(seed)
        data = bytearray(whole)
        data[dice.randrange(4, len(data) - 3000)] ^= 1 << dice.randrange(8)
        path.write_bytes(data)
        found = read_few(parquet.open_parquet(path, "x"), path, 0, rows)
        assert found is None or len(found) == len(right)


def test_another_row_than_was_meant_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    _write(path, _records(120)).close()
    corpus = open_corpus(str(path))
    with pytest.raises(DataError, match=r"rows\.parquet has changed while it was read"):
        list(corpus.fetch([(0, 0, 7)], {(0, 0, 7): 1}))
