"""`ot report` as a command."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from tests.conftest import CommandResult
from tests.unit.test_report import run  # the fixture of a finished run

__all__ = ["run"]


def test_report_writes_the_page_and_says_where(
    ot: Callable[..., CommandResult], run: object, tmp_path: Path
) -> None:
    page = tmp_path / "deep" / "page.html"
    done = ot("report", tmp_path / "a-run", "--output", page, "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out) == {"kind": "report", "format": 1, "page": str(page)}
    assert page.read_text().startswith("<!doctype html>")


def test_a_run_that_does_not_exist_is_told(ot: Callable[..., CommandResult]) -> None:
    done = ot("report", "nothing")
    assert (done.code, done.out) == (2, "")
    assert "no run 'nothing'" in done.err
