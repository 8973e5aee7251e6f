"""Runs a LiveCodeBench answer inside the sandbox, once, on the input of one test.

Never imported there: its compiled code is handed over. Expected outputs are not here, so nothing
that a candidate reads, patches or forges in its own process tells it what to answer; what it sends
back is compared outside, as plain data.
"""

from __future__ import annotations

import posix
import sys

TYPE_CHECKING = False  # importing it from typing would take 10 ms a test
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["main"]

_RECURSION_LIMIT = 50_000  # as the official grader sets it
_BIG_INTEGER_BITS = 8_000  # beyond, JSON's decimal digits would meet Python's own limit
_DYNAMIC = frozenset({"eval", "exec", "globals", "locals", "vars", "__import__", "getattr"})


def main(payload: dict[str, Any], send: Callable[[bytes | None], None]) -> None:
    """Run `payload["source"]` as a program, or call its `payload["function"]` with `arguments`.

    `payload["prelude"]` is what candidates expect to find imported: pairs of a name and the
    statement that imports it, in order.
    """
    sys.setrecursionlimit(_RECURSION_LIMIT)
    if payload["function"] is None:
        send(None)
        _run_program(payload)
    else:
        _call_function(payload, send)


def _run_program(payload: dict[str, Any]) -> None:
    """A real `__main__`, which ends as any Python process does (threads joined, atexit run)."""
    module = _new_module("__main__")
    code = compile(payload["source"], "solution.py", "exec", dont_inherit=True)
    _import_prelude(payload, module)
    exec(code, module.__dict__)


def _call_function(payload: dict[str, Any], send: Callable[[bytes | None], None]) -> None:
    """Call `Solution().name(*arguments)` or `name(*arguments)`; end at once after the reply."""
    from json import dumps

    leave, report = posix._exit, sys.excepthook  # pyright: ignore[reportPrivateUsage]
    nowhere = posix.open("/dev/null", posix.O_WRONLY)
    posix.dup2(nowhere, 1)  # what it prints is not asked for
    module = _new_module("solution")
    try:
        code = compile(payload["source"], "solution.py", "exec", dont_inherit=True)
        _import_prelude(payload, module)
        exec(code, module.__dict__)
        name = payload["function"]
        owner: Any = module.__dict__.get("Solution")
        if isinstance(owner, type) and hasattr(owner, name):
            function = getattr(owner(), name)
        elif name in module.__dict__:
            function = module.__dict__[name]
        else:
            raise NameError(f"neither Solution.{name} nor {name} is defined")
        value = function(*payload["arguments"])
        if isinstance(value, tuple):
            value = list(value)
        send(dumps(_plain(value)).encode())
    finally:
        kind, error, trace = sys.exc_info()
        if kind is not None and error is not None:
            report(kind, error, trace)
            sys.stderr.flush()
        leave(0 if kind is None else 1)


def _new_module(name: str) -> Any:
    module = type(sys)(name)
    sys.modules[name] = module
    return module


def _import_prelude(payload: dict[str, Any], module: Any) -> None:
    """Import what the source may use of the prelude: importing all of it takes 25 ms a test."""
    free = _free_names(payload["source"])
    everything = bool(free & _DYNAMIC)
    lines = [line for name, line in payload["prelude"] if everything or name in free]
    exec(compile("\n".join(lines), "<prelude>", "exec", dont_inherit=True), module.__dict__)


def _free_names(source: str) -> set[str]:
    """The names that `source` reads from its module's namespace, in whatever scope."""
    import _symtable as table  # pyright: ignore[reportMissingImports] - CPython's own, in C

    found: set[str] = set()
    scopes: list[Any] = [table.symtable(source, "solution.py", "exec")]
    for scope in scopes:  # grows while it is walked
        scopes.extend(scope.children)
        local = scope.type == table.TYPE_FUNCTION
        for name, flags in scope.symbols.items():
            kind = (flags >> table.SCOPE_OFF) & table.SCOPE_MASK
            is_global = kind in (table.GLOBAL_IMPLICIT, table.GLOBAL_EXPLICIT)
            if flags & table.USE and (is_global or not local):
                found.add(name)
    return found


def _plain(value: Any) -> Any:
    """`value` as JSON that tells apart what `==` tells apart.

    Lists and scalars stand for themselves, a dictionary is wrapped in {"dict": ...}, and what can
    equal no JSON value is {"other": its type's name}.
    """
    kind = type(value)
    if value is None or kind in (bool, str, float):
        return value
    if isinstance(value, int):
        number = int(value)
        return number if number.bit_length() <= _BIG_INTEGER_BITS else {"hex": hex(number)}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        if all(type(key) is str for key in value):
            return {"dict": {key: _plain(item) for key, item in value.items()}}
        return {"other": "a dictionary whose keys are not all text"}
    if isinstance(value, (str, float)):
        return str(value) if isinstance(value, str) else float(value)
    if kind.__module__ == "numpy" and hasattr(value, "item") and not hasattr(value, "__len__"):
        return _plain(value.item())
    if kind.__module__ in ("decimal", "fractions") and float(value) == value:
        return float(value)
    return {"other": kind.__name__}
