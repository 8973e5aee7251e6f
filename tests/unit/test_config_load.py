"""The one order of a config's sources, how they merge, and where each value is said to be from."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openthoughts_cli.config.eval import EvalConfig
from openthoughts_cli.config.load import Origin, load_config, resolved_values
from openthoughts_cli.config.subset import SubsetConfig
from openthoughts_cli.config.train import TrainConfig
from openthoughts_cli.errors import ConfigError


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def load_train(*sets: str, file: Path | None = None, **more: Any) -> Any:
    more.setdefault("environ", {})
    more.setdefault("options", {"subset": "demo"})
    return load_config(TrainConfig, file=file, sets=sets, **more)


def test_defaults_are_the_reference_recipe() -> None:
    config = load_train().config
    assert (config.batch_size, config.learning_rate, config.epochs) == (32, 1e-5, 5)
    assert (config.lora_rank, config.train_split, config.curriculum_mode) == (32, 0.9, "none")
    assert {name: item.every for name, item in config.evals.items()} == {
        "nll": 5,
        "aime25": 10,
        "gpqa": 10,
        "livecodebench": 10,
    }
    assert {item.n for item in config.evals.values()} == {7}


def test_each_source_wins_over_the_one_before(tmp_path: Path) -> None:
    write(tmp_path / "base.yaml", "seed: 1\nepochs: 1\nbatch_size: 1\nlora_rank: 1\nmax_steps: 1\n")
    file = write(
        tmp_path / "run.yaml",
        "extends: base.yaml\nepochs: 2\nbatch_size: 2\nlora_rank: 2\nmax_steps: 2\n",
    )
    loaded = load_train(
        "max_steps=5",
        file=file,
        environ={
            "OT_TRAIN__BATCH_SIZE": "3",
            "OT_TRAIN__LORA_RANK": "4",
            "OT_TRAIN__MAX_STEPS": "3",
        },
        options={"subset": "demo", "lora_rank": 8, "max_steps": 4},
    )
    config, origins = loaded.config, loaded.origins
    assert config.save_every == 20
    assert (config.seed, config.epochs, config.batch_size) == (1, 2, 3)
    assert (config.lora_rank, config.max_steps) == (8, 5)
    assert origins["save_every"] == Origin("default")
    assert origins["seed"] == Origin("file", f"{tmp_path / 'base.yaml'}:1:1")
    assert origins["epochs"] == Origin("file", f"{file}:2:1")
    assert origins["batch_size"] == Origin("environment", "OT_TRAIN__BATCH_SIZE")
    assert origins["lora_rank"] == Origin("option", "--lora-rank")
    assert origins["max_steps"] == Origin("set", "--set max_steps=5")
    assert loaded.files == (file, tmp_path / "base.yaml")


def test_places_of_this_machine_are_not_config_keys() -> None:
    environ = {"OT_CACHE": "/c", "OT_RUNS": "/r", "OT_SUBSETS": "/s", "OT_JOBS": "2"}
    other = {"OT_EVAL__MODEL": "x", "OT_TRAINER": "x"}
    assert load_train(environ={**environ, **other}).config == load_train().config


def test_the_environment_reaches_into_sections() -> None:
    config = load_train(environ={"OT_TRAIN__ENGINE__DEVICE": "cpu"}).config
    assert config.engine.device == "cpu"


def test_extends_chains_relative_to_each_file_and_takes_lists(tmp_path: Path) -> None:
    write(tmp_path / "a" / "root.yaml", "seed: 1\nepochs: 1\n")
    write(tmp_path / "a" / "mid.yaml", "extends: root.yaml\nepochs: 2\n")
    write(tmp_path / "other.yaml", "epochs: 3\nbatch_size: 3\n")
    file = write(tmp_path / "b" / "top.yaml", "extends: [../a/mid.yaml, ../other.yaml]\n")
    config = load_train(file=file).config
    assert (config.seed, config.epochs, config.batch_size) == (1, 3, 3)


def test_extends_in_a_circle_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.yaml", "extends: b.yaml\n")
    write(tmp_path / "b.yaml", "seed: 1\nextends: a.yaml\n")
    with pytest.raises(ConfigError) as caught:
        load_train(file=tmp_path / "a.yaml")
    assert caught.value.message == (
        f"{tmp_path / 'b.yaml'}:2:1: extends: the files extend each other in a circle: "
        "a.yaml -> b.yaml -> a.yaml"
    )


def test_extends_of_a_file_that_is_missing_or_of_no_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"a\.yaml:1:1: extends: there is no file .*gone\.yaml"):
        load_train(file=write(tmp_path / "a.yaml", "extends: gone.yaml"))
    with pytest.raises(ConfigError, match="extends: expected a file name"):
        load_train(file=write(tmp_path / "b.yaml", "extends: 3"))


def test_sections_merge_and_lists_replace(tmp_path: Path) -> None:
    write(tmp_path / "base.yaml", "source: [openmath, physics]\n")
    file = write(tmp_path / "top.yaml", "extends: base.yaml\nsource: [chemistry]\n")
    assert load_config(SubsetConfig, file=file, environ={}).config.source == (
        "organic-chemistry-questions",
    )
    write(tmp_path / "e.yaml", "engine: {kind: local, device: cpu}\n")
    file = write(tmp_path / "t.yaml", "extends: e.yaml\nengine: {dtype: float32}\n")
    engine = load_train(file=file).config.engine
    assert (engine.kind, engine.device, engine.dtype) == ("local", "cpu", "float32")


def test_the_short_form_of_a_section_leaves_its_neighbours(tmp_path: Path) -> None:
    file = write(tmp_path / "a.yaml", "engine: {kind: local, device: cpu}\n")
    engine = load_train("engine=tinker", file=file).config.engine
    assert (engine.kind, engine.device) == ("tinker", "cpu")
    loaded = load_train(file=file, options={"subset": "demo", "engine": "tinker"})
    assert (loaded.config.engine.kind, loaded.config.engine.device) == ("tinker", "cpu")
    assert loaded.origins["engine.kind"] == Origin("option", "--engine")


def test_a_file_that_names_benchmarks_replaces_the_default_list(tmp_path: Path) -> None:
    file = write(tmp_path / "a.yaml", "evals:\n  nll: {every: 2}\n")
    assert list(load_train(file=file).config.evals) == ["nll"]
    child = write(tmp_path / "b.yaml", "extends: a.yaml\nevals:\n  arithmetic:\n")
    evals = load_train(file=child).config.evals
    assert {name: item.every for name, item in evals.items()} == {"nll": 2, "arithmetic": None}


def test_a_benchmark_that_is_only_named_keeps_its_settings_and_their_origins(
    tmp_path: Path,
) -> None:
    file = write(tmp_path / "a.yaml", "evals: {nll: {every: 2}, gpqa: {limit: 3}}\n")
    child = write(tmp_path / "b.yaml", "extends: a.yaml\nevals: [nll, aime25]\n")
    for loaded in (
        load_train(file=child),
        load_train("evals=[nll, aime25]", file=file),
        load_train("evals.nll=true", "evals.gpqa=false", "evals.aime25=null", file=file),
        load_train(file=file, options={"subset": "demo", "evals": ["nll", "aime25"]}),
    ):
        evals = loaded.config.evals
        assert {name: item.every for name, item in evals.items()} == {"nll": 2, "aime25": 10}
        assert loaded.origins["evals.nll.every"] == Origin("file", f"{file}:1:15")
        assert loaded.origins["evals.aime25.every"].kind == "default"


def test_a_section_set_whole_forgets_what_was_below(tmp_path: Path) -> None:
    file = write(tmp_path / "a.yaml", "engine: {kind: local, device: cpu}\n")
    loaded = load_train("engine={dtype: float32}", file=file)
    assert loaded.config.engine.device == "auto"
    assert loaded.origins["engine.device"].kind == "default"
    assert loaded.origins["engine.dtype"].kind == "set"


def test_set_changes_a_benchmark_within_whatever_is_there(tmp_path: Path) -> None:
    evals = load_train("evals.nll.every=1").config.evals
    assert {name: item.every for name, item in evals.items()} == {
        "nll": 1,
        "aime25": 10,
        "gpqa": 10,
        "livecodebench": 10,
    }
    file = write(tmp_path / "a.yaml", "evals: [nll]\n")
    evals = load_train("evals.nll.every=1", file=file).config.evals
    assert {name: item.every for name, item in evals.items()} == {"nll": 1}


def test_a_benchmark_is_left_out_or_the_list_replaced() -> None:
    assert "gpqa" not in load_train("evals.gpqa=false").config.evals
    assert list(load_train("evals.arithmetic=true").config.evals)[-1] == "arithmetic"
    assert load_train("evals={}").config.evals == {}
    assert list(load_train("evals=[nll, arithmetic]").config.evals) == ["nll", "arithmetic"]
    config = load_config(EvalConfig, options={"benchmarks": ["arithmetic"]}, environ={}).config
    assert list(config.benchmarks) == ["arithmetic"]


def test_a_text_key_keeps_a_number_as_its_text() -> None:
    assert load_train("run_name=007").config.run_name == "007"
    assert load_train("model=null").config.model is None
    assert load_train(environ={"OT_TRAIN__RUN_NAME": "1e5"}).config.run_name == "1e5"
    config = load_config(SubsetConfig, sets=["output_dir=2026"], environ={}).config
    assert config.output_dir == Path("2026")


def test_options_may_hold_paths_tuples_and_lists(tmp_path: Path) -> None:
    config = load_config(
        SubsetConfig,
        options={"output_dir": tmp_path, "source": ("openmath",), "domain": ["math"]},
        environ={},
    ).config
    assert config.output_dir == tmp_path
    assert config.source == ("ai2-adapt-dev/openmath-2-math",)


def test_stdin_is_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"epochs: 9\n")))
    loaded = load_train(file=Path("-"))
    assert loaded.config.epochs == 9
    assert loaded.origins["epochs"] == Origin("file", "<stdin>:1:1")


def test_every_key_has_an_origin() -> None:
    loaded = load_train("evals.nll.every=1")
    assert loaded.origins["evals.nll.every"].kind == "set"
    assert loaded.origins["evals.gpqa.every"].kind == "default"
    assert loaded.origins["wandb.project"].kind == "default"


def test_a_required_key_can_be_left_open_to_show_a_config() -> None:
    loaded = load_config(TrainConfig, environ={}, fill_required=True)
    assert loaded.config.subset == "<required>"
    assert loaded.origins["subset"] == Origin("default", "required, not given")


NAMES = st.text("abcdefgh123", min_size=1, max_size=8)
BENCHMARKS = st.fixed_dictionaries(
    {},
    optional={
        "every": st.integers(1, 50),
        "n": st.integers(3, 9),
        "k": st.lists(st.integers(1, 3), min_size=1, max_size=3),
        "limit": st.none() | st.integers(1, 99),
        "temperature": st.floats(0, 2),
        "data": st.none() | NAMES,
    },
)
TRAIN_VALUES = st.fixed_dictionaries(
    {"subset": NAMES},
    optional={
        "learning_rate": st.floats(1e-9, 1) | st.just("auto"),
        "batch_size": st.integers(1, 512),
        "lora_rank": st.sampled_from([1, 2, 64, 128]),
        "curriculum_mode": st.sampled_from(["none", "easy_to_hard"]),
        "engine": st.sampled_from(["local", {"kind": "local", "store": "a/b"}]),
        "evals": st.dictionaries(NAMES, BENCHMARKS, max_size=3),
        "lora_attn": st.booleans(),
        "max_usd": st.none() | st.floats(0.01, 100),
    },
)


@given(TRAIN_VALUES)
def test_a_saved_config_reruns_what_it_records(values: dict[str, Any]) -> None:
    config = TrainConfig.model_validate(values)
    text = json.dumps(resolved_values(config))
    saved = io.TextIOWrapper(io.BytesIO(text.encode()))
    stdin, sys.stdin = sys.stdin, saved
    try:
        loaded = load_config(TrainConfig, file=Path("-"), environ={})
    finally:
        sys.stdin = stdin
    assert loaded.config == config
    assert loaded.config.identity() == config.identity()


def test_a_saved_default_config_reloads_from_its_file(tmp_path: Path) -> None:
    config = load_train().config
    file = write(tmp_path / "config.json", json.dumps(resolved_values(config), indent=2))
    assert load_config(TrainConfig, file=file, environ={}).config == config


def test_an_option_of_the_same_name_is_named_once() -> None:
    with pytest.raises(ConfigError, match=r"^--limit: expected a whole number"):
        load_config(SubsetConfig, options={"limit": 0})
