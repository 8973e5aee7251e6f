"""A stop asked for while a run is planned starts nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from openthoughts_cli.config.engine import EngineConfig
from openthoughts_cli.config.subset import SubsetConfig
from openthoughts_cli.config.train import TrainConfig
from openthoughts_cli.data.subset import build_subset
from openthoughts_cli.errors import InterruptedByUser
from openthoughts_cli.places import runs_dir
from openthoughts_cli.training.plan import Plan
from openthoughts_cli.training.stop import StopRequest
from openthoughts_cli.training.verb import train
from tests.doubles.chat_models import chatml_folder
from tests.doubles.tiny_llama import save_tiny_llama

pytestmark = [pytest.mark.torch, pytest.mark.slow]


@pytest.fixture
def config(tmp_path: Path) -> TrainConfig:
    folder = tmp_path / "model"
    folder.mkdir()
    chatml_folder(folder)
    save_tiny_llama(folder, max_position_embeddings=4096)
    subset = build_subset(
        SubsetConfig(dataset="sample", source=("openmath",), limit=4, tokenizer=str(folder))
    )
    return TrainConfig(
        subset=str(subset.path), model=str(folder), engine=EngineConfig(kind="local"), evals={}
    )


def test_a_stop_before_the_question_asks_nothing(config: TrainConfig) -> None:
    asked: list[Plan] = []
    with pytest.raises(InterruptedByUser, match="before anything was started"):
        train(config, stop=StopRequest(requested=True), confirm=asked.append)
    assert asked == []
    assert not runs_dir().exists()


def test_a_stop_at_the_question_starts_nothing_whatever_the_answer(config: TrainConfig) -> None:
    stop = StopRequest()
    with pytest.raises(InterruptedByUser, match="before anything was started"):
        train(config, stop=stop, confirm=lambda plan: stop.request())
    assert not runs_dir().exists()
