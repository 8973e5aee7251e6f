"""How many cells this machine can run side by side."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

from openthoughts_cli.config.sweep import SweepConfig
from openthoughts_cli.config.train import TrainConfig

__all__ = [
    "cells_at_once",
    "cores",
    "free_memory_bytes",
    "gpus",
    "is_local",
    "local_slots",
]

CELL_BYTES = 3 << 30
"""Memory that a cell of the local engine is given. An allowance, not a measurement: torch and its
libraries, smollm2-135m in float32 (0.5 GiB), an adapter with its optimiser, and the activations of a
micro-batch. `at_once` in the grid is for other models."""

_MEMORY_KEPT = 1 << 30


def cells_at_once(config: SweepConfig, cells: Sequence[TrainConfig]) -> int:
    """The most cells at once: `at_once` of the grid, else what the kinds of engine allow."""
    most = max(len(cells), 1)
    if config.at_once is not None:
        return min(config.at_once, most)
    local = [cell for cell in cells if is_local(cell)]
    if config.on == "ray" or not local:
        return most
    return min(local_slots(on_cpu=all(cell.engine.device == "cpu" for cell in local)), most)


def is_local(cell: TrainConfig) -> bool:
    """Whether the cell computes on this machine."""
    return cell.engine.kind == "local"


def local_slots(*, on_cpu: bool = False) -> int:
    """Cells of the local engine at once: one a GPU, or as many as cores and free memory allow.

    Args:
        on_cpu: none of them uses a GPU, even if there is one.
    """
    if (visible := gpus()) and not on_cpu:
        return len(visible)
    memory = free_memory_bytes()
    by_memory = cores() if memory is None else (memory - _MEMORY_KEPT) // CELL_BYTES
    return max(min(cores(), by_memory), 1)


def cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def gpus() -> tuple[str, ...]:
    """The NVIDIA GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return tuple(name.strip() for name in visible.split(",") if name.strip() not in ("", "-1"))
    devices = Path("/dev").glob("nvidia[0-9]*")
    return tuple(sorted(device.name.removeprefix("nvidia") for device in devices))


def free_memory_bytes(system: Path = Path("/")) -> int | None:
    """Free memory, by /proc/meminfo and the control group's limit; None where neither tells.

    Args:
        system: where proc/ and sys/ are.
    """
    found: list[int] = []
    with contextlib.suppress(OSError, ValueError, KeyError):
        found.append(_figures(system / "proc/meminfo")["MemAvailable:"] * 1024)
    with contextlib.suppress(OSError, ValueError, KeyError):
        group = system / "sys/fs/cgroup"
        most = (group / "memory.max").read_text().strip()
        if most.isdigit():
            used = int((group / "memory.current").read_text())
            # Files that were read and may be dropped at any time count as used there.
            cached = _figures(group / "memory.stat")["inactive_file"]
            found.append(int(most) - max(used - cached, 0))
    return min(found, default=None)


def _figures(path: Path) -> dict[str, int]:
    """The first number of each line, by its first word."""
    lines = (line.split() for line in path.read_text().splitlines())
    return {words[0]: int(words[1]) for words in lines if len(words) > 1}
