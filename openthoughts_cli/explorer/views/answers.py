"""The page "Answers": every answer of an evaluation, two sides of a comparison."""

from __future__ import annotations

from openthoughts_cli.explorer.answers import show

show()
