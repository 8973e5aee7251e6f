"""What a wrong config prints: the place, the key, what was given, what is expected, an example."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from openthoughts_cli.config.base import ConfigModel
from openthoughts_cli.config.eval import EvalConfig
from openthoughts_cli.config.load import load_config
from openthoughts_cli.config.subset import SubsetConfig
from openthoughts_cli.config.train import TrainConfig
from openthoughts_cli.errors import ConfigError


def complaint(model: type[ConfigModel], *sets: str, file: Path | None = None) -> str:
    needed = {"subset": "demo"} if model is TrainConfig else {}
    with pytest.raises(ConfigError) as caught:
        load_config(model, file=file, sets=sets, options=needed, environ={})
    return caught.value.message


def test_all_problems_come_at_once_each_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(
        "learning_raet: 1e-5\n"
        'batch_size: "32"\n'
        "lora_rank: 33\n"
        "source: openmath\n"
        "engine: {kind: locl, devise: 3}\n"
        "evals: {nll: {evry: 2}, aime25: 7}\n"
        "epochs: 1\n"
        "epochs: 2\n"
    )
    lines = complaint(TrainConfig, "save_every=-1", file=file).splitlines()
    assert lines[0] == "10 problems in the config:"
    text = "\n".join(line.strip() for line in lines[1:])
    for where, what in [
        ("8:1", "epochs: the key is there twice, first on line 7; keep one"),
        ("1:1", "learning_raet: unknown key; did you mean learning_rate?"),
        ("2:1", "batch_size: expected a whole number, at least 1, got the text '32': leave out"),
        ("3:1", "lora_rank: 33 is not a power of two: try 32 or 64"),
        ("4:1", "source: unknown key; this key belongs to `ot subset`"),
        ("5:10", "engine.kind: expected one of auto, tinker, local, got the text 'locl': did you"),
        ("5:22", "engine.devise: unknown key; did you mean engine.device?"),
        ("6:15", "evals.nll.evry: unknown key; did you mean evals.nll.every?"),
        ("6:25", "evals.aime25: expected a mapping of settings, got 7"),
    ]:
        assert f"{file}:{where}: {what}" in text
    places = [int(found) for found in re.findall(r"bad\.yaml:(\d+):\d+: ", text)]
    assert places[0] == 8, "a key that is there twice is seen first"
    assert places[1:] == sorted(places[1:]), "the others stand in the order of the file"
    assert "--set save_every=-1: save_every: expected a whole number, at least 0, got -1" in text


@pytest.mark.parametrize(
    ("key", "what"),
    [
        ("lr", "here it is called learning_rate"),
        ("benchmarks", "here it is called evals"),
        ("device", "did you mean engine.device?"),
        ("batch-size", "did you mean batch_size?"),
        ("Epochs", "did you mean epochs?"),
        ("checkpoint", "this key belongs to `ot eval`"),
        ("dataset", "this key belongs to `ot subset`"),
        ("axes", "this key belongs to `ot sweep`"),
        ("qqqq", "unknown key, and no key is like it"),
        ("engine.device", "in a file it is nested: `engine: {device: ...}`"),
    ],
)
def test_an_unknown_key_says_what_was_meant(tmp_path: Path, key: str, what: str) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(f"{key}: 1\n")
    message = complaint(TrainConfig, file=file)
    assert message.startswith(f"{file}:1:1: {key}: ")
    assert what in message


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("epochs=true", "expected a whole number, at least 1, got true; for example `epochs: 5`"),
        ("epochs=1.5", "got 1.5"),
        ("epochs=null", "got nothing (null)"),
        ("epochs=[1]", "got a list"),
        ("epochs={a: 1}", "got a mapping"),
        ("epochs.a=1", "got a mapping"),
        ("epochs=.inf", "got inf"),
        ("lora_attn=1", "expected true or false, got 1"),
        ("lora_attn=on", "expected true or false, got the text 'on'"),
        ("learning_rate=fast", "expected a number or auto, got the text 'fast'"),
        ("learning_rate=-1", "must be above 0"),
        ("train_split=1.1", "expected a number, above 0, at most 1, got 1.1"),
        ("wandb=3", "wandb: expected a mapping, got 3"),
        ("evals.gpqa.k=[1, x]", "evals.gpqa.k[1]: expected a list of whole numbers, and item 2"),
        ("evals.gpqa.k=9", "pass@9 needs at least 9 answers a problem, and n is 7"),
        ("evals.nll.n=3", "nll draws no samples, so n cannot apply to it"),
        ("x", "expected key=value"),
        ("=3", "expected key=value"),
        ("a..b=3", "expected key=value"),
        ("engine.device=[", "broken YAML"),
        ("run_name=../up", "is not a usable name"),
    ],
)
def test_a_wrong_value_says_what_is_expected(text: str, what: str) -> None:
    message = complaint(TrainConfig, text)
    assert message.startswith(f"--set {text}: ")
    assert what in message
    for jargon in ("pydantic", "Value error", "Input should", "type=", "Field required"):
        assert jargon not in message


def test_a_rule_over_several_keys_has_the_place_of_one(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("limit: 3\nsource: openmth\n")
    assert complaint(SubsetConfig, file=file).startswith(
        f"{file}:2:1: unknown source 'openmth' (did you mean openmath?)"
    )


def test_a_missing_key_says_how_to_give_it(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("epochs: 3\n")
    with pytest.raises(ConfigError) as caught:
        load_config(TrainConfig, file=file, environ={})
    assert caught.value.message == (
        f"{file}: subset: it is required (text): write `subset: my-name` or give "
        "`--set subset=my-name`"
    )
    assert "ot config init train" in (caught.value.hint or "")


def test_a_wrong_variable_is_named() -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(EvalConfig, environ={"OT_EVAL__MODL": "x"})
    assert caught.value.message == "OT_EVAL__MODL: modl: unknown key; did you mean model?"
    with pytest.raises(ConfigError, match="OT_EVAL__: expected a key after OT_EVAL__"):
        load_config(EvalConfig, environ={"OT_EVAL__": "x"})


def test_a_number_where_text_belongs_is_to_be_quoted(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("name: 12\n")
    assert 'got 12: put it in quotes, `name: "12"`' in complaint(SubsetConfig, file=file)


def test_merge_keys_point_to_extends(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("x: &x {limit: 3}\n<<: *x\n")
    assert "extends:" in complaint(SubsetConfig, file=file)
