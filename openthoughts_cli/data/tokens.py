"""Exact token counts, from the same encoding that training uses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from openthoughts_cli.data.trace import split_trace

if TYPE_CHECKING:
    from openthoughts_cli.chat.renderer import Renderer

__all__ = ["CountColumns", "RendererCounter", "TokenCounter", "TokenCounts"]


class TokenCounts(NamedTuple):
    """Tokens of one example.

    `total` = template + `question` + `thinking` + `answer`, where the template's own tokens stand in
    the prompt around the question, and the end-of-turn token counts as part of the answer.
    """

    total: int
    question: int
    thinking: int
    answer: int


class CountColumns(NamedTuple):
    """The tokens of many rows, one array a part; entry i belongs to row i."""

    total: NDArray[np.int64]
    question: NDArray[np.int64]
    thinking: NDArray[np.int64]
    answer: NDArray[np.int64]
    control: NDArray[np.bool_]
    """Whether the row's question or answer spells a control token (`has_control`)."""

    def rows(self) -> list[TokenCounts]:
        """The same, row by row."""
        parts = (self.total, self.question, self.thinking, self.answer)
        return [TokenCounts(*row) for row in zip(*(part.tolist() for part in parts), strict=True)]


class TokenCounter(Protocol):
    """What choosing rows needs of a tokenizer: a faster way to count is another one of these."""

    @property
    def model(self) -> str:
        """Whose tokens these are, as asked for."""
        ...

    @property
    def digest(self) -> str:
        """Names tokenizer and template: equal digests give equal counts."""
        ...

    def has_control(self, text: str) -> bool:
        """Whether the text spells a control token."""
        ...

    def count(self, rows: Sequence[tuple[str, str]]) -> list[TokenCounts]:
        """The tokens of each (question, answer)."""
        ...

    def count_columns(
        self, questions: Any, answers: Any, *, at_most: int | None = None
    ) -> CountColumns:
        """The tokens of many rows, from two `pyarrow.LargeStringArray` of equal length.

        Both are without nulls and valid UTF-8. A fast counter reads their buffers and makes no
        Python object of a text.

        Where a row has more than `at_most` tokens in all, its counts may be of its beginning alone:
        `total` is then more than `at_most` and not more than the truth. `control` is always whole.
        """
        ...


class RendererCounter:
    """Counts with a renderer of `chat`: the very encoding that the trainer feeds."""

    def __init__(self, renderer: Renderer) -> None:
        self._renderer = renderer

    @property
    def model(self) -> str:
        return self._renderer.model

    @property
    def digest(self) -> str:
        return self._renderer.digest

    def has_control(self, text: str) -> bool:
        return bool(self._renderer.control_tokens_in(text))

    def count(self, rows: Sequence[tuple[str, str]]) -> list[TokenCounts]:
        cut = [(question, answer, len(split_trace(answer).thinking)) for question, answer in rows]
        return [
            TokenCounts(
                total=found.prompt + found.target,
                question=found.question,
                thinking=found.head,
                answer=found.target - found.head,
            )
            for found in self._renderer.measure(cut)
        ]

    def count_columns(
        self, questions: Any, answers: Any, *, at_most: int | None = None
    ) -> CountColumns:
        del at_most
        rows = list(zip(questions.to_pylist(), answers.to_pylist(), strict=True))
        counts = np.asarray(self.count(rows), dtype=np.int64).reshape(-1, 4)
        control = [any(map(self.has_control, row)) for row in rows]
        return CountColumns(*counts.T, control=np.asarray(control, dtype=np.bool_))
