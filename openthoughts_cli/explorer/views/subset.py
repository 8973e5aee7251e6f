"""The page "Subset": what was chosen, how long it is, what a model sees of it, another one."""

from __future__ import annotations

from openthoughts_cli.explorer.subset import show

show()
