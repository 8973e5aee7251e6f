"""The token counter of a model by its name: what the command line, indexes and workers open."""

from __future__ import annotations

from openthoughts_cli.data.tokens import TokenCounter
from openthoughts_cli.events import Listener, silent

__all__ = ["open_counter"]


def open_counter(model: str, *, listener: Listener = silent) -> TokenCounter:
    """The fastest exact counter of a model's tokens, with its chat template.

    Raises:
        ModelError, NetworkError: the tokenizer cannot be had.
    """
    from openthoughts_cli.chat.renderer import load_renderer
    from openthoughts_cli.data.fast_tokens import FastCounter

    return FastCounter(load_renderer(model, listener=listener), listener=listener)
