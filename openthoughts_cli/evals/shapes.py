"""What stored scores and held-out rows must look like before anything is computed from them.

They are files: a disk may have failed, a person may have edited them, another may have sent them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, model_validator

from openthoughts_cli.errors import DataError
from openthoughts_cli.store import read_lines

__all__ = ["checked_scores", "held_out_lines"]

_Count = Annotated[int, Field(ge=0, lt=2**53)]


class _Shape(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")


class _Interval(_Shape):
    low: FiniteFloat
    high: FiniteFloat


class _Problem(_Shape):
    id: str
    answers: _Count
    correct: _Count

    @model_validator(mode="after")
    def _not_more_than_all(self) -> _Problem:
        if self.correct > self.answers:
            raise ValueError("more right answers than answers")
        return self


class _Scores(_Shape):
    metrics: dict[str, FiniteFloat] = Field(default_factory=dict[str, float])
    intervals: dict[str, list[_Interval]] = Field(default_factory=dict[str, list[_Interval]])
    problems: list[_Problem] = Field(default_factory=list[_Problem])
    config: dict[str, Any] | None = None


class _Line(_Shape):
    row_id: str
    question_id: str
    domain: str
    nats: FiniteFloat
    tokens: Annotated[int, Field(ge=1, lt=2**53)]
    bytes: Annotated[int, Field(ge=1, lt=2**53)]
    thinking_nats: FiniteFloat | None
    thinking_tokens: _Count

    @model_validator(mode="after")
    def _thought_of(self) -> _Line:
        if self.thinking_tokens and self.thinking_nats is None:
            raise ValueError("tokens of thinking without their nats")
        return self


def checked_scores(path: Path, record: dict[str, Any]) -> dict[str, Any]:
    """The record of scores.json, as it is.

    Raises:
        DataError: metrics, intervals or problems are not what was written; says where.
    """
    try:
        _Scores.model_validate(record)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise DataError(
            f"{path} is damaged: {place}: {first['msg']}",
            hint="run the evaluation again; recorded answers are not asked anew",
        ) from error
    return record


def held_out_lines(path: Path) -> dict[str, dict[str, Any]]:
    """The lines of nll's rows.jsonl by row, the newest of each; a line of another form is left out."""
    return {line["row_id"]: line for line in read_lines(path) if _is_line(line)}


def _is_line(line: Mapping[str, Any]) -> bool:
    try:
        _Line.model_validate(line)
    except ValidationError:
        return False
    return True
