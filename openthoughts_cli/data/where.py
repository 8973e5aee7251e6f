"""`--where`: a SQL predicate over what is known of a row, as polars reads it.

A row's place (file, row group, number) is no column: a choice must not depend on it. For the same
reason a predicate speaks of one row alone; aggregates and windows are refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openthoughts_cli.data.tokens import CountColumns
from openthoughts_cli.errors import ConfigError

__all__ = ["WHERE_COLUMNS", "Where"]

WHERE_COLUMNS: dict[str, str] = {
    "source": "String",
    "domain": "String",
    "difficulty": "Int64",
    "tokens": "Int64",
    "tokens_question": "Int64",
    "tokens_thinking": "Int64",
    "tokens_answer": "Int64",
    "closed": "Boolean",
    "boxed": "Boolean",
}
"""The columns by name, each with its polars type."""
_OF_MANY_ROWS = frozenset({"Agg", "Over", "Window", "Len", "Rolling", "Shift"})


class Where:
    """A predicate that was checked."""

    def __init__(self, text: str) -> None:
        """Read and check a predicate.

        Raises:
            ConfigError: no SQL, an unknown column, no predicate, or one about many rows.
        """
        import polars as pl

        self.text = text
        columns = ", ".join(WHERE_COLUMNS)
        try:
            self._expression = pl.sql_expr(text)
            kind = self._frame({name: [] for name in WHERE_COLUMNS}).select(self._expression)
        except pl.exceptions.ColumnNotFoundError as error:
            unknown = str(error).partition(";")[0]
            raise ConfigError(
                f"--where {text!r}: {unknown}", hint=f"its columns: {columns}"
            ) from None
        except pl.exceptions.PolarsError as error:
            reason = " ".join(str(error).split())[:200]
            raise ConfigError(
                f"--where {text!r}: {reason}",
                hint=f"write a SQL predicate such as 'tokens_thinking > 4000'; columns: {columns}",
            ) from None
        if kind.dtypes != [pl.Boolean]:
            raise ConfigError(
                f"--where {text!r} is {', '.join(map(str, kind.dtypes))}, not true or false",
                hint="compare it with something",
            )
        tree = json.loads(self._expression.meta.serialize(format="json"))
        if of_many := _OF_MANY_ROWS & set(_words(tree)):
            raise ConfigError(
                f"--where {text!r} compares rows with each other ({', '.join(sorted(of_many))})",
                hint="a predicate may speak of one row alone, so that nothing depends on the others",
            )

    def holds(self, labels: Mapping[str, Any], counts: CountColumns) -> NDArray[np.bool_]:
        """Of each row whether the predicate is true; null is not true.

        Args:
            labels: source, domain, difficulty, closed and boxed, a sequence each.
            counts: tokens of the same rows.
        """
        values = {
            **labels,
            "tokens": counts.total,
            "tokens_question": counts.question,
            "tokens_thinking": counts.thinking,
            "tokens_answer": counts.answer,
        }
        frame = self._frame(values)
        found = frame.select(self._expression.fill_null(False).alias("it"))["it"].to_numpy()
        if len(found) != frame.height:  # a constant such as 1 = 1
            found = np.full(frame.height, bool(found[0]))
        return found.astype(np.bool_)

    def _frame(self, values: Mapping[str, Any]) -> Any:
        import polars as pl

        return pl.DataFrame(
            {name: values[name] for name in WHERE_COLUMNS},
            schema={name: getattr(pl, kind) for name, kind in WHERE_COLUMNS.items()},
        )


def _words(node: Any) -> Iterator[str]:
    """What the expression is made of: the names of its nodes, and the nodes that are only names.

    A column's name or a text in quotes is no part of that.
    """
    if isinstance(node, dict):
        for name, inner in node.items():
            yield name
            if name not in ("Column", "Literal"):
                yield from _words(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from _words(inner)
    elif isinstance(node, str):
        yield node
