"""docs/tinker.md lists every call of the SDK, no other, each with a test that exists."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tinker

from tests.doubles.tinker_routes import ROUTES

REPO = Path(__file__).parents[2]
ROOM = REPO / "openthoughts_cli" / "engine" / "tinker"
PAGE = (REPO / "docs" / "tinker.md").read_text(encoding="utf-8")
_CLIENTS = {
    "engine.py": {
        "self._service": "ServiceClient",
        "client.get_server_capabilities": "RestClient",
        "client.get_info": "TrainingClient",
        "client.get_base_model": "SamplingClient",
    },
    "trainer.py": {"self._client": "TrainingClient"},
    "sampler.py": {"self._client": "SamplingClient"},
}


def rows(title: str) -> list[tuple[str, str, str]]:
    """The rows of the table under a title."""
    part = PAGE.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in part.splitlines() if line.startswith("| ")][1:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [(first, second, third) for first, second, third in cells]


def used(path: Path) -> Iterator[str]:
    """What a file takes from `tinker` and calls on its clients, as the page names it."""
    clients = _CLIENTS.get(path.name, {})
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "tinker":
            prefix = (node.module or "").removeprefix("tinker").lstrip(".")
            yield from (f"{prefix}.{alias.name}".lstrip(".") for alias in node.names)
        if isinstance(node, ast.Attribute):
            text = ast.unparse(node)
            if text.startswith("tinker."):
                yield text.removeprefix("tinker.")
            owner, _, name = text.rpartition(".")
            client = clients.get(owner) or (clients.get(text) if owner == "client" else None)
            if client is not None:
                yield f"{client}.{name}"


def in_code() -> dict[str, set[str]]:
    """What is used -> the files that use it. export.py works with the cookbook."""
    found: dict[str, set[str]] = {}
    for path in sorted(ROOM.glob("*.py")):
        if path.name != "export.py":
            for name in used(path):
                found.setdefault(_short(name), set()).add(path.name)
    return found


def _short(name: str) -> str:
    """`types.SampleResponse` where the package itself has it is `SampleResponse`."""
    last = name.rsplit(".", 1)[-1]
    return last if name.startswith("types.") and hasattr(tinker, last) else name


def named(call: str) -> Any:
    value: Any = tinker
    for part in call.split("."):
        value = getattr(value, part)
    return value


def test_the_page_lists_what_the_code_uses_and_where() -> None:
    used_there = in_code()
    listed = {
        call.strip("`"): set(where.split(", ")) for call, where, _ in rows("The SDK, call by call")
    }
    assert sorted(set(used_there) - set(listed)) == [], "used, and not on the page"
    assert sorted(set(listed) - set(used_there)) == [], "on the page, and not used"
    for call, files in listed.items():
        assert files <= used_there[call], f"{call} is not used in {files - used_there[call]}"


def test_every_call_has_a_test_that_exists() -> None:
    for call, _, test in rows("The SDK, call by call"):
        path, name = test.split("::")
        source = (REPO / path).read_text(encoding="utf-8")
        assert f"def {name}(" in source, f"{call}: there is no {test}"


def test_nothing_that_is_used_is_deprecated() -> None:
    for call, _, _ in rows("The SDK, call by call"):
        if call == "`TrainingClient.holder`":  # set by the constructor
            continue
        assert getattr(named(call.strip("`")), "__deprecated__", None) is None, call
    assert named("TrainingClient.forward_async").__deprecated__  # what the mark looks like


def test_the_page_lists_the_routes_of_the_scripted_server() -> None:
    listed = {cell.replace("`", "") for cell, _, _ in rows("The routes")}
    served = {
        f"{method} {re.sub(r'[(].*?[)]', '<id>', pattern.pattern.removeprefix('/api/v1/'))}"
        for method, pattern, _ in ROUTES
    }
    assert listed == served | {"GET healthz"}


def test_the_tests_of_the_routes_are_named_and_exist() -> None:
    part = PAGE.split("\n## The routes\n", 1)[1]
    names = {"double", "lacks", "faults", "contract", "parity", "engine"}
    for route, _, tests in rows("The routes"):
        assert set(tests.split(", ")) <= names, route
    for path in re.findall(r"tests/[\w/]+\.py", part):
        assert (REPO / path).is_file(), path
