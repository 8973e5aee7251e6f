"""The Tinker engine: the only room that imports `tinker`, and only once an engine is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from openthoughts_cli.engine.tinker.engine import TinkerEngine

__all__ = ["TinkerEngine"]


def __getattr__(name: str) -> Any:
    if name == "TinkerEngine":
        from openthoughts_cli.engine.tinker.engine import TinkerEngine

        return TinkerEngine
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
