"""All findings, in one order; those that wait for a host or a process are made side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

from openthoughts_cli.config.engine import EngineConfig
from openthoughts_cli.doctor import machine, packages, services, work
from openthoughts_cli.doctor.check import Check
from openthoughts_cli.engine import default_model, resolve_engine

__all__ = ["examine"]


def examine(engine: EngineConfig | None = None, model: str | None = None) -> list[Check]:
    """Look at everything that `ot` stands on.

    Args:
        engine: the engine that the user means; `kind: auto` is decided as the other verbs do.
        model: the model to ask for; None for the engine's default.
    """
    resolved = resolve_engine(engine or EngineConfig())
    chosen_model = model or default_model(resolved.kind)
    looks: list[Callable[[], Check | Iterable[Check]]] = [
        machine.check_python,
        machine.check_memory,
        machine.check_disk,
        machine.check_browser,
        packages.check_packages,
        services.check_keys,
        services.check_hub,
        services.check_wandb,
        services.check_clock,
        lambda: work.check_local_engine(chosen_model, chosen=resolved.kind == "local"),
        work.check_sandbox,
        work.check_index,
    ]
    if resolved.kind == "tinker":
        looks.insert(6, lambda: services.check_tinker(resolved, chosen_model))

    def look(one: Callable[[], Check | Iterable[Check]]) -> list[Check]:
        found = one()
        return [found] if isinstance(found, Check) else list(found)

    with ThreadPoolExecutor(len(looks)) as pool:
        return [check for found in pool.map(look, looks) for check in found]
