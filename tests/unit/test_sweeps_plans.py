"""Every sweep under configs/sweeps/ can be planned: the small forms on the built-in rows, the full ones, cut
down, on rows made here in the schema of OpenThoughts3, without a key. tests/e2e/test_sweep_plans.py plans
the full ones as they stand, from a hub."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from openthoughts_cli.config.engine import EngineConfig
from openthoughts_cli.config.load import load_config
from openthoughts_cli.config.subset import DEFAULT_TOKENIZER
from openthoughts_cli.config.sweep import SweepConfig
from openthoughts_cli.config.train import TrainConfig
from openthoughts_cli.data.corpus import open_corpus
from openthoughts_cli.data.counter import open_counter
from openthoughts_cli.data.index import Index
from openthoughts_cli.data.index_build import build_index
from openthoughts_cli.engine.base import Engine, ModelInfo
from openthoughts_cli.events import Event, Listener, Notice
from openthoughts_cli.sweeps.plan import SweepPlan
from openthoughts_cli.sweeps.verb import run_sweep
from tests.doubles.memory_engine import MemoryEngine
from tests.doubles.open_thoughts import write_open_thoughts
from tests.e2e.test_eval_journeys import aime_rows, gpqa_rows, lcb_rows, write_rows

pytestmark = pytest.mark.slow

SWEEPS = Path(__file__).parents[2] / "configs" / "sweeps"
LOCAL = sorted(SWEEPS.glob("*.local.yaml"))
FULL = [file for file in sorted(SWEEPS.glob("*.yaml")) if file not in LOCAL]
_FEW_OF_7 = {"subset.answers_per_question": [1, 4, 16], "subset.questions": [32, 8, 2]}


def small_engine(config: EngineConfig, *, store: Path, listener: Listener) -> Engine:
    """Knows the small model, which the local engine would import torch for."""
    return MemoryEngine((ModelInfo("smollm2-135m", 8192),), vocab_size=49152)


def planned(file: Path, sets: list[str], warnings: list[str], **how: Any) -> SweepPlan:
    def hear(event: Event) -> None:
        if isinstance(event, Notice) and event.level == "warning":
            warnings.append(event.text)

    loaded = load_config(SweepConfig, file=file, sets=sets)
    result = run_sweep(loaded.config, files=loaded.files, dry_run=True, listener=hear, **how)
    assert result.status == "planned"
    plan = result.plan
    assert plan.name == file.stem
    assert plan.counts()["to_run"] == len(plan.cells) >= 8
    assert plan.held_out is not None
    assert plan.uncommon is None
    assert {cell.cell.seed for cell in plan.cells if cell.cell.baseline} == set(loaded.config.seeds)
    for cell in plan.cells:
        assert cell.planned is not None
        assert cell.planned.plan.steps > 0
    return plan


def rows_of(plan: SweepPlan) -> list[int]:
    return [cell.planned.plan.train_rows for cell in plan.cells if cell.planned is not None]


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All tokens are counted once for all tests."""
    return tmp_path_factory.mktemp("index")


@pytest.fixture(autouse=True)
def by_index(index: Path, monkeypatch: pytest.MonkeyPatch, own_places: None) -> None:
    monkeypatch.setenv("OT_INDEX", str(index))
    monkeypatch.setenv("OT_SUBSETS", str(index / "subsets"))  # some of these sweeps share theirs


@pytest.fixture(scope="module")
def sample_index(index: Path) -> None:
    index_of("sample", index)


def index_of(dataset: str, index: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OT_INDEX", str(index))
        counter = open_counter(DEFAULT_TOKENIZER)
        build_index(Index(open_corpus(dataset), counter.digest), counter, workers=1)


@pytest.mark.usefixtures("sample_index")
@pytest.mark.parametrize("file", LOCAL, ids=lambda file: file.stem)
def test_a_small_form_has_rows_enough_for_each_cell(file: Path) -> None:
    warnings: list[str] = []
    plan = planned(file, [], warnings, open_engine=small_engine)
    assert warnings == []
    # The same number of rows in each cell, but for those whose question is evaluated.
    assert min(rows_of(plan)) >= 0.85 * max(rows_of(plan))
    assert plan.train_tokens < 150_000  # minutes on two cores, as the file says


@pytest.fixture(scope="module")
def made_here(tmp_path_factory: pytest.TempPathFactory, index: Path) -> Callable[[Path], list[str]]:
    """What is set so that a full form reads rows and problems of this folder, and few of them."""
    root = tmp_path_factory.mktemp("open")
    rows = write_open_thoughts(root / "rows", questions=80)
    index_of(str(rows), index)
    problems = {"aime25": aime_rows(30), "gpqa": gpqa_rows(6), "livecodebench": lcb_rows(6)}
    data = {name: str(write_rows(root / f"{name}.jsonl", some)) for name, some in problems.items()}

    def sets(file: Path) -> list[str]:
        base = load_config(TrainConfig, file=SWEEPS.parent / "train" / "sweeps.yaml").config
        values = base.model_dump(mode="json", exclude_unset=True)
        for name, place in data.items():
            values["evals"][name]["data"] = place
        few = ["subset.limit=32"]
        if file.stem[0] == "5":
            few = ["subset.limit=300"]  # so many that each limit of tokens takes others
        elif file.stem[0] == "7":
            few = [f"zip={json.dumps(_FEW_OF_7)}"]
        places = [f"subset.dataset={rows}", f"held_out.dataset={rows}", "held_out.limit=10"]
        return [f"base={json.dumps(values)}", *places, *few]

    return sets


@pytest.mark.parametrize("file", FULL, ids=lambda file: file.stem)
def test_a_full_form_is_planned_without_a_key(
    file: Path, made_here: Callable[[Path], list[str]]
) -> None:
    warnings: list[str] = []
    plan = planned(file, made_here(file), warnings)
    (warning,) = warnings
    assert "planned without asking which models are served" in warning
    assert plan.costs_money
    assert plan.least_usd is not None and plan.most_usd is not None
    assert 0 < plan.least_usd < plan.most_usd
    assert min(rows_of(plan)) >= 0.5 * max(rows_of(plan))
    benchmarks = {name for cell in plan.cells for name in cell.config.evals}
    assert benchmarks == {"nll", "aime25", "gpqa", "livecodebench"}
