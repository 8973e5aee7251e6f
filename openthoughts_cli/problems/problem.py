"""One question with its answer, and a chosen set of them with where it came from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from openthoughts_cli.digests import digest_value

__all__ = ["Problem", "ProblemSet", "choose", "stable_hash"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem of a benchmark.

    `answer` is what the benchmark's grader compares with. `group` is the part whose score is shown
    on its own (difficulty, subdomain; "" where there is none), `more_groups` others that it belongs
    to (platform). `data` is what else the prompt and the grader need.
    """

    id: str
    question: str
    answer: Any
    group: str = ""
    data: Mapping[str, Any] = field(default_factory=dict[str, Any])
    more_groups: tuple[str, ...] = ()

    def content_digest(self) -> str:
        """Digest of the question, its answer and its data (the id is a label)."""
        return digest_value([self.question, _plain(self.answer), _plain(dict(self.data))])


@dataclass(frozen=True, slots=True)
class ProblemSet:
    """The problems that an evaluation asks, and where they were read.

    `source` is a file's name, a hub id or "built in"; `revision` the hub's commit ("" elsewhere);
    `digest` covers the chosen problems, ids included; `total` counts those there were to choose
    from. `window` says what was kept (a range of dates) and `notes` what a reader should know.
    """

    problems: tuple[Problem, ...]
    source: str
    revision: str
    digest: str
    total: int = 0
    window: str = ""
    notes: tuple[str, ...] = ()


def stable_hash(*parts: str | int) -> int:
    """A 63-bit number that depends on the parts alone: BLAKE2b, never Python's own `hash`.

    Each part is hashed with its length before it, so that ("a", "bc") and ("ab", "c") differ.
    """
    state = hashlib.blake2b(digest_size=8)
    for part in parts:
        raw = str(part).encode("utf-8", "surrogatepass")
        state.update(len(raw).to_bytes(8, "big") + raw)
    return int.from_bytes(state.digest(), "big") >> 1


def choose(problems: Iterable[Problem], limit: int | None, seed: int) -> tuple[Problem, ...]:
    """The `limit` problems with the smallest hash of (seed, id), in the order given.

    The choice does not depend on the order of the problems, and a larger limit of the same seed
    contains a smaller one. `limit` None, or not below their number, keeps all.
    """
    everything = tuple(problems)
    if limit is None or limit >= len(everything):
        return everything
    ranked = sorted(everything, key=lambda problem: (stable_hash(seed, problem.id), problem.id))
    kept = {problem.id for problem in ranked[:limit]}
    return tuple(problem for problem in everything if problem.id in kept)


def _plain(value: Any) -> Any:
    """A JSON-like form of `value` for digests: tuples as lists, anything foreign as text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)
