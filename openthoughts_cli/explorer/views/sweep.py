"""The page "Sweep": the ranking with its intervals, effects, every pair, every cell."""

from __future__ import annotations

from openthoughts_cli.explorer.sweep import show

show()
