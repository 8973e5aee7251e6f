"""The sources and domains of OpenThoughts3, with the short names that people type."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

__all__ = ["DEFAULT_DATASET", "DOMAINS", "SAMPLE_DATASET", "SOURCES", "Domain", "Source"]

DEFAULT_DATASET = "open-thoughts/OpenThoughts3-1.2M"
SAMPLE_DATASET = "sample"

Domain: TypeAlias = Literal["code", "math", "science"]
DOMAINS: tuple[Domain, ...] = ("code", "math", "science")


class Source(NamedTuple):
    """One source: the short name, the name in the rows' `source` column, its domain, its rows.

    Row counts: the data set card of open-thoughts/OpenThoughts3-1.2M.
    """

    short: str
    full: str
    domain: Domain
    rows: int


SOURCES: tuple[Source, ...] = (
    Source("openmath", "ai2-adapt-dev/openmath-2-math", "math", 850_000),
    Source("opencode", "nvidia/OpenCodeReasoning", "code", 125_840),
    Source("codegolf", "stackexchange_codegolf", "code", 124_160),
    Source("chemistry", "organic-chemistry-questions", "science", 59_904),
    Source("physics", "stackexchange-physics", "science", 40_096),
)
