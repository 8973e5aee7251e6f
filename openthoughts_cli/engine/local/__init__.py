"""Train and sample on this machine. Importing this is cheap; torch comes with the first model."""

from __future__ import annotations

from openthoughts_cli.engine.local.engine import LocalEngine

__all__ = ["LocalEngine"]
