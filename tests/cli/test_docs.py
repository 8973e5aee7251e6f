"""Pages that are made from the code are as committed."""

from __future__ import annotations

from pathlib import Path

import pytest

from openthoughts_cli.cli.app import VERBS
from openthoughts_cli.cli.docs import pages
from openthoughts_cli.config import schema

DOCS = Path(__file__).parents[2] / "docs"
NAMES = [
    "cli.md",
    "config.md",
    "errors.md",
    "recipes.md",
    *(f"schema/{verb}.json" for verb in schema.VERBS),
]


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    return pages()


@pytest.mark.parametrize("name", NAMES)
def test_a_generated_page_is_not_stale(name: str, made: dict[str, str]) -> None:
    assert sorted(made) == sorted(NAMES)
    committed = (DOCS / name).read_text(encoding="utf-8")
    assert committed == made[name], "run `python -m openthoughts_cli.cli.docs` and commit"


def test_the_command_page_has_every_verb(made: dict[str, str]) -> None:
    for verb in VERBS:
        assert f"## `ot {verb}`" in made["cli.md"]
