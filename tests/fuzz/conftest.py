"""A real subset and a real, finished run, made once; tests spoil copies of them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.doubles.rows import many, record, write
from tests.doubles.tiny_llama import save_tiny_llama
from tests.doubles.tokenizer import byte_model
from tests.fuzz.support import run_ot


@dataclass(frozen=True, slots=True)
class Home:
    """Where the real things are: data/rows.parquet, subsets/small, runs/first, runs/second."""

    path: Path

    @property
    def data(self) -> Path:
        return self.path / "data" / "rows.parquet"

    @property
    def model(self) -> Path:
        return self.path / "model"

    @property
    def cache(self) -> Path:
        return self.path / "cache"


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A corpus of 60 rows, a subset of 20, and two runs of one step with an evaluation of each kind."""
    made = Home(tmp_path_factory.mktemp("fuzz"))
    write(made.data, [*many(50), *(record(f"Hard {i}", difficulty=i) for i in range(10))])
    save_tiny_llama(byte_model(made.model), vocab_size=258, max_position_embeddings=2048)
    kept = {name: os.environ.get(name) for name in ("OT_RUNS", "OT_SUBSETS")}
    os.environ["OT_RUNS"] = str(made.path / "runs")
    os.environ["OT_SUBSETS"] = str(made.path / "subsets")
    try:
        commands = [
            ("subset", "--dataset", made.data, "--tokenizer", made.model, "--limit", 20, "--name", "small"),
            *(
                (
                    *("train", "--subset", "small", "--engine", "local", "--model", made.model),
                    *("--batch-size", 16, "--epochs", 1, "--run-name", name, "--seed", seed),
                    *("--set", "evals={nll: {at_start: true}, arithmetic: {at_start: true, "
                      "limit: 3, n: 2, max_tokens: 4}}", "--set", "wandb.mode=disabled"),
                )
                for name, seed in (("first", 0), ("second", 1))
            ),
        ]  # fmt: skip
        for command in commands:
            said = run_ot("none", *command, cache=made.cache)
            assert said.code == 0, said.err
    finally:
        for name, value in kept.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
    return made
