"""`ot explore` as a function."""

from __future__ import annotations

from collections.abc import Callable

from openthoughts_cli.explorer.serve import LOOPBACK, choose_port, serve
from openthoughts_cli.explorer.target import find_settings

__all__ = ["explore"]


def explore(
    target: str | None = None,
    *,
    dataset: str | None = None,
    tokenizer: str | None = None,
    full: bool = False,
    public: bool = False,
    address: str = LOOPBACK,
    port: int | None = None,
    ready: Callable[[str], None] = print,
) -> None:
    """Serve the explorer until Ctrl-C; in a notebook it goes on beside the cells.

    Args:
        target: what is opened first: the name or directory of a subset, run or sweep; unset: the
            data set.
        dataset: as in `SubsetConfig`, and so `tokenizer` and `full`.
        public: the data set alone: no paths, runs or saving.
        address: where to listen; the default lets this machine alone in.
        port: unset: 8501, or the next one that is free.
        ready: told the address of the first page, from another thread, when the app answers.

    Raises:
        NotFoundError: nothing is called `target`.
        UsageError: a target on a public app, or an address of another machine.
        ConflictError: the port is in use.
        MissingExtraError: Streamlit is not installed.
    """
    settings = find_settings(target, dataset=dataset, tokenizer=tokenizer, full=full, public=public)
    serve(settings, address=address, port=choose_port(address, port), ready=ready)
