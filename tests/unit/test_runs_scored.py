"""When an evaluation counts as done."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from openthoughts_cli.runs.layout import RunDirectory


@pytest.mark.parametrize(
    ("content", "is_scored"),
    [
        (json.dumps({"metrics": {"mean@1": 0.5, "errors": 0.0}}), True),
        (json.dumps({"metrics": {"mean": 1.25}}), True),
        (json.dumps({"metrics": {"mean@1": 0.5, "errors": 2.0}}), False),
        (json.dumps({"step": 3}), False),
        ("{broken", False),
        (None, False),
    ],
)
def test_scores_with_failed_requests_are_owed(
    tmp_path: Path, content: str | None, is_scored: bool
) -> None:
    run = RunDirectory(tmp_path)
    directory = run.eval_dir("arithmetic", 3)
    directory.mkdir(parents=True)
    if content is not None:
        (directory / "scores.json").write_text(content)
    assert run.is_scored("arithmetic", 3) is is_scored
