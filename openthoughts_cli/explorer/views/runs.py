"""The page "Runs": all runs in a table, curves over one another, settings that differ."""

from __future__ import annotations

from openthoughts_cli.explorer.runs import show

show()
