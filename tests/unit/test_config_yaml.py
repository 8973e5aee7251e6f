"""Config files as values with places: YAML 1.2, JSON, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openthoughts_cli.config.schema import as_yaml
from openthoughts_cli.config.text import to_yaml
from openthoughts_cli.config.yaml_file import parse_document, parse_value, read_document
from openthoughts_cli.errors import ConfigError, NotFoundError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-5", 1e-5),
        ("1.5e3", 1500.0),
        ("-3", -3),
        ("0o17", 15),
        ("0x1F", 31),
        ("1_000", 1000),
        ("012", 12),
        ("on", "on"),
        ("yes", "yes"),
        ("true", True),
        ("False", False),
        ("~", None),
        ("", None),
        ("2026-01-01", "2026-01-01"),
        ("12:30", "12:30"),
        ("'1'", "1"),
        ("[a, 2]", ["a", 2]),
        ("{a: 1}", {"a": 1}),
        ("Qwen/Qwen3-4B", "Qwen/Qwen3-4B"),
    ],
)
def test_values_follow_yaml_1_2(text: str, value: Any) -> None:
    parsed = parse_value(text)
    assert parsed == value
    assert type(parsed) is type(value)


def test_each_key_has_its_place() -> None:
    document = parse_document(b"a: 1\nb:\n  c: [x, y]\n", "f.yaml")
    assert document.values == {"a": 1, "b": {"c": ["x", "y"]}}
    assert document.places[("a",)] == "f.yaml:1:1"
    assert document.places[("b", "c")] == "f.yaml:3:3"
    assert document.places[("b", "c", 1)] == "f.yaml:3:10"


def test_a_doubled_key_is_a_problem_with_both_places() -> None:
    document = parse_document(b"a: 1\nb: 2\na: 3\n", "f.yaml")
    assert document.problems == ["f.yaml:3:1: a: the key is there twice, first on line 1; keep one"]


def test_anchors_are_followed() -> None:
    document = parse_document(b"a: &x {n: 1}\nb: *x\n", "f.yaml")
    assert document.values == {"a": {"n": 1}, "b": {"n": 1}}


@pytest.mark.parametrize("data", [b"", b"# a comment\n", b"---\n", b"null\n", b"\xef\xbb\xbf"])
def test_an_empty_file_is_an_empty_config(data: bytes) -> None:
    assert parse_document(data, "f.yaml").values == {}


@pytest.mark.parametrize(
    ("data", "where", "what"),
    [
        (b"a: [1\nb: 2", "f.yaml:2:2", "expected ',' or ']'"),
        (b"a: 1\n\tb: 2", "f.yaml:2:1", "cannot start any token"),
        (b"a: b: c", "f.yaml:1:5", "not allowed here"),
        (b"a: *nothing", "f.yaml:1:4", "undefined alias"),
        (b"a: 1\n---\nb: 2", "f.yaml:2:1", "another document"),
        (b"a: &x [*x]", "f.yaml:1:4", "repeat without end"),
        (b"- 1\n- 2", "f.yaml:1:1", "a mapping"),
        (b"hello", "f.yaml:1:1", "a mapping"),
        (b"a: 1\nb: \xff", "f.yaml:2", "not UTF-8"),
        (b"PAR1\x00\x00", "f.yaml", "NUL"),
        (b"{" * 5000, "f.yaml", "nested too deeply"),
        (b"a: \x07", "f.yaml", "broken YAML"),
        (b"a: " + b"x" * (1 << 20), "f.yaml", "larger than"),
    ],
)
def test_a_file_that_is_no_config_is_refused_with_its_place(
    data: bytes, where: str, what: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_document(data, "f.yaml")
    assert caught.value.message.startswith(where)
    assert what in caught.value.message


def test_aliases_that_multiply_are_refused() -> None:
    lines = ["a0: &a0 [x]"]
    lines += [f"a{n}: &a{n} [" + ", ".join([f"*a{n - 1}"] * 10) + "]" for n in range(1, 8)]
    with pytest.raises(ConfigError, match="repeat without end"):
        parse_document("\n".join(lines).encode(), "f.yaml")


def test_a_foreign_tag_is_a_problem() -> None:
    document = parse_document(b"a: !!python/object:os.system x\nb: !mine 3", "f.yaml")
    assert len(document.problems) == 2
    assert document.problems[1] == "f.yaml:2:4: the tag !mine means nothing in a config"


def test_json_has_values_places_and_no_doubled_keys() -> None:
    document = parse_document(b'{\n  "a": 1e-05,\n  "b": "\\ud83d\\ude00"\n}', "f.json")
    assert document.values == {"a": 1e-05, "b": "\U0001f600"}
    assert document.places[("b",)] == "f.json:3:3"
    assert parse_document(b'{"a": 1, "a": 2}', "f.json").problems == [
        "f.json: a: the key is there twice; keep one"
    ]


def test_a_number_without_end_is_text() -> None:
    assert parse_value("9" * 5000) == "9" * 5000


@pytest.mark.parametrize("data", [b"{", b"[1]", b"", b'{"a": 1} x', b'{"a": ' + b"9" * 5000 + b"}"])
def test_broken_json_is_refused(data: bytes) -> None:
    with pytest.raises(ConfigError, match=r"f\.json"):
        parse_document(data, "f.json")


def test_a_missing_file_names_those_like_it(tmp_path: Path) -> None:
    (tmp_path / "train.yaml").write_text("")
    with pytest.raises(NotFoundError) as caught:
        read_document(tmp_path / "trian.yaml")
    assert str(tmp_path / "trian.yaml") in caught.value.message
    assert caught.value.hint == f"did you mean {tmp_path / 'train.yaml'}?"
    with pytest.raises(NotFoundError) as caught:
        read_document(tmp_path / "no" / "x.yaml")
    assert caught.value.hint == f"there is no directory {tmp_path / 'no'} either"


def test_a_directory_is_not_a_config(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("")
    with pytest.raises(ConfigError, match="is a directory") as caught:
        read_document(tmp_path)
    assert "a.yaml" in (caught.value.hint or "")


PLAIN = st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False)
JSON_LIKE = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
)
NO_INFINITY = JSON_LIKE.filter(lambda value: "Infinity" not in json.dumps(value))


@given(st.dictionaries(st.text("abcdef_", min_size=1), NO_INFINITY, max_size=4))
def test_json_reads_back_what_was_saved(values: dict[str, Any]) -> None:
    document = parse_document(json.dumps(values, indent=2).encode(), "f.json")
    assert document.values == values


NAMES = st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1).filter(lambda name: name != "null")
SAFE_TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"])).filter(
    lambda text: text.isprintable()
)
SAFE = st.none() | st.booleans() | st.integers() | SAFE_TEXT | st.floats(-1e300, 1e300)


@given(st.dictionaries(NAMES, SAFE | st.lists(SAFE, max_size=3), max_size=4))
def test_yaml_that_we_write_reads_back_equal(values: dict[str, Any]) -> None:
    nested = {**values, "section": values} if values else {}
    assert parse_document(to_yaml(nested).encode(), "f.yaml").values == nested


@given(SAFE)
def test_one_value_reads_back_equal(value: Any) -> None:
    assert parse_value(as_yaml(value)) == value
