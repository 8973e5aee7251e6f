"""Turns of a mixture: monotone in the total, exact, and the fast way equals the plain one."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openthoughts_cli.data.mixture import seats
from openthoughts_cli.data.ranking import read_ranking, top_shares
from openthoughts_cli.errors import ConfigError, NotFoundError
from tests.doubles.rows import MATH, PHYSICS

SHARES = st.lists(st.floats(0.001, 1000).map(lambda x: round(x, 3)), min_size=1, max_size=6)


def _plainly(shares: list[float], total: int) -> list[int]:
    taken = [0] * len(shares)
    for _ in range(total):
        turn = min(range(len(shares)), key=lambda i: ((2 * taken[i] + 1) / shares[i], i))
        taken[turn] += 1
    return taken


@given(shares=SHARES, total=st.integers(0, 400))
def test_seats_are_those_of_turns_one_by_one(shares: list[float], total: int) -> None:
    found = seats(shares, total)
    assert sum(found) == total
    plain = _plainly(shares, total)
    # Where two turns are equal, floating point may give either part the seat.
    assert max(abs(a - b) for a, b in zip(found, plain, strict=True)) <= 1


@given(shares=SHARES, total=st.integers(0, 400))
def test_no_part_loses_when_the_total_grows(shares: list[float], total: int) -> None:
    before, after = seats(shares, total), seats(shares, total + 1)
    assert all(a <= b for a, b in zip(before, after, strict=True))


def test_equal_shares_differ_by_one_at_most_and_large_totals_are_quick() -> None:
    assert seats([0.5, 0.5], 7) == [4, 3]
    assert seats([1.0, 1.0, 1.0], 10**9) == [333333334, 333333333, 333333333]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("r.json", '["physics", "openmath", "codegolf"]'),
        ("r.yaml", "- physics\n- openmath\n- codegolf\n"),
        ("r.yml", "openmath: 0.4\nphysics: 0.9\ncodegolf: -1\n"),
        ("r.json", '[{"source": "openmath", "score": 1}, {"source": "physics", "score": 2}]'),
        ("r.csv", "source,score\nopenmath,0.2\nphysics,0.7\n"),
        ("r.csv", "physics\nopenmath\n"),
    ],
)
def test_rankings_in_every_form(tmp_path: Path, name: str, text: str) -> None:
    file = tmp_path / name
    file.write_text(text)
    assert read_ranking(file)[:2] == [PHYSICS, MATH]
    assert top_shares("top2", file) == {MATH: 0.5, PHYSICS: 0.5}
    assert top_shares("top1", file) == {PHYSICS: 1.0}
    with pytest.raises(ConfigError, match="mix top9 needs 9"):
        top_shares("top9", file)


@pytest.mark.parametrize(
    "text", ["", "7", "[]", "[1, 2]", "{", "- openmath\n- openmath", "a: b", "[{x: 1}]"]
)
def test_what_is_no_ranking_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "r.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError):
        read_ranking(file)
    with pytest.raises(NotFoundError):
        read_ranking(tmp_path / "none.yaml")
