"""No test asserts how long something took: a busy machine would fail it, and a fast one pass it.

What to do instead: a virtual clock (`tests/doubles/clocks.py`), what a sleep was asked for, how many
requests were made, a state that only a prompt program reaches (another hangs, and pytest's timeout
ends it), or how the processor's time grows with the size (`tests/growth.py`).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

TESTS = Path(__file__).parents[1]

WAITS = {
    # `assert time.monotonic() < deadline` in a loop that waits for a state, after a minute or more:
    "e2e/test_eval_journeys.py",
    "e2e/test_planted_secrets.py",
    "e2e/test_recipe.py",
    "e2e/test_sweeps.py",
    "unit/test_sandbox_run.py",
    "unit/test_train_view.py",
}
BETWEEN = {
    # A time that the code tells lies between two readings of the same clock, however far apart:
    "unit/test_runs_follow.py",
    "unit/test_tinker_engine.py",
    "unit/test_training_saving.py",
}
SHORTEST_WAIT_S = 60

_READINGS = {"monotonic", "perf_counter", "process_time", "thread_time"}
_ARITHMETIC = {"min", "max", "sum", "abs", "round", "float", "int", "sorted", "len", "median"}
_ORDER = (ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Eq)


def _files() -> list[Path]:
    return sorted(set(TESTS.rglob("*.py")) - {Path(__file__)})


def _name_of(path: Path) -> str:
    return path.relative_to(TESTS).as_posix()


class _Clocks:
    """Which expressions of one function (or of a module's own lines) hold a reading of a clock."""

    def __init__(self, body: list[ast.AST], functions: set[str]) -> None:
        self._functions = functions
        self._names: set[str] = set()
        seen = -1
        while seen != len(self._names):
            seen = len(self._names)
            for node in body:
                self._learn(node)

    def _learn(self, node: ast.AST) -> None:
        if isinstance(node, ast.Assign):
            targets, value = node.targets, node.value
        elif isinstance(node, ast.AnnAssign | ast.AugAssign | ast.NamedExpr):
            targets, value = [node.target], node.value
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "append"
        ):
            targets, value = [node.func.value], node.args[0]
        else:
            return
        if value is not None and self.read(value):
            self._names |= {ast.unparse(target) for target in targets}

    def read(self, node: ast.expr) -> bool:
        """Whether the value is a reading, or reckoned from one."""
        match node:
            case ast.Call():
                return self._is_called(node)
            case ast.BinOp():
                return self.read(node.left) or self.read(node.right)
            case ast.UnaryOp():
                return self.read(node.operand)
            case ast.Name() | ast.Attribute():
                return ast.unparse(node) in self._names
            case ast.Subscript():
                return self.read(node.value)
            case ast.List() | ast.Tuple():
                return any(self.read(part) for part in node.elts)
            case ast.ListComp() | ast.GeneratorExp():
                return self.read(node.elt)
            case _:
                return False

    def _is_called(self, call: ast.Call) -> bool:
        name = ast.unparse(call.func)
        last = name.rpartition(".")[2]
        if last.removesuffix("_ns") in _READINGS or name in self._functions:
            return True
        if name in ("time.time", "time.time_ns") or name.endswith(("datetime.now", "loop.time")):
            return True
        if last in _ARITHMETIC:
            return any(self.read(argument) for argument in call.args)
        method = call.func
        return last == "total_seconds" and self.read(cast("ast.Attribute", method).value)

    def bounds(self, said: ast.Assert) -> bool:
        """Whether a comparison in it is with a reading."""
        return any(
            any(isinstance(by, _ORDER) for by in compared.ops)
            and any(self.read(part) for part in ast.walk(compared) if isinstance(part, ast.expr))
            for compared in ast.walk(said)
            if isinstance(compared, ast.Compare)
        )


_Scope = ast.FunctionDef | ast.AsyncFunctionDef


def _scopes(tree: ast.Module) -> Iterator[list[ast.AST]]:
    """The nodes of each outermost function or method, and of what is in none."""

    def own(node: ast.AST) -> Iterator[ast.AST]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, _Scope):
                functions.append(child)
            else:
                yield child
                yield from own(child)

    functions: list[_Scope] = []
    yield list(own(tree))
    for function in functions:
        yield list(ast.walk(function))


