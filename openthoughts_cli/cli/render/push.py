"""What a person sees of an upload or an export."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from openthoughts_cli.cli.render.tables import facts

if TYPE_CHECKING:
    from openthoughts_cli.data.push import Pushed
    from openthoughts_cli.export.export import Exported
    from openthoughts_cli.export.push import PushedModel

__all__ = ["render_exported", "render_pushed_model", "render_pushed_subset"]


def render_pushed_subset(pushed: Pushed, repo: str) -> RenderableType:
    """Where a subset lies now, and how it is loaded."""
    load = f'load: datasets.load_dataset("{repo}", "{pushed.config}")'
    done = _sent(pushed.reused, len(pushed.files), "these rows were there already")
    where = [("page", pushed.url), ("config", pushed.config), ("commit", pushed.commit)]
    return _page([*where, ("readable by", _readers(pushed.private))], done, load)


def render_pushed_model(pushed: PushedModel, repo: str) -> RenderableType:
    """The same of weights."""
    loader = "AutoPeftModelForCausalLM" if pushed.kind == "adapter" else "AutoModelForCausalLM"
    load = f'load: {loader}.from_pretrained("{repo}")'
    done = _sent(pushed.reused, len(pushed.files), "these weights were there already")
    where = [("page", pushed.url), ("holds", _kind(pushed.kind)), ("commit", pushed.commit)]
    return _page([*where, ("readable by", _readers(pushed.private))], done, load)


def render_exported(done: Exported) -> RenderableType:
    """Which weights are where, and how they are loaded."""
    where = [
        ("folder", str(done.path)),
        ("holds", _kind(done.kind)),
        ("weights", f"{done.run}, {done.checkpoint} ({done.step:,} steps)"),
        ("base model", done.base),
        ("size", f"{sum(done.files.values()) / 1e6:,.1f} MB in {len(done.files)} files"),
    ]
    said = "written, with a model card (README.md)"
    if done.reused:
        card = "; its card was renewed" if done.card_renewed else ""
        said = f"these weights were there already, and are whole{card}"
    loader = "AutoPeftModelForCausalLM" if done.kind == "adapter" else "AutoModelForCausalLM"
    return _page(where, said, f"load: {loader}.from_pretrained(folder)")


def _kind(kind: str) -> str:
    return "a PEFT adapter" if kind == "adapter" else "a whole model, the adapter merged into it"


def _readers(private: bool) -> str:
    return "only you and those you allow" if private else "everyone"


def _sent(reused: bool, files: int, same: str) -> str:
    if reused:
        return f"{same}; nothing was sent"
    return f"{files} files sent; the hub's digests are those of the files here"


def _page(where: Sequence[tuple[str, str]], done: str, load: str) -> RenderableType:
    return Group(facts(list(where)), Text(), Text(f"{done}\n{load}", style="dim"))
