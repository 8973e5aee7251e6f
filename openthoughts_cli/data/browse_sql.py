"""SQL over the rows of an index, read only: one SELECT over one table, and no file is ever read.

polars' SQL can read files (`read_csv('...')`) and make tables. Both are refused before anything is
planned, since planning already opens a file; the plan is looked at again before it runs.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from openthoughts_cli.data.browse import COUNTS, Browse
from openthoughts_cli.errors import ConfigError

__all__ = ["SQL_COLUMNS", "SQL_EXAMPLES", "Result", "query"]

SQL_COLUMNS: dict[str, str] = {
    "row": "the row's number here",
    "source": "text",
    "domain": "text",
    "difficulty": "a whole number; null for rows without a level",
    "tokens": "of the whole example, template and end-of-turn token included",
    "tokens_question": "of the question",
    "tokens_thinking": "up to and with </think>",
    "tokens_answer": "of what follows",
    "closed": "whether the answer has a </think>",
    "boxed": "whether it has a \\boxed",
    "control": "whether a text spells a control token",
    "answers": "rows that the row's question has",
    "question": "the text of the question",
}
"""The columns of the table `rows`."""
SQL_EXAMPLES = (
    "SELECT source, COUNT(*) AS rows, ROUND(AVG(tokens), 1) AS mean_tokens\n"
    "FROM rows GROUP BY source ORDER BY rows DESC",
    "SELECT row, tokens, question FROM rows\nWHERE tokens_thinking > 10 * tokens_answer AND closed\n"
    "ORDER BY tokens DESC",
)
_MOST_CHARS = 10_000
_QUOTED = re.compile(r"'(?:[^']|'')*'")
_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_STARTS = re.compile(r"\s*\(*\s*(SELECT|WITH)\b", re.IGNORECASE)
_READER = re.compile(r"\b(?:read|scan)_\w+", re.IGNORECASE)
_TRICKY = re.compile(r"--|/\*|[#$\\`\"]")
"""Whatever besides '...' can begin a comment, a text or a name. A query without any is cut exactly."""
_ONE_TABLE = "one SELECT over the one table, rows; a window or a subquery compares rows with others"
_PLAN_OF_FILES = re.compile(r"\bSCAN\b\s*\[", re.IGNORECASE)
_PLAN_OF_JOINS = re.compile(r"\b(INNER|LEFT|RIGHT|FULL|CROSS|NESTED LOOP|ASOF)\b[^\n]*\bJOIN\b")


class Result(NamedTuple):
    """What a query gave."""

    frame: Any
    """A polars DataFrame."""
    more: bool
    """Whether there were more rows than were asked for."""


def query(browse: Browse, sql: str, *, most_rows: int = 1_000) -> Result:
    """Run a query over the table `rows`, whose columns are `SQL_COLUMNS`.

    Args:
        browse: the rows.
        sql: one SELECT.
        most_rows: rows that are kept of the result.

    Raises:
        ConfigError: no SQL, no SELECT, an unknown column, a file, or a join.
    """
    import polars as pl

    _check(sql)
    try:
        with pl.SQLContext(rows=_table(browse)) as context:
            lazy = context.execute(sql.rstrip().rstrip(";"), eager=False)
            plan = lazy.explain(optimized=False)
            if _PLAN_OF_FILES.search(plan):
                raise ConfigError("a query may not read files", hint=_ONE_TABLE)
            if _PLAN_OF_JOINS.search(plan):
                raise ConfigError("tables cannot be joined here", hint=_ONE_TABLE)
            found = lazy.head(most_rows + 1).collect()
    except pl.exceptions.PolarsError as error:
        raise ConfigError(_said(error), hint=_remedy(error)) from None
    return Result(found.head(most_rows), found.height > most_rows)


def _check(sql: str) -> None:
    if len(sql) > _MOST_CHARS:
        raise ConfigError(
            f"the query has {len(sql):,} characters, and at most {_MOST_CHARS:,} are allowed",
            hint="shorten it",
        )
    if not sql.strip():
        raise ConfigError("there is no query", hint=SQL_EXAMPLES[0])
    # Texts first: what looks like a comment in them is none.
    bare = _COMMENT.sub(" ", _QUOTED.sub("''", sql))
    if not _STARTS.match(bare):
        raise ConfigError("only SELECT is allowed: the index is read only", hint=_ONE_TABLE)
    # polars opens a file while it plans, and its error may hold what stands in it. So the name of a
    # reader is let through only in a text, and only where nothing can be taken for a text that is none.
    if _READER.search(sql if _TRICKY.search(sql) else bare):
        raise ConfigError("a query may not read files", hint=_ONE_TABLE)


def _table(browse: Browse) -> Any:
    """The rows as a lazy frame over the columns that are in memory anyway; what a query does not
    name is not made."""
    import numpy as np
    import polars as pl

    kind = pl.Series("kind", browse.kind)
    names = ("source", "domain", "difficulty", "closed", "boxed", "control")
    kinds = pl.DataFrame(
        {name: [getattr(each, name) for each in browse.kinds] for name in names},
        schema={
            "source": pl.String,
            "domain": pl.String,
            "difficulty": pl.Int64,
            **dict.fromkeys(("closed", "boxed", "control"), pl.Boolean),
        },
    )
    columns: dict[str, Any] = {"row": np.arange(len(browse), dtype=np.int32), "kind": kind}
    columns["number"] = browse.question
    columns |= {name: browse.columns[name] for name in (*COUNTS, "answers")}
    # In 64 bits, as a sum over a million rows needs them.
    lazy = pl.DataFrame(columns).lazy().with_columns(pl.col(*COUNTS, "answers").cast(pl.Int64))
    lazy = lazy.with_columns(_looked_up(kinds[name], pl.col("kind")) for name in names)
    text = _looked_up(browse.questions.texts.alias("question"), pl.col("number"))
    return lazy.with_columns(text).select(list(SQL_COLUMNS))


def _looked_up(values: Any, codes: Any) -> Any:
    import polars as pl

    return pl.lit(values).gather(codes).alias(values.name)


def _said(error: Exception) -> str:
    """The first words of polars about a query, without its Rust structures."""
    text = " ".join(str(error).split("Resolved plan")[0].split("This error occurred")[0].split())
    text = re.sub(r"\b\w+\((?:\w+) \{.*", "", text).strip() or type(error).__name__
    return text[:300]


def _remedy(error: Exception) -> str:
    if "not found" in str(error) and "relation" in str(error):
        return "the table is called rows"
    columns = ", ".join(SQL_COLUMNS)
    return f"the table is called rows; its columns: {columns}"
