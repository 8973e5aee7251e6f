"""What the models say about themselves: keys, starters, JSON Schema, shipped configs."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from openthoughts_cli.config.json_schema import json_schema
from openthoughts_cli.config.load import flat_values, load_config, resolved_values
from openthoughts_cli.config.schema import KNOWN_BENCHMARKS, VERBS, walk_fields
from openthoughts_cli.config.text import starter
from openthoughts_cli.config.yaml_file import parse_document, parse_value

REPO = Path(__file__).parents[2]
SUBSET = "openthoughts_all_domains_openmath_t8192_n100"
FOLDERS = {"subset": "subset", "train": "train", "eval": "eval", "sweeps": "sweep"}


def shipped() -> list[Path]:
    found = [path for path in (REPO / "configs").rglob("*") if path.suffix in (".yaml", ".yml")]
    return sorted(found)


@pytest.mark.parametrize("path", shipped(), ids=lambda path: path.name)
def test_every_shipped_config_loads(path: Path) -> None:
    verb = FOLDERS[path.relative_to(REPO / "configs").parts[0]]
    loaded = load_config(VERBS[verb], file=path, environ={})
    assert "<required>" not in json.dumps(resolved_values(loaded.config))


@pytest.mark.parametrize("path", shipped(), ids=lambda path: path.name)
def test_every_shipped_config_names_its_schema(path: Path) -> None:
    verb = FOLDERS[path.relative_to(REPO / "configs").parts[0]]
    first = path.read_text().splitlines()[0]
    match = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", first)
    assert match, f"{path} lacks the yaml-language-server line"
    assert (path.parent / match[1]).resolve() == REPO / "docs" / "schema" / f"{verb}.json"


def test_the_reference_recipe_says_what_the_defaults_are() -> None:
    file = REPO / "configs" / "train" / "reference.yaml"
    named = load_config(VERBS["train"], file=file, environ={})
    plain = load_config(VERBS["train"], environ={}, options={"subset": SUBSET})
    before = flat_values(plain.config)
    changed = {k: v for k, v in flat_values(named.config).items() if before[k] != v}
    assert changed == {"model": "Qwen/Qwen3-4B-Instruct-2507", "engine.kind": "tinker"}


@pytest.mark.parametrize("verb", VERBS)
def test_a_starter_loads_as_the_defaults(verb: str, tmp_path: Path) -> None:
    file = tmp_path / "starter.yaml"
    file.write_text(starter(verb))
    loaded = load_config(VERBS[verb], file=file, environ={})
    given = {"subset": "my-name"} if verb == "train" else {}
    assert loaded.config == load_config(VERBS[verb], options=given, environ={}).config


@pytest.mark.parametrize("verb", VERBS)
def test_a_starter_with_every_key_in_force_loads_as_the_defaults(verb: str, tmp_path: Path) -> None:
    lines = [line for line in starter(verb).splitlines() if not line.startswith("#extends")]
    file = tmp_path / "starter.yaml"
    file.write_text("\n".join(re.sub(r"^#(?! )|^#(?=  )", "", line) for line in lines))
    values = parse_document(file.read_bytes(), "f.yaml").values
    assert set(values) == set(VERBS[verb].model_fields)
    given = {"subset": "my-name"} if verb == "train" else {}
    loaded = load_config(VERBS[verb], file=file, environ={})
    assert loaded.config == load_config(VERBS[verb], options=given, environ={}).config


@pytest.mark.parametrize("verb", VERBS)
def test_every_key_is_documented(verb: str) -> None:
    assert [field.key for field in walk_fields(VERBS[verb]) if not field.text] == []


@pytest.mark.parametrize("verb", VERBS)
def test_every_example_is_one_that_the_key_takes(verb: str) -> None:
    needed = {"subset": "demo"} if verb == "train" else {}
    for field in walk_fields(VERBS[verb]):
        if field.is_section or field.key in ("axes", "zip", "include", "exclude"):
            continue
        key = field.key.replace("<name>", "livecodebench")
        more = (
            ["evals.livecodebench.n=99"]
            if key.startswith("evals.") and not key.endswith(".n")
            else []
        )
        load_config(VERBS[verb], sets=[*more, f"{key}={field.example}"], options=needed, environ={})


@pytest.mark.parametrize("verb", VERBS)
def test_the_schema_refuses_unknown_keys_and_has_every_key(verb: str) -> None:
    schema = json_schema(verb)
    assert schema["additionalProperties"] is False
    assert set(schema["properties"]) == {*VERBS[verb].model_fields, "extends"}
    assert "identity" not in json.dumps(schema["properties"])


def test_the_schema_knows_the_short_forms() -> None:
    properties = json_schema("train")["properties"]
    assert {"enum": ["auto", "tinker", "local"]} in properties["engine"]["anyOf"]
    entry = properties["evals"]["anyOf"][0]["additionalProperties"]["anyOf"]
    assert {"type": ["null", "boolean"]} in entry


ACCEPTED = {
    "subset": ["{}", "source: openmath", "source: [openmath, physics]", "extends: a.yaml"],
    "train": [
        "engine: local",
        "engine: {kind: local, device: cpu}",
        "evals: [nll, aime25]",
        "evals: {nll: {every: 2}, gpqa: false, aime25: }",
        "evals: {gpqa: {k: 3}}",
        "evals: {gpqa: {k: [1, 3]}}",
        "learning_rate: auto",
        "extends: [a.yaml, b.yaml]",
    ],
}
REFUSED = {
    "subset": ["sourc: openmath", "limit: x", "limit: 0"],
    "train": ["engine: locl", "evals: {nll: {evry: 2}}", "learning_rate: fast", "lora_attn: 1"],
}


@pytest.mark.parametrize("verb", ACCEPTED)
def test_editors_agree_with_the_loader(verb: str) -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="comes with streamlit")
    check = jsonschema.Draft202012Validator(json_schema(verb))
    for text in ACCEPTED[verb]:
        assert check.is_valid(parse_value(text)), text
    for text in REFUSED[verb]:
        assert not check.is_valid(parse_value(text)), text
    for path in shipped():
        if FOLDERS[path.relative_to(REPO / "configs").parts[0]] == verb:
            assert check.is_valid(parse_document(path.read_bytes(), "f.yaml").values), path


def test_completion_knows_the_benchmarks_that_there_are() -> None:
    from openthoughts_cli.evals.benchmark import benchmark_names

    assert sorted(KNOWN_BENCHMARKS) == sorted({*benchmark_names(), "nll"})
