"""What the parser refuses, said in the tool's own way: what is wrong, did you mean, where to look."""

from __future__ import annotations

import re
from typing import Any

from openthoughts_cli.words import BEFORE_HINT, did_you_mean

__all__ = ["explain_usage_error"]

_EXPECTED = (
    (r"Input should be a valid integer.*", "expected a whole number"),
    (r"Input should be a valid (number|boolean).*", r"expected a \1"),
    (r"Input should be (.*)", r"expected a value \1"),
    (r"got unexpected extra argument\(?s?\)? \((.*)\)", r"there is no place for the argument \1"),
)


def explain_usage_error(error: Any, args: list[str]) -> tuple[str, str]:
    """The message and the hint for a usage error of Typer (`UsageError` and its kinds).

    A misspelt command or option is met with a guess.
    """
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else _path_in(args)
    see = f"see `{path} --help`"
    kind = type(error).__name__
    if kind == "NoSuchOption":
        name = error.option_name
        cutoff = 0.8 if path == "ot" else 0.6
        guess = did_you_mean(name, _option_names(context), BEFORE_HINT, cutoff=cutoff)
        if path == "ot" and not guess:
            guess = "options stand after the command; "
        return f"{path} has no option {name}", f"{guess}{see}"
    message = " ".join(str(error.format_message()).split()).rstrip(".")
    if message.startswith("No such command"):
        typed = _word_after(path, args)
        phrase = f"did you mean `{path} {{}}`? "
        guess = did_you_mean(typed, _command_names(context), phrase, cutoff=0.5)
        return f"{path} has no command {typed!r}", f"{guess}{see}"
    message = message[0].lower() + message[1:]
    for pattern, plain in _EXPECTED:
        message = re.sub(pattern, plain, message)
    if message.startswith("there is no place") and re.search(r"\.(ya?ml|json)\b", message):
        see = f"a config file is given with --config; {see}"
    if kind == "BadParameter" and (typed := _value_typed(error.param, args)) is not None:
        message += f", got {typed!r}"
    return message, see


def _path_in(args: list[str]) -> str:
    """The command that the words begin with, when the parser does not say which it was."""
    from openthoughts_cli.cli.app import VERBS

    words = ["ot", *args[:1]] if args and args[0] in VERBS else ["ot"]
    return " ".join(words)


def _word_after(path: str, args: list[str]) -> str:
    """The first word in `args` that is neither an option nor part of the command path."""
    known = path.split()[1:]
    for word in args:
        if word.startswith("-"):
            continue
        if known and word == known[0]:
            known = known[1:]
            continue
        return word
    return ""


def _value_typed(param: Any, args: list[str]) -> str | None:
    """The last value that was typed for an option: `--limit x`, `--limit=x` or `-n x`."""
    opts = getattr(param, "opts", [])
    typed = None
    for index, word in enumerate(args):
        name, equals, value = word.partition("=")
        if name in opts and equals:
            typed = value
        elif word in opts and index + 1 < len(args):
            typed = args[index + 1]
    return typed


def _option_names(context: Any) -> list[str]:
    if context is None:
        return []
    return [name for param in context.command.get_params(context) for name in param.opts]


def _command_names(context: Any) -> list[str]:
    return context.command.list_commands(context) if context is not None else []
