"""docs/errors.md lists what can be refused: every class, every call, with words in it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from openthoughts_cli import errors
from openthoughts_cli.cli.error_page import Refusal, error_page, refusals, rules

# Where the words are another's: a parser's, a server's, or those of the failure that came first.
BORROWED = {
    "chat/folder.py",
    "chat/locate.py",
    "config/load.py",
    "config/yaml_file.py",
    "cli/board.py",
    "data/browse_sql.py",
    "data/hub.py",
    "data/index_build.py",
    "engine/tinker/engine.py",
    "engine/tinker/export.py",
    "engine/tinker/failures.py",
    "evals/select.py",
    "sweeps/layout.py",
    "sweeps/problems.py",
    "training/work.py",
}

# Where a remedy would say nothing: the message does, or another error is made of it.
NO_REMEDY = {
    ("config/yaml_file.py", "<sub>"): "a problem in a list of them, whose error has the hint",
    ("engine/local/engine.py", "a sampler needs a model or a sampler_path, and not both"): "port",
    ("engine/local/sampler.py", "a prompt needs at least one token"): "port",
    ("engine/local/scoring.py", "a batch needs at least one datum"): "port",
    (
        "evals/sandbox/namespaces.py",
        "it needs the system call filter, which this architecture has not",
    ): "a reason inside of `no sandbox on this system: ...`, which has the hint",
    ("sweeps/verb.py", "interrupted before anything was started"): "as the person wished",
    ("training/job.py", "interrupted before anything was started"): "as the person wished",
}
"""By file and message: why there is none. "port": a caller's defect, which no person can cause."""


@pytest.fixture(scope="module")
def found() -> list[Refusal]:
    """Every refusal; reading all sources takes seconds."""
    return refusals()


@pytest.fixture(scope="module")
def page() -> str:
    return error_page()


def wordless(text: str) -> bool:
    return len(re.sub(r"<[^>]*>|\W", "", text)) < 4


def test_every_refusal_says_something_of_its_own(found: list[Refusal]) -> None:
    silent = {r.place.partition("/")[2].partition(":")[0] for r in found if wordless(r.message)}
    assert silent <= BORROWED


def test_every_refusal_says_what_to_do(found: list[Refusal]) -> None:
    without = {
        (r.place.partition("/")[2].partition(":")[0], r.message) for r in found if not r.hint
    }
    assert without <= set(NO_REMEDY)
    assert set(NO_REMEDY) <= without, "no longer raised, or with a remedy now: leave it out here"


def test_a_docstring_of_an_error_is_for_users(page: str) -> None:
    assert "Args:" not in page


def test_the_page_has_a_section_for_every_class_that_is_raised(
    found: list[Refusal], page: str
) -> None:
    raised = {refusal.kind for refusal in found}
    assert len(raised) > 15
    for name in raised:
        kind = getattr(errors, name)
        assert f"## {name}\n" in page
        assert f"Exit code {kind.exit_code}, code `{kind.code}`." in page


def test_the_rules_of_the_configs_are_on_the_page(page: str) -> None:
    assert any(rule.startswith("zip needs lists of one length") for rule in rules())
    assert "zip needs lists of one length" in page


@pytest.fixture
def package(tmp_path: Path) -> Path:
    root = tmp_path / "package"
    (root / "config").mkdir(parents=True)
    return root


def read(package: Path, source: str) -> list[tuple[str, str, str]]:
    (package / "module.py").write_text(source)
    return [(refusal.kind, refusal.message, refusal.hint) for refusal in refusals(package)]


def test_what_varies_stands_by_its_name(package: Path) -> None:
    source = """
HINT = "choose another"
def f(path, names):
    guess = f"; did you mean {names[0]}?" if names else ""
    raise NotFoundError(f"no {path.name}{guess}: {', '.join(names)}", hint=HINT)
"""
    assert read(package, source) == [
        ("NotFoundError", "no <name>[; did you mean <names>?]: <names>", "choose another")
    ]


def test_other_exceptions_are_no_refusals(package: Path) -> None:
    assert read(package, "raise RuntimeError('x')\nraise DataError('y')") == [
        ("DataError", "y", "")
    ]
