"""Config files, values on the command line, rankings and grids: any text, and valid files spoilt."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from openthoughts_cli.config.base import ConfigModel
from openthoughts_cli.config.eval import EvalConfig
from openthoughts_cli.config.load import load_config
from openthoughts_cli.config.subset import SubsetConfig
from openthoughts_cli.config.sweep import SweepConfig
from openthoughts_cli.config.train import TrainConfig
from openthoughts_cli.config.yaml_file import parse_document, parse_value
from openthoughts_cli.data.ranking import read_ranking
from tests.fuzz.support import fuzz, only_ot_errors, run_ot, spoil, spoil_json

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[2]
MODELS: dict[str, type[ConfigModel]] = {
    "subset": SubsetConfig,
    "train": TrainConfig,
    "eval": EvalConfig,
    "sweep": SweepConfig,
}
SHIPPED = {
    "subset": REPOSITORY / "configs/subset/mixture.yaml",
    "train": REPOSITORY / "configs/train/reference.yaml",
    "eval": REPOSITORY / "configs/eval/reference.yaml",
}
seeds = st.integers(0, 2**32 - 1)
verbs = st.sampled_from(sorted(MODELS))

_PIECES = st.sampled_from(
    ["{", "}", "[", "]", ":", ": ", "- ", "&a ", "*a", "!!python/object/apply:os.system ", "!t ", "|\n",
     ">\n", "'", '"', "\n", "  ", "\t", "#", "? ", "<<: *a", "%YAML 1.1\n", "---\n", "...\n", "a", "b: 1",
     "extends: ", "seed: ", "1e5", "0x1F", ".inf", ".nan", "~", "null", "2026-01-01", "\\", "\x85", "\u2028",
     "\ufeff", "batch_size: ", "evals: {nll: {", "lora_rank: 32\n", "axes: {", "9" * 500]
)  # fmt: skip
texts = st.lists(_PIECES | st.text(max_size=6), max_size=14).map("".join)


@fuzz(40)
@given(text=texts, json_file=st.booleans())
@example(text="a: " * 300 + "1", json_file=False)
@example(text="[" * 199, json_file=False)
@example(text="[" * 200_000, json_file=True)
@example(text="a: &a [*a]", json_file=False)
@example(text="x: !!python/object/apply:os.system ['touch /tmp/ot-was-here']", json_file=False)
def test_any_text_is_a_config_or_is_refused(text: str, json_file: bool) -> None:
    data = text.encode("utf-8", "surrogatepass")
    with only_ot_errors("YAML and JSON texts"):
        document = parse_document(data, "x.json" if json_file else "x.yaml")
        assert isinstance(document.values, dict)
        assert {type(value) for value in _leaves(document.values)} <= _PLAIN
    with only_ot_errors("YAML and JSON texts"):
        assert {type(value) for value in _leaves(parse_value(text))} <= _PLAIN
    assert not Path("/tmp/ot-was-here").exists()


_PLAIN = {type(None), bool, int, float, str}


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in _leaves(item)]
    if isinstance(value, list):
        return [leaf for item in value for leaf in _leaves(item)]
    return [value]


def _shipped_values(verb: str) -> dict[str, Any]:
    if verb == "sweep":
        return {
            "name": "grid",
            "base": {"subset": "small", "epochs": 1},
            "axes": {"learning_rate": [1e-4, 1e-5], "lora_rank": [8, 32]},
            "zip": {"batch_size": [8, 16], "seed": [1, 2]},
            "include": [{"epochs": 2}],
            "exclude": [{"lora_rank": 8}],
            "seeds": [0, 1],
            "max_usd": 3.5,
        }
    return YAML(typ="safe", pure=True).load(SHIPPED[verb].read_text())


@fuzz(40)
@given(verb=verbs, seed=seeds, bytewise=st.booleans())
def test_a_spoilt_config_is_a_config_or_is_refused(
    tmp_path_factory: pytest.TempPathFactory, verb: str, seed: int, bytewise: bool
) -> None:
    rng = Random(seed)
    values = _shipped_values(verb)
    for _ in range(rng.randrange(1, 4)):
        values = spoil_json(rng, values)
    data = json.dumps(values).encode()
    if bytewise:
        data = spoil(rng, json.dumps(_shipped_values(verb), indent=1).encode())
    file = tmp_path_factory.mktemp("config") / rng.choice(["c.yaml", "c.json"])
    file.write_bytes(data)
    with only_ot_errors("config files"):
        loaded = load_config(MODELS[verb], file=file, environ={})
        assert isinstance(loaded.config, MODELS[verb])
        repeated = MODELS[verb].model_validate(loaded.config.model_dump(mode="json"))
        assert repeated == loaded.config  # what a run records repeats the run
        loaded.config.identity()


@fuzz(40)
@given(verb=verbs, key=st.text(max_size=12) | st.sampled_from(["seed", "evals.nll.n", "engine.kind", "name"]),
       value=texts)  # fmt: skip
def test_any_set_is_taken_or_refused(verb: str, key: str, value: str) -> None:
    with only_ot_errors("--set"):
        load_config(MODELS[verb], sets=[f"{key}={value}"], environ={})
    with only_ot_errors("environment"):
        name = f"OT_{verb.upper()}__{key.upper()}".replace("\0", "")
        load_config(MODELS[verb], environ={name: value.replace("\0", "")})


@fuzz(20)
@given(verb=verbs, seed=seeds)
def test_commands_say_what_is_wrong_with_a_spoilt_config(
    tmp_path_factory: pytest.TempPathFactory, verb: str, seed: int
) -> None:
    rng = Random(seed)
    place = tmp_path_factory.mktemp("config")
    file = place / "c.yaml"
    file.write_bytes(spoil(rng, json.dumps(_shipped_values(verb)).encode()))
    for command in (("config", "show", verb, file), ("config", "show", verb, file, "--json")):
        said = run_ot("commands on config files", *command, cache=place)
        assert said.code in (0, 1, 2)


@fuzz(40)
@given(seed=seeds, suffix=st.sampled_from([".yaml", ".json", ".csv"]), text=texts)
def test_any_file_is_a_ranking_or_is_refused(
    tmp_path_factory: pytest.TempPathFactory, seed: int, suffix: str, text: str
) -> None:
    rng = Random(seed)
    file = tmp_path_factory.mktemp("ranking") / f"r{suffix}"
    good: Any = {
        "ranking": [{"source": "openmath", "score": 0.5}, {"source": "physics", "score": 1}]
    }
    data = json.dumps(spoil_json(rng, good)).encode()
    file.write_bytes(rng.choice([data, spoil(rng, data), text.encode("utf-8", "replace")]))
    with only_ot_errors("rankings"):
        assert all(isinstance(name, str) for name in read_ranking(file))


@fuzz(40)
@given(seed=seeds)
def test_any_grid_expands_or_is_refused(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    grid = pytest.importorskip("openthoughts_cli.sweeps.grid")
    problems = pytest.importorskip("openthoughts_cli.sweeps.problems")
    rng = Random(seed)
    values = _shipped_values("sweep")
    for _ in range(rng.randrange(4)):
        part = rng.choice(["axes", "zip", "include", "exclude", "seeds"])
        values[part] = spoil_json(rng, values[part])
    file = tmp_path_factory.mktemp("grid") / "grid.yaml"
    file.write_text(json.dumps(values))
    with only_ot_errors("grids"):
        config = load_config(SweepConfig, file=file, environ={}).config
        noted = problems.Problems()
        recipes = grid.expand(config, noted)
        names = grid.recipe_names(recipes)
        assert len(set(names)) == len(recipes)
