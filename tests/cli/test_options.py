"""Options that were left out must never hide a value of the config file."""

from __future__ import annotations

from openthoughts_cli.cli.options import given


def test_what_was_left_out_is_dropped_and_what_is_false_or_zero_stays() -> None:
    options = given(limit=None, source=[], seed=0, full=False, engine__base_url="http://x")
    assert options == {"seed": 0, "full": False, "engine.base_url": "http://x"}
