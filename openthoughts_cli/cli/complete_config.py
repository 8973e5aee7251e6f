"""What the shell offers for `--set`: the keys of the command at hand, and the values of a key.

A single match makes every shell add a space, which a key and its `=` must not have. So a key that is
alone comes with its values, or with an example where any value will do.
"""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Generator, Iterator, MutableMapping
from typing import Any

import typer

from openthoughts_cli.cli import complete

__all__ = ["config_keys", "words_of_bash"]


def config_keys(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Dotted config keys of the command at hand, each ending in `=`; behind the `=`, its values."""
    from openthoughts_cli.config.schema import VERBS

    model = VERBS.get(_verb_at_hand(ctx))
    if model is None:
        return []
    key, equals, typed = incomplete.partition("=")
    if equals:
        return [(f"{key}={value}", "") for value in _values(model, key, typed)]
    keys = [(name, text) for name, text in _keys(model) if name.startswith(incomplete)]
    offered = [(f"{name}=", text) for name, text in keys]
    if len(keys) == 1:
        ((name, _),) = keys
        offered += [(f"{name}={value}", "") for value in _values(model, name, "") or ["..."]]
    return offered


@contextlib.contextmanager
def words_of_bash(environ: MutableMapping[str, str]) -> Generator[None]:
    """Undo, while a completion is worked out, that bash splits `--set key=value` into three words.

    The words are read joined; of what is then offered, bash wants the part that replaces its own last
    word alone.
    """
    words = environ.get("COMP_WORDS", "").split("\n")
    if environ.get("_OT_COMPLETE") != "complete_bash" or len(words) == 1:
        yield
        return
    at = int(environ.get("COMP_CWORD", "0"))
    words = (words + [""] * (at + 1))[: at + 1]
    joined: list[str] = []
    for index, word in enumerate(words):
        if joined and (word == "=" or words[index - 1] == "="):
            joined[-1] += word
        else:
            joined.append(word)
    environ["COMP_WORDS"], environ["COMP_CWORD"] = "\n".join(joined), str(len(joined) - 1)
    last = "" if words[at] == "=" else words[at]
    before = joined[-1].removesuffix(last)
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        yield
    for line in said.getvalue().splitlines(keepends=True):
        sys.stdout.write(_without(before, line))


def _without(before: str, line: str) -> str:
    """`cpu` of `engine.device=cpu` behind `engine.device=` or `--set=engine.device=`."""
    while before:
        if line.startswith(before):
            return line.removeprefix(before)
        before = before.partition("=")[2]
    return line


def _keys(model: Any) -> Iterator[tuple[str, str]]:
    """Each key that takes a value, with what it takes; settings of a benchmark under its name."""
    from openthoughts_cli.config.schema import KNOWN_BENCHMARKS, NAME, walk_fields

    for field in walk_fields(model):
        if field.is_section:
            continue
        names = KNOWN_BENCHMARKS if NAME in field.key else ("",)
        for name in names:
            yield field.key.replace(NAME, name), field.expected


def _values(model: Any, key: str, typed: str) -> list[str]:
    """The values that a key can have as far as they are known, else its default or an example."""
    from openthoughts_cli.config.schema import annotation_at, choices_of, default_of, example_of

    info = annotation_at(model, tuple(key.split(".")))
    if info is None:
        return []
    if key in ("subset", "held_out"):
        return complete.subsets(typed)
    if key == "run":
        return complete.runs(typed)
    if key == "source":
        return [name for name, _ in complete.sources(typed)]
    known = {"domain": complete.domains, "dataset": complete.datasets}.get(key)
    if known is not None:
        return known(typed)
    choices = choices_of(info.annotation)
    if not choices and (info.examples or (not info.is_required() and default_of(info))):
        choices = [example_of(info)]
    return [choice for choice in choices if choice.startswith(typed)]


def _verb_at_hand(ctx: typer.Context) -> str:
    """`train` for `ot train`; for `ot config show train` the verb among its arguments."""
    if ctx.info_name != "show":
        return ctx.info_name or ""
    # With an option half typed the parser leaves the arguments where they are.
    words = [ctx.params.get("verb"), *ctx.args]
    return next((word for word in words if isinstance(word, str)), "")