def _telling(tree: ast.Module) -> set[str]:
    """Functions of the file that return a reading."""
    found: set[str] = set()
    for scope in _scopes(tree):
        clocks = _Clocks(scope, found)
        if (
            scope
            and isinstance(scope[0], _Scope)
            and any(
                isinstance(node, ast.Return) and node.value is not None and clocks.read(node.value)
                for node in scope
            )
        ):
            found.add(scope[0].name)
    return found


def _bounds(tree: ast.Module) -> Iterator[tuple[ast.Assert, list[ast.AST]]]:
    """Each assertion about a clock, with all that is in its function; those in scripts as well."""
    telling = _telling(tree)
    for scope in _scopes(tree):
        clocks = _Clocks(scope, telling)
        for node in scope:
            if isinstance(node, ast.Assert) and clocks.bounds(node):
                yield node, scope
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield from _bounds(_script(node.value))


def _script(text: str) -> ast.Module:
    """The text as a program; an empty one where it is none."""
    try:
        return ast.parse(text if "assert " in text else "")
    except (SyntaxError, ValueError):
        return ast.parse("")


def _waits(said: ast.Assert, scope: list[ast.AST]) -> bool:
    """Whether it ends a loop that has gone on for long: `assert clock() < deadline`."""
    in_loop = any(said in node.body for node in scope if isinstance(node, ast.While))
    compared = said.test
    if not (in_loop and isinstance(compared, ast.Compare) and len(compared.comparators) == 1):
        return False
    deadline = ast.unparse(compared.comparators[0])
    given = [
        node.value.right.value
        for node in scope
        if isinstance(node, ast.Assign)
        and [ast.unparse(target) for target in node.targets] == [deadline]
        and isinstance(node.value, ast.BinOp)
        and isinstance(node.value.right, ast.Constant)
    ]
    return bool(given) and all(
        isinstance(wait_s, int | float) and wait_s >= SHORTEST_WAIT_S for wait_s in given
    )


@pytest.mark.parametrize("path", _files(), ids=_name_of)
def test_no_test_bounds_the_time_that_something_takes(path: Path) -> None:
    name = _name_of(path)
    for said, scope in _bounds(ast.parse(path.read_text(encoding="utf-8"))):
        where = f"{name}:{said.lineno}: {ast.unparse(said)}: no wall-clock bounds, see {__name__}"
        assert name in BETWEEN or (name in WAITS and _waits(said, scope)), where


def test_the_exceptions_are_needed() -> None:
    for name in WAITS | BETWEEN:
        assert list(_bounds(ast.parse((TESTS / name).read_text(encoding="utf-8")))), name


BEGAN = "def test():\n    began = time.monotonic()\n    work()\n    "


@pytest.mark.parametrize(
    ("code", "caught"),
    [
        (BEGAN + "assert time.monotonic() - began < 5", True),
        (BEGAN + "assert 1 <= time.monotonic() - began", True),
        (BEGAN + "took = time.monotonic() - began\n    assert done and took < 5, took", True),
        (BEGAN + "took.append(time.perf_counter() - began)\n    assert max(took) < 5", True),
        ("def test():\n    b = process_time()\n    assert round(process_time() - b, 1) < 5", True),
        ("def t():\n    return time.time() - t0\ndef test():\n    assert t() < 5", True),
        ("def test():\n    assert (datetime.now(UTC) - then).total_seconds() < 5", True),
        ("SCRIPT = 'import time\\na = time.time()\\nassert time.time() - a < 5'", True),
        (BEGAN + "assert clock.now() < 5 and began", False),
        (BEGAN + "print(time.monotonic() - began)", False),
        ("def a():\n    end = time.monotonic()\ndef test():\n    assert start < end", False),
        ("def test():\n    assert growth(work, 100) < NEARLY_LINEAR", False),
    ],
)
def test_the_rule_sees_what_it_is_for(code: str, caught: bool) -> None:
    assert bool(list(_bounds(ast.parse(code)))) is caught


@pytest.mark.parametrize(
    ("wait", "fine"),
    [
        ("while not there():\n        assert time.monotonic() < end", True),
        ("work()\n    assert time.monotonic() < end", False),
    ],
)
@pytest.mark.parametrize(("given_s", "long"), [(60, True), (5, False)])
def test_only_a_loop_with_a_generous_deadline_waits(
    wait: str, fine: bool, given_s: int, long: bool
) -> None:
    code = f"def test():\n    end = time.monotonic() + {given_s}\n    {wait}"
    ((said, scope),) = _bounds(ast.parse(code))
    assert _waits(said, scope) is (fine and long)
