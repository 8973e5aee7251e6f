"""SQL over the index: what it gives, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from openthoughts_cli.data.browse import Browse
from openthoughts_cli.data.browse_sql import SQL_COLUMNS, SQL_EXAMPLES, query
from openthoughts_cli.errors import ConfigError
from tests.doubles.browsed import browsed


@pytest.fixture(scope="module")
def browse(tmp_path_factory: pytest.TempPathFactory) -> Browse:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OT_INDEX", str(tmp_path_factory.mktemp("index")))
        return browsed(tmp_path_factory.mktemp("data"))


def test_all_columns_are_there_with_their_values(browse: Browse) -> None:
    frame = query(browse, "SELECT * FROM rows ORDER BY row").frame
    assert set(SQL_COLUMNS) == set(frame.columns)
    assert frame.height == len(browse)
    first = frame.row(0, named=True)
    assert first["tokens"] == int(browse.columns["tokens"][0])
    assert first["question"] == browse.questions.text(int(browse.question[0]))
    assert set(frame["difficulty"]) == {None, 6, 7, 8}


@pytest.mark.parametrize("sql", SQL_EXAMPLES)
def test_the_examples_work(browse: Browse, sql: str) -> None:
    assert query(browse, sql).frame.width >= 3


def test_sums_do_not_overflow(browse: Browse) -> None:
    frame = query(browse, "SELECT SUM(tokens * 100000000) AS s FROM rows").frame
    assert frame["s"][0] == int(browse.columns["tokens"].sum()) * 100_000_000


def test_long_results_are_cut_and_that_is_said(browse: Browse) -> None:
    assert query(browse, "SELECT row FROM rows", most_rows=5).more
    short = query(browse, "SELECT row FROM rows LIMIT 5;", most_rows=5)
    assert short.frame.height == 5 and not short.more


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("", "there is no query"),
        ("   ;", "only SELECT"),
        ("selct 1", "only SELECT"),
        ("DROP TABLE rows", "only SELECT"),
        ("DELETE FROM rows", "only SELECT"),
        ("CREATE TABLE t AS SELECT * FROM rows", "only SELECT"),
        ("-- SELECT\nDROP TABLE rows", "only SELECT"),
        ("SELECT nope FROM rows", "nope"),
        ("SELECT * FROM other", "other"),
        ("SELECT a FROM", "sql"),
        ("SELECT * FROM rows; DROP TABLE rows", "one"),
        ("SELECT CAST(source AS INT) FROM rows", "conversion"),
        ("SELECT * FROM rows a JOIN rows b ON a.domain = b.domain", "joined"),
        ("SELECT * FROM rows a, rows b", "joined|multiple tables"),  # polars 1 says it itself
        ("SELECT * FROM rows CROSS JOIN rows b", "joined"),
        ("SELECT " + "1," * 9_000 + "1 FROM rows", "at most"),
    ],
)
def test_what_cannot_be_run_is_an_error_with_a_remedy(browse: Browse, sql: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        query(browse, sql)
    assert len(caught.value.message) <= 320
    assert "{" not in caught.value.message


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_csv('{}')",
        "SELECT * FROM READ_CSV ('{}')",
        "SELECT * FROM \"read_csv\"('{}')",
        "SELECT * FROM read_csv/**/('{}')",
        "SELECT * FROM read_csv -- '\n('{}')",
        "SELECT '--', * FROM read_csv('{}')",
        "SELECT '/*' AS a, * FROM read_csv('{}') WHERE '*/' = ''",
        'SELECT nope AS "/*" FROM read_csv(\'{}\') AS "*/"',
        "SELECT * FROM read_csv/* /* */ */('{}')",
        "SELECT nope, $$'$$ FROM read_csv('{}') WHERE '' = ''",
        "WITH a AS (SELECT * FROM read_csv('{}')) SELECT * FROM a",
        "SELECT * FROM rows WHERE source IN (SELECT * FROM read_csv('{}'))",
        "SELECT * FROM '{}'",
        'SELECT * FROM "{}"',
        "SELECT * FROM rows UNION ALL SELECT * FROM read_parquet('{}')",
    ],
)
def test_no_file_is_read(browse: Browse, tmp_path: Path, sql: str) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("the-secret-word\n1\n")
    with pytest.raises(ConfigError) as caught:
        query(browse, sql.replace("{}", str(secret)))
    assert "the-secret-word" not in f"{caught.value.message} {caught.value.hint}"


def test_a_text_may_name_a_reader(browse: Browse) -> None:
    sql = "SELECT row FROM rows WHERE question LIKE '%pandas.read_csv(%' AND source <> 'it''s'"
    assert query(browse, sql).frame.height == 0


def test_rows_are_the_same_after_any_query(browse: Browse) -> None:
    before = len(browse), int(browse.columns["tokens"].sum())
    query(browse, "SELECT tokens + 1 AS tokens FROM rows")
    assert (len(browse), int(browse.columns["tokens"].sum())) == before
