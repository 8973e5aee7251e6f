"""The house rules that a reader cannot see in one file: who may import whom, and who may print."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "openthoughts_cli"
PACKAGE = "openthoughts_cli"

# Lower never imports higher; rooms on one line may not import each other, except on the first.
ORDER = (
    (
        "errors",
        "events",
        "store",
        "leftovers",
        "stamps",
        "places",
        "digests",
        "redaction",
        "words",
        "config",
        "hub",
        "waiting",
    ),
    ("chat",),
    ("problems",),
    ("data",),
    ("engine",),
    ("runs",),
    ("evals",),
    ("training",),
    ("report", "export"),
    ("sweeps",),
    ("quickstart", "explorer", "doctor"),
    ("cli",),
)
RANK = {room: rank for rank, rooms in enumerate(ORDER) for room in rooms}
ALLOWED_IN = {
    "tinker": ("engine/tinker/",),
    "torch": ("engine/local/",),
    "peft": ("engine/local/",),
    "typer": ("cli/",),
    "rich": ("cli/",),
    "streamlit": ("explorer/",),
    "wandb": ("runs/",),
}


def modules() -> list[Path]:
    return sorted(ROOT.rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def room_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """Line and dotted name of each import, those inside functions and for types included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.lineno, node.module
            if node.module == PACKAGE:
                for alias in node.names:
                    yield node.lineno, f"{PACKAGE}.{alias.name}"


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_a_room_imports_only_lower_rooms(path: Path) -> None:
    room = room_of(path)
    if room in ("__init__", "__main__"):
        return  # the two doors of the house
    assert room in RANK, f"{room} is not a room of the house: give it a place in ORDER"
    for line, name in imported(path):
        parts = name.split(".")
        if parts[0] != PACKAGE or len(parts) < 2:
            continue
        other = parts[1]
        allowed = other == room or RANK[other] < RANK[room] or RANK[room] == RANK[other] == 0
        assert allowed, f"{name_of(path)}:{line} imports {name}: {room} stands below {other}"


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_a_library_stays_in_its_room(path: Path) -> None:
    for line, name in imported(path):
        library = name.split(".")[0]
        homes = ALLOWED_IN.get(library)
        if homes is not None:
            where = name_of(path)
            assert where.startswith(homes), f"{where}:{line} imports {name}, which is for {homes}"


def test_only_the_command_line_prints() -> None:
    found = [
        f"{name_of(path)}:{node.lineno}"
        for path in modules()
        if room_of(path) not in ("cli", "__main__")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and _writes_to_the_terminal(node.func)
    ]
    assert found == []


def _writes_to_the_terminal(function: ast.expr) -> bool:
    text = ast.unparse(function)
    return text in ("print", "sys.stdout.write", "sys.stderr.write", "typer.echo", "pprint")


def test_the_page_tells_this_order_and_every_room() -> None:
    page = (ROOT.parent / "docs" / "architecture.md").read_text(encoding="utf-8")
    told = " < ".join(", ".join(rooms) for rooms in ORDER)
    assert told in " ".join(page.split())
    listed = set(re.findall(r"^      (\w+)(?:/|\.py) ", page, re.MULTILINE))
    assert listed == set(RANK) | {"__init__"}


def test_the_rooms_on_disk_are_those_of_the_order() -> None:
    here = {room_of(path) for path in modules()} - {"__init__", "__main__"}
    assert here <= set(RANK)
    assert {"errors", "config", "chat", "data", "engine", "evals", "training", "cli"} <= here


def test_no_module_hides_behind_a_vague_name() -> None:
    vague = {"utils", "util", "common", "helpers", "helper", "manager", "misc"}
    assert [name_of(path) for path in modules() if path.stem in vague] == []


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        name_of(path)
        for path in modules()
        if path.read_text(encoding="utf-8").strip()
        and not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert silent == []
