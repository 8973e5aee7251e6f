"""What the parser refuses, said in the tool's own way: what is wrong, did you mean, where to look."""

from __future__ import annotations

import difflib
from typing import Any

__all__ = ["explain_usage_error"]


def explain_usage_error(error: Any, args: list[str]) -> tuple[str, str]:
    """The message and the hint for a usage error of Typer (`UsageError` and its kinds).

    An option given to the wrong place (`ot --limit 5 subset`) and a misspelt command or option are
    met with a guess.
    """
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "ot"
    see = f"see `{path} --help`"
    name = getattr(error, "option_name", None)
    if name is not None and type(error).__name__ == "NoSuchOption":
        close = difflib.get_close_matches(name, _option_names(context), n=1, cutoff=0.6)
        guess = f"did you mean {close[0]}? " if close else ""
        return f"{path} has no option {name}", f"{guess}{see}"
    message: str = error.format_message().rstrip(".")
    message = " ".join(message.split())
    if message.startswith("No such command"):
        typed = args_after(path, args)
        close = difflib.get_close_matches(typed, _command_names(context), n=1, cutoff=0.5)
        guess = f"did you mean `{path} {close[0]}`? " if close else ""
        return f"{path} has no command {typed!r}", f"{guess}{see}"
    return message[0].lower() + message[1:], see


def args_after(path: str, args: list[str]) -> str:
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


def _option_names(context: Any) -> list[str]:
    if context is None:
        return []
    return [name for param in context.command.get_params(context) for name in param.opts]


def _command_names(context: Any) -> list[str]:
    return context.command.list_commands(context) if context is not None else []
