"""`ot config`: show, init, schema and diff, with their exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from openthoughts_cli.config.json_schema import json_schema
from openthoughts_cli.config.load import load_config
from openthoughts_cli.config.schema import VERBS
from openthoughts_cli.config.train import TrainConfig
from tests.conftest import CommandResult

Ot = Callable[..., CommandResult]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a.yaml"
    path.write_text("subset: demo\nepochs: 2\nengine: local\n")
    return path


@pytest.mark.parametrize("verb", VERBS)
def test_what_show_prints_loads_again_as_the_same(ot: Ot, verb: str, tmp_path: Path) -> None:
    done = ot("config", "show", verb)
    assert (done.code, done.err) == (0, "")
    saved = tmp_path / "shown.yaml"
    saved.write_text(done.out)
    again = ot("config", "show", verb, "--config", saved)
    assert again.out == done.out


def test_show_says_why(ot: Ot, file: Path) -> None:
    done = ot("config", "show", "train", "--config", file, "--set", "seed=3", "--why")
    assert done.code == 0
    lines = {line.split(":")[0]: line for line in done.out.splitlines()}
    assert lines["epochs"].endswith(f"# {file}:2:1")
    assert lines["  kind"].endswith(f"# {file}:3:1")
    assert lines["seed"].endswith("# --set seed=3")
    assert lines["batch_size"].endswith("# default")
    shown = file.with_name("why.yaml")
    shown.write_text(done.out)
    assert load_config(TrainConfig, file=shown, environ={}).config.seed == 3


def test_show_as_json_is_one_record(ot: Ot, file: Path) -> None:
    done = ot("config", "show", "train", "--config", file, "--json")
    record = json.loads(done.out)
    assert (done.code, record["kind"], record["verb"]) == (0, "config", "train")
    assert record["config"]["epochs"] == 2
    assert record["origins"]["epochs"] == {"kind": "file", "where": f"{file}:2:1"}


def test_show_without_a_required_key_says_so(ot: Ot) -> None:
    done = ot("config", "show", "train", "--why")
    first = done.out.splitlines()[0]
    assert first.startswith('subset: "<required>"')
    assert first.endswith("# required, not given")


def test_a_wrong_config_is_exit_2_on_stderr(ot: Ot, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("epochs: x\nsede: 3\n")
    done = ot("config", "show", "train", "--config", tmp_path / "bad.yaml", "--json")
    assert (done.code, done.out) == (2, "")
    assert "bad.yaml:1:1: epochs: expected a whole number" in done.err
    assert "bad.yaml:2:1: sede: unknown key; did you mean seed?" in done.err


def test_an_unknown_verb_is_exit_2(ot: Ot) -> None:
    for command in ("show", "init", "schema"):
        done = ot("config", command, "trian")
        assert (done.code, done.out) == (2, "")
        assert "did you mean train?" in done.err


def test_init_writes_a_file_that_loads_and_does_not_replace(ot: Ot, tmp_path: Path) -> None:
    path = tmp_path / "new" / "train.yaml"
    done = ot("config", "init", "train", "--output", path)
    assert (done.code, done.out) == (0, "")
    assert load_config(TrainConfig, file=path, environ={}).config.subset == "my-name"
    assert ot("config", "init", "train").out.splitlines()[1:] == path.read_text().splitlines()[1:]
    path.write_text("mine")
    again = ot("config", "init", "train", "--output", path)
    assert again.code == 1
    assert "exists" in again.err
    assert path.read_text() == "mine"
    assert ot("config", "init", "train", "--output", path, "--force").code == 0
    assert path.read_text() != "mine"


def test_schema_prints_json_alone(ot: Ot) -> None:
    done = ot("config", "schema", "eval")
    assert (done.code, done.err) == (0, "")
    assert json.loads(done.out) == json.loads(json.dumps(json_schema("eval")))


def test_diff_lists_what_differs(ot: Ot, file: Path, tmp_path: Path) -> None:
    other = tmp_path / "b.yaml"
    other.write_text("subset: demo\nepochs: 3\nengine: local\nevals: [nll]\n")
    done = ot("config", "diff", file, other, "--json")
    record = json.loads(done.out)
    assert (done.code, record["verb"]) == (0, "train")
    assert record["changes"]["epochs"] == {"a": 2, "b": 3}
    assert record["changes"]["evals.gpqa.limit"] == {"a": 50}
    assert "subset" not in record["changes"]
    shown = ot("config", "diff", file, other)
    assert "epochs" in shown.out
    assert "(absent)" in shown.out


def test_diff_of_equals_says_so(ot: Ot, file: Path) -> None:
    done = ot("config", "diff", file, file)
    assert done.code == 0
    assert "equal" in done.err


def test_diff_takes_a_run(ot: Ot, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = file.parent / "runs"
    monkeypatch.setenv("OT_RUNS", str(runs))
    (runs / "r1").mkdir(parents=True)
    record = json.loads(ot("config", "show", "train", "--config", file, "--json").out)
    (runs / "r1" / "config.json").write_text(json.dumps(record["config"]))
    done = ot("config", "diff", "r1", file, "--json")
    assert json.loads(done.out)["changes"] == {}
    missing = ot("config", "diff", "r2", file)
    assert missing.code == 2
    assert "neither a config file nor a run" in missing.err


def test_diff_that_cannot_tell_whose_configs_asks(ot: Ot, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text("seed: 1\n")
    args = ("config", "diff", tmp_path / "a.yaml", tmp_path / "b.yaml")
    done = ot(*args)
    assert done.code == 2
    assert "subset and train fit" in done.err
    assert ot(*args, "--verb", "train").code == 0
