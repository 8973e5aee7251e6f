"""A subset that is not there is told before an engine, with torch behind it, is opened."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from openthoughts_cli.config.train import TrainConfig
from openthoughts_cli.errors import NotFoundError
from openthoughts_cli.training.verb import Means, train_as_task


@pytest.mark.parametrize("key", ["subset", "held_out"])
def test_a_missing_subset_opens_no_engine(key: str, tmp_path: Path) -> None:
    opened: list[Any] = []

    def open_engine(*given: Any, **named: Any) -> Any:
        opened.append((given, named))
        raise AssertionError

    config = TrainConfig.model_validate({"subset": "not-there", "engine": "local", key: "neither"})
    with pytest.raises(NotFoundError, match=r"there is no subset (not-there|neither)"):
        asyncio.run(train_as_task(config, means=Means(open_engine=open_engine)))
    assert opened == []
