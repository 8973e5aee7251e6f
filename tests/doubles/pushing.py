"""`ot push` as a process of its own, against a hub over HTTP that takes commits: two fixtures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from tests.doubles.dataset_hub import TOKEN, DatasetHub, dataset_hub

__all__ = ["Push", "hub", "push"]

Push: TypeAlias = Callable[..., tuple[int, dict[str, Any], str]]
"""Called with the command's arguments; the exit code, the record on stdout, and stderr."""

_REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def hub(tmp_path: Path) -> Generator[DatasetHub]:
    with dataset_hub({}) as hub:
        hub.root = tmp_path / "served"
        yield hub


@pytest.fixture
def push(hub: DatasetHub, tmp_path: Path) -> Push:
    """Pushes from `tmp_path`; `OT_RUNS` and the like are those of the test."""

    def call(*arguments: Any, token: str = TOKEN, url: str | None = None) -> Any:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
        done = subprocess.run(
            [sys.executable, "-m", "openthoughts_cli", "push", *map(str, arguments), "--json"],
            cwd=tmp_path,
            env={
                **kept,
                "PYTHONPATH": str(_REPOSITORY),
                "HF_ENDPOINT": url or hub.url,
                "HF_HOME": str(tmp_path / "home"),
                "OT_CACHE": str(tmp_path / "cache"),
                "HF_TOKEN": token,
                "HF_HUB_DISABLE_XET": "1",
            },
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return done.returncode, json.loads(done.stdout or "{}"), done.stderr

    return call
