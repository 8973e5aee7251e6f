"""The package's face: public names, found when they are asked for."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import openthoughts_cli


def test_the_public_names_are_sorted_and_complete() -> None:
    assert openthoughts_cli.__all__ == sorted(openthoughts_cli.__all__)
    assert dir(openthoughts_cli) == openthoughts_cli.__all__


@pytest.mark.parametrize("name", openthoughts_cli.__all__)
def test_a_public_name_is_there_and_documented(name: str) -> None:
    value = getattr(openthoughts_cli, name)
    assert callable(value)
    assert value.__name__ == name.replace("run_quickstart", "quickstart")
    assert value.__doc__


@pytest.mark.parametrize("name", openthoughts_cli.__all__)
def test_what_a_function_returns_says_what_it_is(name: str) -> None:
    value = getattr(openthoughts_cli, name)
    if isinstance(value, type):
        return  # a config model: it shows its values
    for kind in result_types(typing.get_type_hints(value)["return"]):
        generated = dataclasses.is_dataclass(kind) and hasattr(kind.__repr__, "__wrapped__")
        assert not generated or kind.__name__ in SHORT, f"{kind.__name__} shows all its fields"


SHORT = {"QuickstartResult", "RunDirectory", "SweepDirectory"}
"""Results of a few short fields, which the generated repr shows well."""


def result_types(annotation: Any) -> Iterator[type]:
    for inner in typing.get_args(annotation):
        yield from result_types(inner)
    kind = typing.get_origin(annotation) or annotation
    if isinstance(kind, type):
        yield kind


def test_no_public_name_is_that_of_a_module() -> None:
    root = Path(openthoughts_cli.__file__).parent
    modules = {path.stem for path in root.glob("*.py")} | {path.name for path in root.iterdir()}
    assert set(openthoughts_cli.__all__) & modules == set()


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = openthoughts_cli.nothing


def test_importing_the_package_imports_nothing_else() -> None:
    code = (
        "import sys; before = set(sys.modules); import openthoughts_cli; "
        "print(*(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        check=True,
    )
    names = set(done.stdout.split())
    assert {name for name in names if name.startswith("openthoughts_cli")} == {"openthoughts_cli"}
    foreign = {name.split(".")[0] for name in names} - set(sys.stdlib_module_names)
    assert foreign == {"openthoughts_cli"}


def test_the_notebook_page_names_every_public_name() -> None:
    page = (Path(__file__).parents[2] / "docs" / "notebook.md").read_text()
    assert [name for name in openthoughts_cli.__all__ if name not in page] == []
