"""A sandbox for programs that nobody trusts, usable on its own."""

from __future__ import annotations

from openthoughts_cli.evals.sandbox.execution import Execution, Limits, SandboxStatus
from openthoughts_cli.evals.sandbox.handover import compiled
from openthoughts_cli.evals.sandbox.sandbox import Driven, Program, Python, Sandbox
from openthoughts_cli.evals.sandbox.slots import Slots, machine_slots

__all__ = [
    "Driven",
    "Execution",
    "Limits",
    "Program",
    "Python",
    "Sandbox",
    "SandboxStatus",
    "Slots",
    "compiled",
    "machine_slots",
]
