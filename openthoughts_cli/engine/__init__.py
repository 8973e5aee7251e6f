"""Engines: which one a config means, and opening it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from openthoughts_cli.config.engine import LOCAL_MODEL, TINKER_MODEL, EngineConfig
from openthoughts_cli.events import Listener, Notice, silent

if TYPE_CHECKING:
    from openthoughts_cli.engine.base import Engine

__all__ = ["default_model", "open_engine", "resolve_engine"]


def resolve_engine(config: EngineConfig, *, listener: Listener = silent) -> EngineConfig:
    """The config with `kind: auto` decided, and a notice that says which and why."""
    if config.kind != "auto":
        return config
    from openthoughts_cli.engine.tinker.credentials import has_credentials

    if has_credentials():
        listener(
            Notice("engine: tinker (its credentials are configured; --engine local to stay here)")
        )
        return config.model_copy(update={"kind": "tinker"})
    listener(Notice("engine: local (no Tinker credentials; set TINKER_API_KEY to use the service)"))
    return config.model_copy(update={"kind": "local"})


def default_model(kind: str) -> str:
    """The model that an unset `model` means on this kind of engine."""
    return TINKER_MODEL if kind == "tinker" else LOCAL_MODEL


def open_engine(config: EngineConfig, *, store: Path, listener: Listener = silent) -> Engine:
    """The engine that `config` names. `store` is where a local engine keeps its checkpoints.

    Raises:
        MissingExtraError: the local engine's packages are not installed.
        AuthError: Tinker without credentials.
    """
    resolved = resolve_engine(config, listener=listener)
    if resolved.kind == "tinker":
        from openthoughts_cli.engine.tinker import TinkerEngine

        return TinkerEngine(resolved, listener=listener)
    from openthoughts_cli.engine.local import LocalEngine

    return LocalEngine(resolved, store=resolved.store or store, listener=listener)
