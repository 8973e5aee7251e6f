"""The page "Save as subset": the present filter as a command, as YAML, and done."""

from __future__ import annotations

from openthoughts_cli.explorer.save import show

show()
