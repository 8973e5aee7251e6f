"""docs/errors.md: every refusal in the source, by class, with its exit code and its remedy.

The page is read out of the source itself: each call of an error class is one line. A part of a
message that is known only when it is printed stands as `<name>`.
"""

from __future__ import annotations

import ast
import functools
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import openthoughts_cli
from openthoughts_cli import errors

__all__ = ["Refusal", "error_page", "refusals", "rules"]

_INTRO = """\
<!-- Made by `python -m openthoughts_cli.cli.docs`; a test fails when it is stale. -->

# Errors

An error is one sentence on stderr after `error:`, mostly followed by a remedy after `hint:`. It ends
the command with the exit code of its kind. There is no traceback: what nobody foresaw is written to a
crash file, without secrets, and its path is printed.

What stands in `<...>` is filled in when the message is printed. The code is the name of the kind, for
programs that call the package: `error.code`.
"""

_OUTSIDE = """\
## Of the command line itself

| message | exit code | remedy |
|---|---|---|
| `<command> has no command <word>`, `<command> has no option <option>` | 2 | did you mean, and the help to see |
| the parser's own sentence about a value or a missing argument | 2 | the help to see |
| `interrupted` | 130 | what was finished is kept; the same command goes on, and a run: `ot train --resume RUN` |
| `<file>: <what the system says>` (disk, rights) | 1 | make room, or choose another place |
| `unexpected <type>: <message>` | 1 | a bug in ot: the crash file whose path is printed holds the details |

A reader of stdout that leaves early (`ot runs ls | head -1`) is no error: exit code 0.
"""

_RULES = """\
## Rules of the config

Each is printed as `<file>:<line>:<column>: <key>: <message>`, or with the option or variable that gave
the value, and all that are broken at once; exit code 2, code `config`. Beside them: unknown keys (with
did you mean, and the verb that has the key), values of another type (what was given, what is expected),
keys given twice, and YAML that cannot be read.
"""


@dataclass(frozen=True, slots=True)
class Refusal:
    """One call of an error class: the message and the hint, with `<name>` for what varies."""

    kind: str
    message: str
    hint: str
    place: str


def refusals(root: Path | None = None) -> list[Refusal]:
    """All calls of error classes in the package, in the order of files and lines."""
    root = root or Path(inspect.getfile(openthoughts_cli)).parent
    return [
        refusal
        for path in sorted(root.rglob("*.py"))
        if path.name != "errors.py"
        for refusal in _refusals_in(path, root)
    ]


def rules(root: Path | None = None) -> list[str]:
    """The messages of the config models' own validators."""
    root = root or Path(inspect.getfile(openthoughts_cli)).parent
    found: list[str] = []
    for path in sorted((root / "config").glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found += [
            _text(node.args[0], _assigned(scope))
            for scope in _scopes(tree)
            for node in _own_nodes(scope)
            if isinstance(node, ast.Call) and _called(node) == "ValueError"
        ]
    return sorted(set(found))


def error_page() -> str:
    """The page's Markdown."""
    found = refusals()
    parts = [_INTRO]
    for name, kind in _classes():
        own = sorted({(r.message, r.hint) for r in found if r.kind == name})
        if not own:
            continue
        cause = " ".join((kind.__doc__ or "").split())
        parts.append(f"## {name}\n\n{cause} Exit code {kind.exit_code}, code `{kind.code}`.\n")
        rows = "\n".join(f"| {_cell(message)} | {_cell(hint)} |" for message, hint in own)
        parts.append(f"| message | remedy |\n|---|---|\n{rows}\n")
    listed = "\n".join(f"- {_escaped(rule)}" for rule in rules())
    parts += [f"{_RULES}\n{listed}\n", _OUTSIDE]
    return "\n".join(parts)


def _classes() -> list[tuple[str, type[errors.OtError]]]:
    """The error classes in the order of errors.py."""
    return [
        (name, value)
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.OtError)
    ]


