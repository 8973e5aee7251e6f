"""What the metadata.json of a subset must look like before anything is shown or computed from it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, model_validator

__all__ = ["damage"]

_Count = Annotated[int, Field(ge=0, lt=2**53)]
_Counts = dict[str, _Count]


class _Shape(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")


class _File(_Shape):
    name: str
    rows: _Count


class _BadFile(_Shape):
    name: str
    reason: str


class _FirstLook(_Shape):
    files_read: _Count
    files_holding: _Count


class _Dataset(_Shape):
    asked_for: str
    kind: str
    revision: str | None
    files: list[_File]
    bad_files: list[_BadFile] = Field(default_factory=list[_BadFile])
    first_look: _FirstLook | None = None


class _Config(_Shape):
    seed: int
    max_tokens: _Count | None
    decontaminate: list[str] = Field(default_factory=list[str])


class _Tokenizer(_Shape):
    model: str
    digest: str


class _Bar(_Shape):
    low: _Count
    high: _Count
    rows: _Count


class _Points(_Shape):
    min: FiniteFloat
    p5: FiniteFloat
    p25: FiniteFloat
    p50: FiniteFloat
    p75: FiniteFloat
    p95: FiniteFloat
    max: FiniteFloat


class _Composition(_Shape):
    source: _Counts
    domain: _Counts
    difficulty: _Counts


class _Shares(_Shape):
    closed: FiniteFloat
    boxed: FiniteFloat


class _Figures(_Shape):
    rows: _Count
    questions: _Count
    copies: _Count
    total_tokens: _Count
    percentiles: dict[
        Literal["tokens", "tokens_question", "tokens_thinking", "tokens_answer"], _Points
    ]
    token_bars: list[_Bar]
    composition: _Composition
    shares: _Shares


class _Metadata(_Shape):
    digest: str
    request: str | None = None
    config: _Config
    dataset: _Dataset
    tokenizer: _Tokenizer
    funnel: dict[str, _Count | _Counts]
    figures: _Figures
    files: dict[str, str]

    @model_validator(mode="after")
    def _counts_of_the_funnel(self) -> _Metadata:
        counts = {name for name, value in self.funnel.items() if isinstance(value, int)}
        if missing := {"read", "chosen", "not_drawn"} - counts:
            raise ValueError(f"the funnel has no {', '.join(sorted(missing))}")
        if {*self.funnel} - counts != {"malformed_reasons"}:
            raise ValueError("malformed_reasons alone is more than a count")
        return self


def damage(metadata: dict[str, Any]) -> str | None:
    """What is wrong with the record, by key; None when it is as it was written."""
    try:
        _Metadata.model_validate(metadata)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
    return None