def _refusals_in(path: Path, root: Path) -> Iterator[Refusal]:
    names = {name for name, _ in _classes()}
    tree = ast.parse(path.read_text(encoding="utf-8"))
    constants = _imported(tree, root) | _assigned(tree)
    for scope in _scopes(tree):
        assigned = constants | _assigned(scope)
        for node in _own_nodes(scope):
            if not isinstance(node, ast.Call) or _called(node) not in names or not node.args:
                continue
            hint = next((word.value for word in node.keywords if word.arg == "hint"), None)
            yield Refusal(
                str(_called(node)),
                _text(node.args[0], assigned),
                "" if hint is None else _text(hint, assigned),
                f"{path.relative_to(root.parent).as_posix()}:{node.lineno}",
            )


def _scopes(tree: ast.Module) -> Iterator[ast.AST]:
    yield tree
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node


def _own_nodes(scope: ast.AST) -> Iterator[ast.AST]:
    """What belongs to the scope and not to a function inside it."""
    for child in ast.iter_child_nodes(scope):
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        yield child
        yield from _own_nodes(child)


def _assigned(scope: ast.AST) -> dict[str, ast.expr]:
    """Names given a text in this scope, so that `message = f"..."` can be read at its use."""
    texts = (ast.JoinedStr, ast.BinOp, ast.IfExp)
    return {
        target.id: node.value
        for node in _own_nodes(scope)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
        and (isinstance(node.value, texts) or isinstance(_constant(node.value), str))
    }


def _imported(tree: ast.Module, root: Path) -> dict[str, ast.expr]:
    """The texts that a module takes from another one of the package."""
    found: dict[str, ast.expr] = {}
    for node in tree.body:
        package, _, inner = (getattr(node, "module", None) or "").partition(".")
        path = root / f"{inner.replace('.', '/')}.py"
        if not isinstance(node, ast.ImportFrom) or package != root.name or not path.is_file():
            continue
        texts = _texts_of(path)
        found |= {
            alias.asname or alias.name: texts[alias.name]
            for alias in node.names
            if alias.name in texts
        }
    return found


@functools.cache
def _texts_of(path: Path) -> dict[str, ast.expr]:
    return _assigned(ast.parse(path.read_text(encoding="utf-8")))


def _constant(node: ast.expr) -> object:
    return node.value if isinstance(node, ast.Constant) else None


def _called(node: ast.AST | None) -> str | None:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return node.func.id
    return None


def _text(node: ast.expr, assigned: dict[str, ast.expr]) -> str:
    """The text of an expression, with `<name>` where it is known only at run time."""
    if isinstance(node, ast.Constant):
        return str(node.value) if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part, assigned) for part in node.values)
    if isinstance(node, ast.FormattedValue):
        return _text(node.value, assigned)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _text(node.left, assigned) + _text(node.right, assigned)
    if isinstance(node, ast.IfExp):
        either = (_text(node.body, assigned), _text(node.orelse, assigned))
        return f"[{either[0]}|{either[1]}]" if all(either) else f"[{either[0] or either[1]}]"
    if isinstance(node, ast.Name) and node.id in assigned:
        inner = {name: value for name, value in assigned.items() if name != node.id}
        return _text(assigned[node.id], inner)
    return f"<{_name(node)}>"


def _name(node: ast.expr) -> str:
    """A word for a value: its variable, its attribute, what is called or joined."""
    if isinstance(node, ast.Name):
        return node.id.strip("_").lower().replace("_", " ")
    if isinstance(node, ast.Attribute):
        return node.attr.strip("_").replace("_", " ")
    if isinstance(node, ast.Call):
        listed = isinstance(node.func, ast.Attribute) and node.func.attr == "join"
        if node.args and (listed or _called(node) in ("str", "sorted", "list", "type", "len")):
            return _name(node.args[0])
        return _name(node.func)
    if isinstance(node, (ast.GeneratorExp, ast.ListComp)):
        return _name(node.generators[0].iter)
    if isinstance(node, ast.Subscript):
        return _name(node.value)
    if isinstance(node, ast.BoolOp):
        return _name(node.values[0])
    return "value"


def _cell(text: str) -> str:
    return _escaped(text).replace("|", "\\|")


def _escaped(text: str) -> str:
    plain = " ".join(text.split())
    for character in "<>*_":
        plain = plain.replace(character, f"\\{character}")
    return plain
